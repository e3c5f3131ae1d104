//! How long something took, many times over: exact for few, in buckets within 0.4 % for many.

use std::collections::BTreeMap;

use serde::Serialize;

use super::report::milliseconds;

/// So many are kept as they are.
const N_EXACT: usize = 512;
/// Buckets of each power of two, as a power of two.
const BUCKET_BITS: u32 = 7;

/// Times in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Times {
    n: u64,
    min_ns: u64,
    max_ns: u64,
    mean_ns: f64,
    /// Sum of the squares of the differences from the mean (Welford).
    squares: f64,
    exact: Vec<u64>,
    buckets: BTreeMap<u16, u64>,
}

/// What a table shows of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TimesReport {
    /// How many.
    pub count: u64,
    /// The shortest.
    pub min_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// Their mean.
    pub mean_ns: u64,
    /// Half are not longer.
    pub median_ns: u64,
    /// 90 % are not longer.
    pub p90_ns: u64,
    /// 95 % are not longer.
    pub p95_ns: u64,
    /// 99 % are not longer.
    pub p99_ns: u64,
    /// How far they are spread.
    pub standard_deviation_ns: u64,
}

impl TimesReport {
    /// `mean 1.234 ms, median 1.100, p99 3.000, max 3.100`.
    pub(super) fn text(&self) -> String {
        let [mean, median, p99, max] =
            [self.mean_ns, self.median_ns, self.p99_ns, self.max_ns].map(milliseconds);
        format!("mean {mean} ms, median {median}, p99 {p99}, max {max}")
    }
}

impl Times {
    pub(super) fn add(&mut self, ns: u64) {
        self.n += 1;
        self.min_ns = if self.n == 1 { ns } else { self.min_ns.min(ns) };
        self.max_ns = self.max_ns.max(ns);
        let from_mean = ns as f64 - self.mean_ns;
        self.mean_ns += from_mean / self.n as f64;
        self.squares += from_mean * (ns as f64 - self.mean_ns);
        if self.buckets.is_empty() && self.exact.len() < N_EXACT {
            self.exact.push(ns);
            return;
        }
        for ns in self.exact.drain(..).chain([ns]) {
            *self.buckets.entry(bucket(ns)).or_default() += 1;
        }
    }

    /// Adds those of another stretch of time.
    pub(super) fn append(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        let n = self.n + other.n;
        let (from_mean, share) = (other.mean_ns - self.mean_ns, other.n as f64 / n as f64);
        self.squares += other.squares + from_mean * from_mean * self.n as f64 * share;
        self.mean_ns += from_mean * share;
        self.min_ns = if self.n == 0 { other.min_ns } else { self.min_ns.min(other.min_ns) };
        self.max_ns = self.max_ns.max(other.max_ns);
        self.n = n;
        let are_few = self.exact.len() + other.exact.len() <= N_EXACT;
        if self.buckets.is_empty() && other.buckets.is_empty() && are_few {
            self.exact.extend(&other.exact);
            return;
        }
        for ns in self.exact.drain(..).chain(other.exact.iter().copied()) {
            *self.buckets.entry(bucket(ns)).or_default() += 1;
        }
        for (number, n) in &other.buckets {
            *self.buckets.entry(*number).or_default() += n;
        }
    }

    pub(super) fn n(&self) -> u64 {
        self.n
    }

    /// All of them together.
    pub(super) fn sum_ns(&self) -> f64 {
        self.mean_ns * self.n as f64
    }

    pub(super) fn report(&self) -> TimesReport {
        let mut sorted = self.exact.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let rank = ((share * self.n as f64).ceil() as u64).max(1);
            if self.buckets.is_empty() {
                let place = usize::try_from(rank - 1).unwrap_or(usize::MAX);
                return sorted.get(place).copied().unwrap_or(0);
            }
            let mut n = 0;
            let found = self.buckets.iter().find(|(_, count)| {
                n += **count;
                n >= rank
            });
            found.map_or(self.max_ns, |(number, _)| middle(*number)).clamp(self.min_ns, self.max_ns)
        };
        TimesReport {
            count: self.n,
            min_ns: self.min_ns,
            max_ns: self.max_ns,
            mean_ns: self.mean_ns.round() as u64,
            median_ns: at(0.5),
            p90_ns: at(0.9),
            p95_ns: at(0.95),
            p99_ns: at(0.99),
            standard_deviation_ns: (self.squares / self.n.max(1) as f64).max(0.0).sqrt().round() as u64,
        }
    }
}

fn bucket(ns: u64) -> u16 {
    let power = (u64::BITS - 1).saturating_sub(ns.leading_zeros());
    let shift = power.saturating_sub(BUCKET_BITS);
    let number = (u64::from(shift) << BUCKET_BITS) + (ns >> shift);
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// The middle of a bucket.
fn middle(number: u16) -> u64 {
    let number = u64::from(number);
    if number < 2 << BUCKET_BITS {
        return number;
    }
    let shift = (number >> BUCKET_BITS) - 1;
    let first = number - (shift << BUCKET_BITS);
    first
        .checked_shl(u32::try_from(shift).unwrap_or(u32::MAX))
        .unwrap_or(u64::MAX)
        .saturating_add((1 << shift.min(63)) / 2)
}

#[cfg(test)]
mod tests {
    use super::{N_EXACT, Times, TimesReport, bucket, middle};
    use proptest::prelude::{prop, prop_assert, proptest};

    #[test]
    fn few_are_exact() {
        let mut times = Times::default();
        (1..=100).rev().for_each(|ns| times.add(ns));
        let report = times.report();
        assert_eq!((report.count, report.min_ns, report.max_ns, report.mean_ns), (100, 1, 100, 51));
        assert_eq!((report.median_ns, report.p90_ns, report.p95_ns, report.p99_ns), (50, 90, 95, 99));
        assert_eq!(report.standard_deviation_ns, 29);
        assert_eq!(Times::default().report(), TimesReport::default());
    }

    #[test]
    fn what_is_put_together_is_what_all_would_have_been() {
        for (n_first, n_second) in [(0, 3), (3, 0), (40, 60), (400, 400), (900, 20), (20, 900), (700, 800)] {
            let (mut first, mut second, mut all) = (Times::default(), Times::default(), Times::default());
            for i in 0..n_first + n_second {
                let ns = 1_000 + (i * 7919) % 5_000;
                let part = if i < n_first { &mut first } else { &mut second };
                part.add(ns);
                all.add(ns);
            }
            first.append(&second);
            let (found, expected) = (first.report(), all.report());
            // What is computed on another way is rounded elsewhere.
            let rounded = [
                (found.mean_ns, expected.mean_ns),
                (found.standard_deviation_ns, expected.standard_deviation_ns),
            ];
            assert!(rounded.iter().all(|(a, b)| a.abs_diff(*b) <= 1), "{found:?}, not {expected:?}");
            let found = TimesReport {
                mean_ns: expected.mean_ns,
                standard_deviation_ns: expected.standard_deviation_ns,
                ..found
            };
            assert_eq!(found, expected, "{n_first} and {n_second}");
            assert!((first.sum_ns() - all.sum_ns()).abs() < 1.0, "{n_first} and {n_second}");
        }
    }

    #[test]
    fn a_bucket_is_narrow_and_has_its_middle_in_it() {
        for ns in (0..64)
            .flat_map(|power| [0, 1, 77].map(|more| (1_u64 << power).saturating_add(more << power >> 8)))
        {
            let found = middle(bucket(ns));
            assert!(found.abs_diff(ns) as f64 <= ns as f64 * 0.004, "{ns}: {found}");
            assert_eq!(bucket(found), bucket(ns), "{ns}: {found}");
        }
        assert!(middle(bucket(u64::MAX)) > u64::MAX / 2);
        assert!(middle(u16::MAX) > 0);
    }

    proptest! {
        #[test]
        fn many_are_within_a_percent(mut all in prop::collection::vec(1_u64..1 << 40, N_EXACT..3 * N_EXACT)) {
            let mut times = Times::default();
            all.iter().for_each(|ns| times.add(*ns));
            all.sort_unstable();
            let report = times.report();
            for (found, share) in [(report.median_ns, 0.5), (report.p90_ns, 0.9), (report.p99_ns, 0.99)] {
                let rank = (share * all.len() as f64).ceil() as usize;
                let exact = all[rank - 1];
                prop_assert!(found.abs_diff(exact) as f64 <= exact as f64 * 0.01, "{found} for {exact}");
            }
            let mean = all.iter().sum::<u64>() / all.len() as u64;
            prop_assert!(report.mean_ns.abs_diff(mean) <= 1 + mean / 1000);
        }
    }
}
