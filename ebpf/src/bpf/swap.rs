//! One word of a map, changed in one step.

use core::arch::asm;

/// Writes a word of a map and gives what stood there. In assembly, as the compiler believes that this target cannot.
#[inline(always)]
pub(super) fn swap(word: &mut u64, value: u64) -> u64 {
    let mut swapped = value;
    // SAFETY: an aligned word of a live map value.
    unsafe { asm!("{1} = xchg_64({0} + 0, {1})", in(reg) word, inout(reg) swapped) };
    swapped
}

/// Adds to a word of a map.
#[inline(always)]
pub(super) fn add(word: &mut u64, value: u64) {
    // SAFETY: as above.
    unsafe { asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) word, in(reg) value) };
}
