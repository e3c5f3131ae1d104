//! Allocators by name, and which of their arguments make the size.
//!
//! The pools of nginx and HAProxy are not among them: their blocks come from `malloc`, and would count twice.

use std::collections::BTreeMap;

use abi::alloc::{SIZE_IS_0, SIZE_IS_0_TIMES_1, SIZE_IS_1, SIZE_IS_2, SIZE_IS_3, SIZE_MASK, SKIP_NULL};
use iced_x86::Register;

use crate::object::symbols::Function;

/// Prefixes under which allocators are found beside, or instead of, the names of the C library.
const PREFIXES: [&str; 5] = ["je_", "tc_", "mi_", "__libc_", "_rjem_"];

/// The C library's. `reallocarray` is not among them: it calls `realloc`.
const C: [(&str, u64); 9] = [
    ("malloc", SIZE_IS_0),
    ("calloc", SIZE_IS_0_TIMES_1),
    ("realloc", SIZE_IS_1),
    ("posix_memalign", SIZE_IS_2),
    ("aligned_alloc", SIZE_IS_1),
    ("memalign", SIZE_IS_1),
    ("valloc", SIZE_IS_0),
    ("pvalloc", SIZE_IS_0),
    ("mallocx", SIZE_IS_0),
];

/// `operator new` and `operator new[]` of `unsigned long`, in every form.
const NEW: [&str; 2] = ["_Znwm", "_Znam"];

/// How a function is given the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    cookie: u64,
    is_new: bool,
    is_resize: bool,
}

/// How a function of this name is given the size; `None` if it is no allocator.
pub(super) fn arguments(name: &str) -> Option<Arguments> {
    if NEW.iter().any(|new| name.starts_with(new)) {
        return Some(Arguments { cookie: SIZE_IS_0, is_new: true, is_resize: false });
    }
    let bare = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    let cookie = C.iter().find(|(known, _)| *known == bare)?.1;
    Some(Arguments { cookie, is_new: false, is_resize: bare == "realloc" })
}

impl Arguments {
    /// As the program takes it.
    #[must_use]
    pub fn cookie(self) -> u64 {
        self.cookie
    }

    /// Whether it may be given what was allocated before.
    pub(super) fn is_resize(self) -> bool {
        self.is_resize
    }

    /// Nothing is allocated here if the first argument is null.
    pub(super) fn skipping_null(self) -> Self {
        Self { cookie: self.cookie | SKIP_NULL, ..self }
    }

    /// `operator new` of a file that has no allocator of its own calls that of another.
    pub(super) fn is_alien(self, found: &BTreeMap<String, Function>) -> bool {
        self.is_new && !found.keys().any(|name| arguments(name).is_some_and(|it| !it.is_new))
    }

    /// The registers that must not have been written to yet.
    pub(super) fn registers(self) -> &'static [Register] {
        use Register::{RCX, RDI, RDX, RSI};
        if self.is_resize {
            return &[RDI, RSI];
        }
        match self.cookie & SIZE_MASK {
            SIZE_IS_0 => &[RDI],
            SIZE_IS_1 => &[RSI],
            SIZE_IS_2 => &[RDX],
            SIZE_IS_3 => &[RCX],
            _ => &[RDI, RSI],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::arguments;
    use abi::alloc::{SIZE_IS_0, SIZE_IS_0_TIMES_1, SIZE_IS_1};

    #[test]
    fn allocators_are_known_under_their_prefixes_and_nothing_else_is() {
        let cookie = |name| arguments(name).map(super::Arguments::cookie);
        for (name, expected) in [
            ("malloc", Some(SIZE_IS_0)),
            ("je_calloc", Some(SIZE_IS_0_TIMES_1)),
            ("__libc_realloc", Some(SIZE_IS_1)),
            ("_ZnwmSt11align_val_tRKSt9nothrow_t", Some(SIZE_IS_0)),
            ("free", None),
            ("xmalloc", None),
            ("malloc_usable_size", None),
        ] {
            assert_eq!(cookie(name), expected, "{name}");
        }
    }
}
