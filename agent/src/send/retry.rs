//! When a sink that failed is asked again: exponential backoff with full jitter. Pure; randomness comes in.

use std::time::Duration;

/// The longest that a receiver can ask for. A server that says "tomorrow" is asked again in an hour.
const MAX_ASKED_FOR: Duration = Duration::from_secs(3600);
/// Full jitter may come to nothing, and nothing would be a busy loop.
const SHORTEST: Duration = Duration::from_millis(10);

/// How long waits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryLimits {
    /// The longest wait after the first failure; it doubles with each.
    pub first: Duration,
    /// What it doubles up to.
    pub longest: Duration,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

/// The failures of a sink in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    limits: RetryLimits,
    n_failures: u32,
}

impl Backoff {
    /// No failure yet.
    #[must_use]
    pub fn new(limits: RetryLimits) -> Self {
        Self { limits, n_failures: 0 }
    }

    /// The sink has answered: the next failure is the first again.
    pub fn succeeded(&mut self) {
        self.n_failures = 0;
    }

    /// One more failure, and how long to wait. The wait is any time up to a limit that doubles, so that senders which
    /// failed together do not come back together; where the receiver asked to be left alone, it is that time and
    /// then any up to the first limit. `random` is any number.
    pub fn failed(&mut self, asked_for: Option<Duration>, random: u64) -> Duration {
        let limit = self.limit();
        self.n_failures = self.n_failures.saturating_add(1);
        match asked_for {
            Some(asked_for) => {
                let jitter = part_of(self.limits.first, random);
                asked_for.min(MAX_ASKED_FOR).saturating_add(jitter).max(SHORTEST)
            }
            None => part_of(limit, random).max(SHORTEST),
        }
    }

    fn limit(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.n_failures).unwrap_or(u32::MAX);
        self.limits.first.saturating_mul(factor).min(self.limits.longest)
    }
}

/// Any part of a time, by a random number.
fn part_of(time: Duration, random: u64) -> Duration {
    let nanos = time.as_nanos().saturating_mul(u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: RetryLimits =
        RetryLimits { first: Duration::from_secs(1), longest: Duration::from_secs(30) };

    #[test]
    fn the_limit_doubles_up_to_the_longest_and_starts_again_after_a_success() {
        let mut backoff = Backoff::new(LIMITS);
        let waits: Vec<u64> =
            (0..40).map(|_| backoff.failed(None, u64::MAX).as_millis() as u64 + 1).collect();
        assert_eq!(waits[..7], [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert!(waits[7..].iter().all(|&wait| wait == 30_000), "{waits:?}");
        backoff.succeeded();
        assert_eq!(backoff.failed(None, u64::MAX / 2).as_millis(), 499);
    }

    #[test]
    fn who_asks_to_be_left_alone_is_but_not_for_ever() {
        let mut backoff = Backoff::new(LIMITS);
        assert_eq!(backoff.failed(Some(Duration::from_secs(120)), 0), Duration::from_secs(120));
        let jittered = backoff.failed(Some(Duration::from_secs(120)), u64::MAX);
        assert!(
            jittered > Duration::from_millis(120_990) && jittered <= Duration::from_secs(121),
            "{jittered:?}"
        );
        assert_eq!(backoff.failed(Some(Duration::MAX), 0), MAX_ASKED_FOR);
    }

    proptest! {
        #[test]
        fn no_wait_is_shorter_than_asked_for_or_longer_than_the_limits(
            failures in proptest::collection::vec((proptest::option::of(0..10_000_u64), any::<u64>()), 1..50)
        ) {
            let mut backoff = Backoff::new(LIMITS);
            for (asked_for, random) in failures {
                let asked_for = asked_for.map(Duration::from_secs);
                let wait = backoff.failed(asked_for, random);
                prop_assert!(wait >= SHORTEST.max(asked_for.unwrap_or_default().min(MAX_ASKED_FOR)));
                let longest = asked_for.map_or(LIMITS.longest, |it| it.min(MAX_ASKED_FOR) + LIMITS.first);
                prop_assert!(wait <= longest, "{:?}", wait);
            }
        }
    }
}
