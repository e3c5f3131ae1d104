//! Comparison without a branch.
//!
//! The verifier follows both sides of every branch: a binary search written with `if` makes it walk 2^steps paths
//! (1,000,000 instructions, the limit, at nine steps). LLVM turns sign-bit arithmetic in Rust back into a branch,
//! so on BPF the two instructions are spelled out.

/// 1 if `a < b`, else 0, for operands below 2^63.
#[cfg(target_arch = "bpf")]
#[inline(always)]
#[must_use]
pub fn less(a: u64, b: u64) -> u64 {
    let mut difference = a;
    // SAFETY: two arithmetic instructions on registers of our own.
    unsafe {
        core::arch::asm!(
            "{a} -= {b}", "{a} >>= 63", a = inout(reg) difference, b = in(reg) b,
            options(pure, nomem, nostack)
        );
    }
    difference
}

/// 1 if `a < b`, else 0, for operands below 2^63.
#[cfg(not(target_arch = "bpf"))]
#[inline(always)]
#[must_use]
pub fn less(a: u64, b: u64) -> u64 {
    a.wrapping_sub(b) >> 63
}

#[cfg(test)]
mod tests {
    use super::less;

    #[test]
    fn less_agrees_with_the_operator() {
        let values = [0, 1, 2, 0x7fff_ffff_f000, (1 << 63) - 1];
        for a in values {
            for b in values {
                assert_eq!(less(a, b), u64::from(a < b), "{a} < {b}");
            }
        }
    }
}
