//! Where in an allocator a probe costs least.
//!
//! A probe of the return takes the word on top of the stack for the return address: it is one only as long as the
//! stack pointer has not been moved.

use super::Arguments;
use crate::place;

/// Where to probe a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes after the first one.
    pub distance: u64,
    /// The instruction is run out of line.
    pub is_single_stepped: bool,
    /// The return address is on top of the stack.
    pub is_at_return_address: bool,
    /// From which registers the program takes them there.
    pub arguments: Arguments,
}

/// The first instruction that the kernel emulates and that every call runs with its arguments in registers that the
/// program reads; failing that, the first of all. `None` for what is no code.
pub(super) fn find(code: &[u8], arguments: Arguments) -> Option<Place> {
    match place::entry(code, arguments.registers(), |held| arguments.held(held)) {
        Some(entry) => Some(Place {
            distance: entry.distance,
            is_single_stepped: false,
            is_at_return_address: entry.is_at_return_address,
            arguments: entry.taken,
        }),
        None => place::is_code(code).then_some(Place {
            distance: 0,
            is_single_stepped: true,
            is_at_return_address: true,
            arguments,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, find};
    use crate::alloc::functions::arguments;
    use abi::alloc::{RESIZES, SIZE_IS_0, SIZE_IS_1, SIZE_IS_A_TIMES_1};
    use proptest::prelude::{any, prop_assert, proptest};

    fn place(function: &str, code: &[u8]) -> Option<(u64, bool)> {
        let arguments = arguments(function).expect("an allocator");
        find(code, arguments).map(|Place { distance, is_single_stepped, .. }| (distance, is_single_stepped))
    }

    #[test]
    fn the_place_is_the_first_that_is_emulated_with_the_size_still_there() {
        // push %r12
        assert_eq!(place("malloc", &[0x41, 0x54, 0x55]), Some((0, false)));
        // endbr64; push %rbp
        assert_eq!(place("malloc", &[0xf3, 0x0f, 0x1e, 0xfa, 0x55]), Some((4, false)));
        // cmp $0x1000,%rdi; ja: taken or not, every call comes here
        let code = [0x48, 0x81, 0xff, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x87, 0x93, 0, 0, 0];
        assert_eq!(place("malloc", &code), Some((7, false)));
        // mov %rsi,%rdi; push %rbp: the size of malloc is gone, that of memalign is in two registers
        let code = [0x48, 0x89, 0xf7, 0x55];
        assert_eq!(place("malloc", &code), Some((0, true)));
        assert_eq!(place("memalign", &code), Some((3, false)));
        // mov %esi,%edi writes all of rdi
        assert_eq!(place("malloc", &[0x89, 0xf7, 0x55]), Some((0, true)));
        // ret; push %rbp
        assert_eq!(place("malloc", &[0xc3, 0x55]), Some((0, true)));
        assert_eq!(place("malloc", &[]), None);
    }

    #[test]
    fn a_return_is_seen_from_where_its_address_is_on_top_of_the_stack() {
        let is_seen = |code: &[u8]| {
            find(code, arguments("malloc").expect("an allocator")).map(|place| place.is_at_return_address)
        };
        // push %rbp
        assert_eq!(is_seen(&[0x55]), Some(true));
        // sub $0x18,%rsp; push %rbp
        assert_eq!(is_seen(&[0x48, 0x83, 0xec, 0x18, 0x55]), Some(false));
    }

    #[test]
    fn a_size_that_was_moved_is_followed() {
        let cookie = |function: &str, code: &[u8]| {
            let place = find(code, arguments(function).expect("an allocator")).expect("code");
            (place.distance, place.arguments.cookie())
        };
        // malloc of mimalloc: mov (%rip),%rax; mov %rdi,%rsi; mov %fs:(%rax),%rdi; cmp $0x400,%rsi; ja
        let code = [
            0x48, 0x8b, 0x05, 0x49, 0xb4, 0, 0, 0x48, 0x89, 0xfe, 0x64, 0x48, 0x8b, 0x38, 0x48, 0x81, 0xfe,
            0, 4, 0, 0, 0x77, 0x29,
        ];
        assert_eq!(cookie("malloc", &code), (0x15, SIZE_IS_1));
        // What is to be resized is no longer there.
        assert_eq!(cookie("realloc", &code), (0, SIZE_IS_1 | RESIZES));
        // mov %rdi,%rax; xor %edi,%edi; push %rbp: as calloc of mimalloc
        assert_eq!(cookie("calloc", &[0x48, 0x89, 0xf8, 0x31, 0xff, 0x55]), (5, SIZE_IS_A_TIMES_1));
        // mov %rdi,%r12; xor %edi,%edi; push %rbp
        assert_eq!(cookie("malloc", &[0x49, 0x89, 0xfc, 0x31, 0xff, 0x55]), (0, SIZE_IS_0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_search_panic_and_a_place_lies_within_them(code in proptest::collection::vec(any::<u8>(), 0..200)) {
            for function in ["malloc", "calloc", "realloc", "posix_memalign"] {
                if let Some((distance, _)) = place(function, &code) {
                    prop_assert!(distance < code.len() as u64);
                }
            }
        }
    }
}
