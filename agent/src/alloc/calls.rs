//! Which other functions a function asks.

use iced_x86::{Decoder, DecoderOptions, FlowControl};

use super::targets::Targets;

/// How often a function calls, or ends in, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// It does not.
    Never,
    /// Some of its paths do, all of them by a call that returns to it.
    AtTimes,
    /// Some of its paths end in the other function.
    EndsIn,
    /// Whenever it is called.
    Always,
}

/// How often the function at `svma` calls one of others.
pub(super) fn find(code: &[u8], svma: u64, others: &Targets) -> Calls {
    let mut calls = Calls::Never;
    let mut is_on_every_path = true;
    for instruction in Decoder::with_ip(64, code, svma, DecoderOptions::NONE) {
        let flow = instruction.flow_control();
        if others.has(&instruction, svma) {
            if is_on_every_path && flow != FlowControl::ConditionalBranch {
                return Calls::Always;
            }
            calls = match (flow, calls) {
                (FlowControl::Call | FlowControl::IndirectCall, Calls::Never) => Calls::AtTimes,
                (FlowControl::Call | FlowControl::IndirectCall, calls) => calls,
                _ => Calls::EndsIn,
            };
        }
        is_on_every_path &= matches!(flow, FlowControl::Next | FlowControl::Call | FlowControl::IndirectCall);
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::{Calls, find};
    use crate::alloc::targets::Targets;
    use proptest::prelude::{any, proptest};

    #[test]
    fn a_function_that_asks_another_is_found_out() {
        let mut others = Targets::default();
        [0x1000, 0x2000].into_iter().for_each(|start| others.add(start));
        let calls = |code: &[u8]| find(code, 0x1000, &others);
        // jmp 0x2000
        assert_eq!(calls(&[0xe9, 0xfb, 0x0f, 0, 0]), Calls::Always);
        // test %rdi,%rdi; je +5; jmp 0x2000
        assert_eq!(calls(&[0x48, 0x85, 0xff, 0x74, 5, 0xe9, 0xf6, 0x0f, 0, 0]), Calls::EndsIn);
        // test %rdi,%rdi; je +5; call 0x2000
        assert_eq!(calls(&[0x48, 0x85, 0xff, 0x74, 5, 0xe8, 0xf6, 0x0f, 0, 0]), Calls::AtTimes);
        // jmp 0x2001; jmp 0x1000
        assert_eq!(calls(&[0xe9, 0xfc, 0x0f, 0, 0, 0xeb, 0xf9]), Calls::Never);
        assert_eq!(calls(&[]), Calls::Never);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(code in proptest::collection::vec(any::<u8>(), 0..200)) {
            find(&code, u64::MAX - 10, &Targets::default());
        }
    }
}
