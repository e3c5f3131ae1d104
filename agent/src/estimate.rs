//! What a sampled number of bytes stands for. Pure.

/// What a sample stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Events like it, itself included: not a whole number.
    pub n_events: f64,
    /// Their weights together.
    pub weight: u64,
    /// Variance of that number, which adds up over samples.
    pub variance: f64,
}

impl Estimate {
    /// A sample that was taken for itself.
    #[must_use]
    pub const fn whole(weight: u64) -> Self {
        Self { n_events: 1.0, weight, variance: 0.0 }
    }

    /// A sample of `n_bytes`, where samples are `interval_bytes` apart on average: an event of that size is sampled
    /// with probability `1 - exp(-n_bytes / interval_bytes)` (`ebpf::interval`), and the sum over the samples is, on
    /// average, the sum over all events. Its variance is estimated by the sum of `weight² (1 - p)`, where `p` is that
    /// probability (Horvitz and Thompson, for events that are sampled one by one).
    #[must_use]
    pub fn of_bytes(n_bytes: u64, interval_bytes: u64) -> Self {
        if n_bytes == 0 || interval_bytes == 0 {
            return Self::whole(n_bytes);
        }
        let n_events = -1.0 / (-(n_bytes as f64) / interval_bytes as f64).exp_m1();
        let weight = n_bytes as f64 * n_events;
        // The conversion saturates.
        Self { n_events, weight: weight.round() as u64, variance: weight * weight * (1.0 - 1.0 / n_events) }
    }

    /// As many times as much: what was looked at is only a part, and this was in it with that much less of a chance.
    /// How much one part of the time differs from another is not in the variance.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        if factor <= 0.0 {
            return Self { n_events: 0.0, weight: 0, variance: 0.0 };
        }
        let (n_events, weight) = (self.n_events * factor, self.weight as f64 * factor);
        Self { n_events, weight: weight.round() as u64, variance: weight * weight * (1.0 - 1.0 / n_events) }
    }
}

#[cfg(test)]
mod tests {
    use super::Estimate;

    #[test]
    fn a_small_event_stands_for_the_interval_and_a_large_one_for_itself() {
        let cases = [
            (1, 65_536, 65_537),
            (4096, 65_536, 67_605),
            (65_536, 65_536, 103_676),
            (1 << 30, 65_536, 1 << 30),
        ];
        for (n_bytes, interval_bytes, expected) in cases {
            let Estimate { n_events, weight, .. } = Estimate::of_bytes(n_bytes, interval_bytes);
            assert_eq!(weight, expected, "{n_bytes} of {interval_bytes}");
            assert!((n_events * n_bytes as f64 - weight as f64).abs() < 1.0, "{n_events} times {n_bytes}");
        }
    }

    #[test]
    fn the_error_of_a_sum_is_that_of_sampling() {
        // 10,000 events of which one in a hundred is sampled: a standard error of 10 %, less what was seen itself.
        let n_bytes = -((1.0 - 0.01_f64).ln() * 1_048_576.0).round() as u64;
        let variance = 100.0 * Estimate::of_bytes(n_bytes, 1_048_576).variance;
        let relative = variance.sqrt() / (10_000.0 * n_bytes as f64);
        assert!((relative - 0.0995).abs() < 0.001, "{relative}");
        // What is always sampled has none.
        assert!(Estimate::of_bytes(1 << 30, 4096).variance.abs() < 1.0);
    }

    #[test]
    fn a_part_of_the_time_makes_a_sample_stand_for_more_with_a_larger_error() {
        let whole = Estimate::of_bytes(4096, 65_536);
        let tenth = whole.times(10.0);
        assert!(tenth.weight.abs_diff(10 * whole.weight) < 10, "{tenth:?}");
        assert!(tenth.variance > 100.0 * whole.variance, "{tenth:?} {whole:?}");
        assert_eq!(whole.times(0.0), Estimate { n_events: 0.0, weight: 0, variance: 0.0 });
    }

    #[test]
    fn extremes_stay_numbers() {
        for n_bytes in [0, 1, u64::MAX] {
            for interval_bytes in [0, 1, u64::MAX] {
                let estimate = Estimate::of_bytes(n_bytes, interval_bytes);
                assert!(estimate.weight >= n_bytes && estimate.n_events >= 1.0, "{n_bytes} {interval_bytes}");
                assert!(estimate.n_events.is_finite(), "{n_bytes} {interval_bytes}");
            }
        }
    }
}
