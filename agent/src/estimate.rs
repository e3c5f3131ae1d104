//! What a sampled change of a byte count stands for. Pure.

/// The bytes that a sample of `n_bytes` stands for, where samples are `interval_bytes` apart on average: a change of
/// that size is sampled with probability `1 - exp(-n_bytes / interval_bytes)` (`ebpf::interval`), and the sum over
/// the samples is, on average, the sum over all changes.
#[must_use]
pub fn bytes(n_bytes: u64, interval_bytes: u64) -> u64 {
    if n_bytes == 0 || interval_bytes == 0 {
        return n_bytes;
    }
    let probability = -(-(n_bytes as f64) / interval_bytes as f64).exp_m1();
    // Saturates.
    (n_bytes as f64 / probability).round() as u64
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn a_small_change_stands_for_the_interval_and_a_large_one_for_itself() {
        let cases = [
            (1, 65_536, 65_537),
            (4096, 65_536, 67_605),
            (65_536, 65_536, 103_676),
            (1 << 30, 65_536, 1 << 30),
        ];
        for (n_bytes, interval_bytes, expected) in cases {
            assert_eq!(bytes(n_bytes, interval_bytes), expected, "{n_bytes} of {interval_bytes}");
        }
    }

    #[test]
    fn extremes_stay_numbers() {
        for n_bytes in [0, 1, u64::MAX] {
            for interval_bytes in [0, 1, u64::MAX] {
                assert!(bytes(n_bytes, interval_bytes) >= n_bytes, "{n_bytes} {interval_bytes}");
            }
        }
    }
}
