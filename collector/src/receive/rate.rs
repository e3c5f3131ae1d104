//! How much a tenant sends. Pure: time is an argument.

use std::time::Duration;

/// What may come at once, in seconds of the rate.
const BURST_SECONDS: u64 = 10;
const SECOND_NS: u128 = 1_000_000_000;

/// A bucket of bytes, which fills at a rate. It may be overdrawn by one message, so that no message is too large for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bucket {
    /// Taken and not filled again yet.
    debt_bytes: u128,
    at_ns: u64,
}

impl Bucket {
    /// Whether something may be taken; how long to wait, if not.
    pub(super) fn check(&mut self, now_ns: u64, bytes_per_second: u64) -> Result<(), Duration> {
        let rate = u128::from(bytes_per_second.max(1));
        let passed_ns = u128::from(now_ns.saturating_sub(self.at_ns));
        self.debt_bytes = self.debt_bytes.saturating_sub(passed_ns.saturating_mul(rate) / SECOND_NS);
        self.at_ns = self.at_ns.max(now_ns);
        let over = self.debt_bytes.saturating_sub(rate.saturating_mul(u128::from(BURST_SECONDS)));
        if over == 0 {
            return Ok(());
        }
        let wait_ns = over.saturating_mul(SECOND_NS) / rate;
        Err(Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(u64::MAX)).max(Duration::from_secs(1)))
    }

    /// Takes.
    pub(super) fn take(&mut self, n_bytes: usize) {
        self.debt_bytes = self.debt_bytes.saturating_add(u128::try_from(n_bytes).unwrap_or(u128::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_at_once_and_then_the_rate() {
        let mut bucket = Bucket::default();
        let second = |n: u64| n * 1_000_000_000;
        assert_eq!(bucket.check(second(100), 1_000), Ok(()));
        bucket.take(12_000);
        assert_eq!(bucket.check(second(100), 1_000), Err(Duration::from_secs(2)));
        assert_eq!(bucket.check(second(101), 1_000), Err(Duration::from_secs(1)));
        assert_eq!(bucket.check(second(102), 1_000), Ok(()));
        assert_eq!(bucket.check(0, 1_000), Ok(()), "a clock that goes back");
        assert!(bucket.check(second(102), 0).is_err(), "a rate of nothing");
    }
}
