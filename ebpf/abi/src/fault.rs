//! Why a user stack ends where it ends: the one table of stop reasons. An id that is not in it is a value, too.

/// A stop reason as it crosses from the kernel.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault(pub u32);

macro_rules! faults {
    ($($id:literal $constant:ident $name:literal $sentence:literal)*) => {
        impl Fault {
            $(#[doc = $sentence] pub const $constant: Self = Self($id);)*

            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$constant),*];

            /// Short name, as in counters and JSON.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.0 { $($id => $name,)* _ => "unknown_reason" }
            }

            /// One sentence for people, as in the frame that stands in for what is missing.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self.0 { $($id => $sentence,)* _ => "stopped for a reason this agent does not know" }
            }
        }
    };
}

faults! {
    0 COMPLETE "complete" "the walk reached the root"
    1 STACK_UNREADABLE "stack_unreadable" "stack memory could not be read"
    2 CHAIN_BROKEN "chain_broken" "no unwind information, and the frame pointer does not lead up the stack"
    3 FRAME_LIMIT "frame_limit" "the stack has more frames than the limit"
    4 RETURN_UNMAPPED "return_unmapped" "a return address lies in no executable mapping"
    5 MAPPINGS_CHANGED "mappings_changed" "the mappings were replaced while the stack was walked"
    6 TABLE_PENDING "table_pending" "the unwind table of the file was not there yet"
    7 UNSUPPORTED_RULE "unsupported_rule" "the unwind information is of a kind that is not supported"
    8 REGISTER_LOST "register_lost" "the unwind information needs a register that a callee may have changed"
    9 NOT_ASCENDING "not_ascending" "the unwind information does not lead up the stack"
}

impl Fault {
    /// Whether the stack is whole.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.0 == Self::COMPLETE.0
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;

    #[test]
    fn ids_and_names_are_distinct_and_an_unknown_id_is_a_value() {
        for (i, a) in Fault::ALL.iter().enumerate() {
            for b in &Fault::ALL[i + 1..] {
                assert!(a != b && a.name() != b.name(), "{a:?} and {b:?} cannot be told apart");
            }
        }
        assert_eq!(Fault(999).name(), "unknown_reason");
        assert!(!Fault(999).is_complete());
    }
}
