//! Which changes of a byte count are sampled: the distances between samples are exponentially distributed, so that
//! each byte has the same chance, whatever came before it.
//!
//! A change of `n` bytes is then sampled with probability `1 - exp(-n / mean)`; whoever reads the samples divides
//! by it.

/// Bits of a logarithm after the point.
const FRACTION_BITS: u32 = 16;
/// The natural logarithm of 2.
const LN_2: u64 = 45_426;

/// Largest mean distance.
pub const MAX_MEAN_BYTES: u64 = 1 << 36;

/// An exponentially distributed number with this mean, from an evenly distributed one.
#[inline(always)]
#[must_use]
pub fn exponential(random: u32, mean: u64) -> u64 {
    // -ln(random / 2^32)
    let ln = (((u64::from(u32::BITS) << FRACTION_BITS) - log2(random)) * LN_2) >> FRACTION_BITS;
    (ln * mean) >> FRACTION_BITS
}

/// Logarithm to base 2; that of 0 is taken for that of 1.
#[inline(always)]
fn log2(x: u32) -> u64 {
    let x = x | u32::from(x == 0);
    let n_zeros = x.leading_zeros();
    let mut log = u64::from(u32::BITS - 1 - n_zeros);
    // Between 2^31 and 2^32. Each time that it is squared, the next bit of its logarithm comes to the top.
    let mut mantissa = u64::from(x) << n_zeros;
    for _ in 0..FRACTION_BITS {
        let square = mantissa * mantissa;
        let bit = square >> 63;
        log = log << 1 | bit;
        mantissa = square >> (31 + bit);
    }
    log
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::{MAX_MEAN_BYTES, exponential, log2};

    #[test]
    fn the_logarithm_is_that_of_floating_point() {
        for x in [1, 2, 3, 7, 1000, 65_535, 0x5555_5555, u32::MAX] {
            let error = log2(x) as f64 / 65_536.0 - f64::from(x).log2();
            assert!((-2.0e-5..=1.0e-9).contains(&error), "{x}: {error}");
        }
    }

    #[test]
    fn distances_have_the_mean_and_the_tail_of_their_distribution() {
        let mean = 65_536;
        // Evenly spread: the same as random, without the noise.
        let n = 1 << 16;
        let distances = (0..n).map(|i: u32| exponential(i << 16 | 0x8000, mean));
        let (mut sum, mut n_beyond) = (0, 0);
        for distance in distances {
            sum += distance;
            n_beyond += u64::from(distance > 3 * mean);
        }
        let found = sum as f64 / f64::from(n) / mean as f64;
        assert!((found - 1.0).abs() < 1e-3, "mean {found}");
        let tail = n_beyond as f64 / f64::from(n);
        assert!((tail - (-3.0_f64).exp()).abs() < 1e-3, "{tail} beyond three means");
    }

    #[test]
    fn no_random_number_and_no_mean_overflows() {
        for random in [0, 1, u32::MAX] {
            for mean in [0, 1, MAX_MEAN_BYTES] {
                assert!(exponential(random, mean) <= mean.saturating_mul(23), "{random} {mean}");
            }
        }
    }
}
