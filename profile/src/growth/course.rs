//! Whether the growth of one stack goes on.

use std::ops::Range;

use serde::Serialize;

use super::Slice;

/// With fewer samples, a last quarter without any says nothing: in one of a hundred stacks that grow evenly it
/// happens at sixteen.
const MIN_SAMPLES: u64 = 16;
/// Of its mean rate, what a stack must grow by in the last quarter to count as growing: as for the verdict.
const CLIMBING_SHARE: f64 = 0.25;
/// Growth has ended where less than this share of it is missing: as for the verdict.
const EDGE_SHARE: f64 = 0.05;

/// What growth did until the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Course {
    /// It goes on.
    Growing,
    /// It came to an end, or nearly.
    Stopped {
        /// When all but the last of it was there.
        until_ns: u64,
    },
    /// Too few samples to tell.
    Unknown,
}

/// The course of what was taken within a stretch of time, given in the order of time.
#[must_use]
pub fn course(slices: &[Slice], within: &Range<u64>) -> Course {
    let n_samples: u64 = slices.iter().map(|slice| slice.n_samples).sum();
    if n_samples < MIN_SAMPLES {
        return Course::Unknown;
    }
    let total: f64 = slices.iter().map(|slice| slice.bytes as f64).sum();
    let quarter_ns = within.end.saturating_sub(within.start) / 4;
    let quarter = within.end.saturating_sub(quarter_ns);
    let late: f64 = slices.iter().map(|slice| slice.bytes as f64 * share_after(slice, quarter)).sum();
    if late >= CLIMBING_SHARE * total / 4.0 {
        return Course::Growing;
    }
    let mut sum = 0.0;
    let reaches = |slice: &&Slice| {
        sum += slice.bytes as f64;
        sum >= total * (1.0 - EDGE_SHARE)
    };
    let until_ns = slices.iter().find(reaches).map_or(within.start, |slice| slice.end_ns);
    Course::Stopped { until_ns }
}

/// The part of a slice that lies after a moment.
fn share_after(slice: &Slice, time_ns: u64) -> f64 {
    let length_ns = slice.end_ns.saturating_sub(slice.start_ns).max(1);
    slice.end_ns.saturating_sub(time_ns.max(slice.start_ns)) as f64 / length_ns as f64
}

#[cfg(test)]
mod tests {
    use super::{Course, course};
    use crate::growth::Slice;

    /// One slice for each second, given its bytes; each stands for so many samples.
    fn check(bytes: &[u64], n_samples: u64, expected: Course) {
        let slices: Vec<Slice> = (0..)
            .zip(bytes)
            .filter(|(_, bytes)| **bytes > 0)
            .map(|(second, bytes)| Slice {
                start_ns: second * 1_000_000_000,
                end_ns: (second + 1) * 1_000_000_000,
                n_samples,
                bytes: *bytes,
            })
            .collect();
        let within = 0..bytes.len() as u64 * 1_000_000_000;
        assert_eq!(course(&slices, &within), expected, "{bytes:?}");
    }

    #[test]
    fn growth_that_reaches_into_the_last_quarter_goes_on_and_other_growth_has_a_time_at_which_it_stopped() {
        check(&[10; 20], 1, Course::Growing);
        check(&[0, 0, 0, 0, 0, 0, 10, 10], 16, Course::Growing);
        let filled = [[10; 8], [0; 8]].concat();
        check(&filled, 2, Course::Stopped { until_ns: 8_000_000_000 });
        // A sample now and then is no growth.
        let nearly = [vec![100; 8], vec![0; 7], vec![1]].concat();
        check(&nearly, 2, Course::Stopped { until_ns: 8_000_000_000 });
    }

    #[test]
    fn a_few_samples_say_nothing() {
        check(&[10, 0, 0, 0], 15, Course::Unknown);
        check(&[], 1, Course::Unknown);
    }
}
