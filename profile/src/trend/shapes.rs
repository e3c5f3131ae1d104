//! Series with known answers, for tests.

use super::Point;

pub(super) const MIB: f64 = 1_048_576.0;

/// One point a second: `bytes(second)`.
pub(super) fn series(n: u64, bytes: impl Fn(f64) -> f64) -> Vec<Point> {
    (0..n).map(|second| Point::at(second * 1_000_000_000, bytes(second as f64).max(0.0) as u64)).collect()
}

/// Between -1 and 1, different for every second and seed.
pub(super) fn noise(second: f64, seed: u64) -> f64 {
    let mut x = (second as u64).wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    for _ in 0..3 {
        x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(1);
    }
    (x >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}
