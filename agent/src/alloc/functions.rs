//! What a function does with memory, and with which of its arguments.

use abi::alloc::{
    FREES, GIVES_THROUGH_0, IS_POOL, RESIZES, SIZE_AT_0, SIZE_AT_0_STEP, SIZE_IS_0, SIZE_IS_0_TIMES_1,
    SIZE_IS_1, SIZE_IS_1_TIMES_2, SIZE_IS_2, SIZE_MASK, SKIP_NULL,
};
use iced_x86::Register;

use super::{
    names::{self, Family},
    size,
};
use crate::place::Held;

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    cookie: u64,
    family: Family,
}

/// Functions of one kind that call each other do one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Allocates,
    Frees,
    Pools,
}

/// What a function of this name does; `None` if it is no allocator.
pub(super) fn arguments(name: &str) -> Option<Arguments> {
    let (family, cookie) = names::find(name)?;
    Some(Arguments { cookie, family })
}

impl Arguments {
    /// `operator new`, found without its name.
    pub(super) const NEW: Self = Self { cookie: SIZE_IS_0, family: Family::Cpp };
    /// `operator delete`, found without its name.
    pub(super) const DELETE: Self = Self { cookie: FREES, family: Family::Cpp };

    /// As the program takes it.
    #[must_use]
    pub fn cookie(self) -> u64 {
        self.cookie
    }

    /// Whether it hands out what it has already taken from an allocator.
    #[must_use]
    pub fn is_pool(self) -> bool {
        self.cookie & IS_POOL != 0
    }

    /// Whether it only gives back.
    #[must_use]
    pub fn is_free(self) -> bool {
        self.cookie & FREES != 0
    }

    /// Whether it takes memory itself, or asks for it in the name of its caller.
    #[must_use]
    pub fn allocates(self) -> bool {
        self.kind() == Kind::Allocates
    }

    pub(super) fn kind(self) -> Kind {
        match (self.is_free(), self.is_pool()) {
            (true, _) => Kind::Frees,
            (_, true) => Kind::Pools,
            _ => Kind::Allocates,
        }
    }

    /// Whether it may be given what was allocated before.
    pub(super) fn is_resize(self) -> bool {
        self.cookie & RESIZES != 0
    }

    /// Nothing is allocated here if the first argument is null.
    pub(super) fn skipping_null(self) -> Self {
        Self { cookie: self.cookie | SKIP_NULL, ..self }
    }

    /// Whether the size is in what the first argument points to, and where is not known yet.
    pub(super) fn wants_offset(self) -> bool {
        self.cookie & SIZE_MASK == SIZE_AT_0
    }

    /// The size is a number of 32 bits at this offset; `None` if that cannot be said to the program.
    pub(super) fn with_size_at(self, offset: u64) -> Option<Self> {
        let steps = offset / SIZE_AT_0_STEP;
        let is_fit = offset.is_multiple_of(SIZE_AT_0_STEP) && (1..SIZE_AT_0).contains(&steps);
        is_fit.then_some(Self { cookie: self.cookie | steps, ..self })
    }

    /// What stands in front of the allocator of another file, if its own has none.
    pub(super) fn is_alien(self, has_allocator: bool, imports_allocator: bool) -> bool {
        match self.family {
            Family::C | Family::Pool => false,
            Family::Cpp => !has_allocator,
            Family::Rust => has_allocator || imports_allocator,
        }
    }

    /// Whether it takes the memory itself.
    pub(super) fn is_allocator(self) -> bool {
        self.family == Family::C && self.allocates()
    }

    /// With the size where it is now; `None` if the program could not take it from there, or needs what is gone.
    pub(super) fn held(self, held: &Held) -> Option<Self> {
        let needs_first = self.cookie & (FREES | RESIZES | GIVES_THROUGH_0) != 0;
        if needs_first && !held.is_at_home(Register::RDI) {
            return None;
        }
        if self.is_free() {
            return Some(self);
        }
        let rule = size::rule(held, self.cookie & SIZE_MASK)?;
        Some(Self { cookie: self.cookie & !SIZE_MASK | rule, ..self })
    }

    /// The registers in which it is given what the program needs.
    pub(super) fn registers(self) -> &'static [Register] {
        use Register::{RCX, RDI, RDX, RSI};
        if self.is_free() {
            return &[RDI];
        }
        let has_first = self.cookie & (RESIZES | GIVES_THROUGH_0) != 0;
        match (self.cookie & SIZE_MASK, has_first) {
            (SIZE_IS_0, _) => &[RDI],
            (SIZE_IS_1, false) => &[RSI],
            (SIZE_IS_2, false) => &[RDX],
            (SIZE_IS_0_TIMES_1 | SIZE_IS_1, _) => &[RDI, RSI],
            (SIZE_IS_2, true) => &[RDI, RDX],
            (SIZE_IS_1_TIMES_2, _) => &[RDI, RSI, RDX],
            (size, _) if size >= SIZE_AT_0 => &[RDI],
            _ => &[RDI, RCX],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::arguments;
    use abi::alloc::{SIZE_AT_0, SIZE_MASK};
    use iced_x86::Register::{RCX, RDI, RDX, RSI};

    #[test]
    fn what_the_program_will_read_must_still_be_there() {
        for (name, expected) in [
            ("malloc", &[RDI][..]),
            ("memalign", &[RSI]),
            ("realloc", &[RDI, RSI]),
            ("posix_memalign", &[RDI, RDX]),
            ("reallocarray", &[RDI, RSI, RDX]),
            ("__rust_realloc", &[RDI, RCX]),
            ("sdallocx", &[RDI]),
            ("__pool_alloc", &[RDI]),
        ] {
            assert_eq!(arguments(name).map(super::Arguments::registers), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_size_within_a_pool_is_said_to_the_program_if_it_is_near_enough() {
        let pool = arguments("__pool_alloc").expect("a pool");
        let at = |offset| pool.with_size_at(offset).map(|pool| pool.cookie() & SIZE_MASK);
        assert_eq!(at(0x24), Some(SIZE_AT_0 + 9));
        assert_eq!([at(0), at(2), at(512), at(u64::MAX)], [None; 4]);
    }

    #[test]
    fn what_stands_in_front_of_another_files_allocator_is_left_alone() {
        let is_alien = |name, has, imports| arguments(name).expect("known").is_alien(has, imports);
        assert!(is_alien("_Znwm", false, true) && !is_alien("_Znwm", true, false));
        assert!(is_alien("__rust_alloc", true, false) && is_alien("__rust_alloc", false, true));
        assert!(!is_alien("__rust_alloc", false, false) && !is_alien("malloc", false, true));
    }
}
