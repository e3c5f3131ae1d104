//! How far apart samples of growth are: where much memory comes and goes, farther than was asked for. Pure.

use std::time::Duration;

/// Samples of growth a second, at least, whatever the rate of CPU samples is.
const FEWEST_A_SECOND: f64 = 50.0;
/// Below this share of what is allowed, for so long, the distance is halved again: that makes twice as many.
const DENSER_BELOW: f64 = 0.25;
const DENSER_AFTER: Duration = Duration::from_secs(10);
/// The distance is doubled no more often than this.
const MAX_DOUBLED: u32 = 16;

/// Chooses the distance between two samples of growth, in bytes. A host that takes a gigabyte a second has 16,384
/// samples a second at 64 KiB, each with a stack; what they say, a few hundred say as well.
#[derive(Debug)]
pub(super) struct Spacing {
    configured_bytes: u64,
    n_doubled: u32,
    calm_for: Duration,
}

impl Spacing {
    pub(super) fn new(configured_bytes: u64) -> Self {
        Self { configured_bytes, n_doubled: 0, calm_for: Duration::ZERO }
    }

    /// The mean distance, now.
    pub(super) fn interval_bytes(&self) -> u64 {
        self.configured_bytes.saturating_mul(1 << self.n_doubled)
    }

    /// Takes the number of samples of a second or thereabouts, and how many CPU samples the host has in a second: growth
    /// is to have no more. Gives another distance, if it follows from that.
    pub(super) fn read(
        &mut self,
        elapsed: Duration,
        n_samples: u64,
        cpu_samples_a_second: f64,
    ) -> Option<u64> {
        let allowed = cpu_samples_a_second.max(FEWEST_A_SECOND);
        let seen = n_samples as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let before = self.n_doubled;
        if seen > allowed {
            // The conversion saturates.
            let n_more = (seen / allowed).log2().ceil() as u32;
            self.n_doubled = before.saturating_add(n_more).min(MAX_DOUBLED);
            self.calm_for = Duration::ZERO;
        } else if seen < allowed * DENSER_BELOW && before > 0 {
            self.calm_for = self.calm_for.saturating_add(elapsed);
            if self.calm_for >= DENSER_AFTER {
                self.n_doubled = before - 1;
                self.calm_for = Duration::ZERO;
            }
        } else {
            self.calm_for = Duration::ZERO;
        }
        (self.n_doubled != before).then(|| self.interval_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::{prop_assert, proptest};

    use super::Spacing;

    const SECOND: Duration = Duration::from_secs(1);
    const KIB: u64 = 1024;

    #[test]
    fn a_flood_has_as_many_samples_as_cpu_time_and_what_is_calm_again_has_those_that_were_asked_for() {
        let mut spacing = Spacing::new(64 * KIB);
        assert_eq!(spacing.read(SECOND, 150, 198.0), None);
        assert_eq!(spacing.read(SECOND, 5_000, 198.0), Some(64 * KIB * 32));
        assert_eq!(spacing.read(SECOND, 160, 198.0), None);
        let back: Vec<_> =
            (0..60).filter_map(|second| Some((second, spacing.read(SECOND, 10, 198.0)?))).collect();
        let steps: Vec<_> = (1..=5).map(|n| (n * 10 - 1, 64 * KIB * (32 >> n))).collect();
        assert_eq!(back, steps);
    }

    #[test]
    fn a_moment_of_more_begins_the_wait_anew() {
        let mut spacing = Spacing::new(64 * KIB);
        assert_eq!(spacing.read(SECOND, 300, 198.0), Some(128 * KIB));
        for _ in 0..9 {
            assert_eq!(spacing.read(SECOND, 10, 198.0), None);
        }
        assert_eq!(spacing.read(SECOND, 100, 198.0), None);
        assert_eq!(spacing.read(SECOND, 10, 198.0), None);
    }

    proptest! {
        #[test]
        fn it_is_never_denser_than_configured_nor_beyond_bounds(
            seconds in proptest::collection::vec((0..u64::MAX, 0.0..1e9_f64), 1..200),
        ) {
            let mut spacing = Spacing::new(64 * KIB);
            for (n_samples, allowed) in seconds {
                spacing.read(SECOND, n_samples, allowed);
                let interval_bytes = spacing.interval_bytes();
                prop_assert!((64 * KIB..=(64 * KIB) << 16).contains(&interval_bytes), "{}", interval_bytes);
            }
        }
    }
}
