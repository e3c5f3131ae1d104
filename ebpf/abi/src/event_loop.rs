//! A thread that waits for events, over and over, as the kernel side keeps it.

/// Bits of a bucket's number below its power of two: eight buckets for each.
const BUCKET_BITS: u32 = 3;
/// A time is counted in units of 128 ns.
const UNIT_BITS: u32 = 7;
/// Buckets of the histogram: the last is for 9 minutes and above.
pub const N_BUCKETS: usize = 256;

/// It waits.
pub const WAITS: u32 = 0;
/// It has come back from a wait and not begun the next.
pub const WORKS: u32 = 1;

/// Value of the map of workers, keyed by thread ID.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    /// When the present wait or iteration began.
    pub since_ns: u64,
    /// Its process.
    pub tgid: u32,
    /// [`WAITS`] or [`WORKS`].
    pub state: u32,
    /// Iterations that are over: from the end of a wait to the beginning of the next.
    pub n_iterations: u64,
    /// What they took.
    pub busy_ns: u64,
    /// What waits that are over took.
    pub waiting_ns: u64,
    /// The longest iteration.
    pub max_ns: u64,
    /// Iterations above the limit.
    pub n_stalls: u64,
    /// What these took.
    pub stalled_ns: u64,
    /// Iterations by [`bucket`].
    pub buckets: [u32; N_BUCKETS],
}

impl Worker {
    /// One that begins to wait or work now.
    #[inline(always)]
    #[must_use]
    pub const fn new(tgid: u32, state: u32, since_ns: u64) -> Self {
        Self {
            since_ns,
            tgid,
            state,
            n_iterations: 0,
            busy_ns: 0,
            waiting_ns: 0,
            max_ns: 0,
            n_stalls: 0,
            stalled_ns: 0,
            buckets: [0; N_BUCKETS],
        }
    }
}

/// The bucket that a time falls into.
#[inline(always)]
#[must_use]
pub const fn bucket(n_ns: u64) -> usize {
    let n_units = n_ns >> UNIT_BITS;
    if n_units < 1 << BUCKET_BITS {
        return n_units as usize;
    }
    let power = u64::BITS - 1 - n_units.leading_zeros();
    let part = n_units >> (power - BUCKET_BITS) & ((1 << BUCKET_BITS) - 1);
    let bucket = ((power - BUCKET_BITS + 1) << BUCKET_BITS) as u64 + part;
    if bucket < N_BUCKETS as u64 { bucket as usize } else { N_BUCKETS - 1 }
}

/// The shortest time that falls into a bucket.
#[must_use]
pub const fn bucket_start_ns(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 1 << BUCKET_BITS {
        return bucket << UNIT_BITS;
    }
    let power = (bucket >> BUCKET_BITS) as u32 + BUCKET_BITS - 1;
    let part = bucket & ((1 << BUCKET_BITS) - 1);
    ((1 << power) + (part << (power - BUCKET_BITS))) << UNIT_BITS
}

const _: () = assert!(size_of::<Worker>() == 64 + 4 * N_BUCKETS);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Worker {}

#[cfg(test)]
mod tests {
    use super::{N_BUCKETS, bucket, bucket_start_ns};

    #[test]
    fn a_time_falls_into_the_bucket_that_begins_at_or_below_it_and_is_no_wider_than_an_eighth() {
        for n_ns in [0, 1, 127, 128, 1023, 1024, 1500, 10_000, 999_999, 50_000_000, 60_000_000_000] {
            let at = bucket(n_ns);
            let (start, end) = (bucket_start_ns(at), bucket_start_ns(at + 1));
            assert!(start <= n_ns && n_ns < end, "{n_ns} in {at}: {start}..{end}");
            assert!(end - start <= 128.max(start / 8), "{n_ns} in {at}: {start}..{end}");
        }
        assert_eq!(bucket(u64::MAX), N_BUCKETS - 1);
    }

    #[test]
    fn buckets_follow_each_other() {
        for number in 0..N_BUCKETS {
            assert_eq!(bucket(bucket_start_ns(number)), number);
        }
    }
}
