//! How a quantity moves: a bounded [`History`], or the [`Recent`] past alone, a line with the confidence of its [`Fit`],
//! a [`Trend`], and the [`Verdict`] on whether memory leaks. Points go in, values come out; where they were read is
//! another's business.

mod fit;
mod history;
mod recent;
mod runs;
mod verdict;
mod wording;

#[cfg(test)]
mod shapes;
#[cfg(test)]
mod tests;

pub use fit::{Fit, fit};
pub use history::History;
pub use recent::Recent;
pub use verdict::{MIN_POINTS, Pattern, Verdict, VerdictKind, judge};
pub use wording::{clock_text, rate_text};

use serde::Serialize;

/// One reading, or several that were merged into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Since the start of the run.
    pub time_ns: u64,
    /// At that time: of merged readings the last.
    pub bytes: u64,
    /// The lowest of what was merged.
    pub low_bytes: u64,
    /// The highest of what was merged.
    pub high_bytes: u64,
}

impl Point {
    /// One reading.
    #[must_use]
    pub fn at(time_ns: u64, bytes: u64) -> Self {
        Self { time_ns, bytes, low_bytes: bytes, high_bytes: bytes }
    }
}

/// Which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The whole interval of the slope is above zero, and the change is more than noise.
    Increasing,
    /// The interval of the slope holds zero, or the change is too small to matter.
    Stable,
    /// The whole interval of the slope is below zero, and the change is more than noise.
    Decreasing,
    /// Too few points to say.
    Unknown,
}

/// A direction, and the line that it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// Which way it goes.
    pub direction: Direction,
    /// None for less than two points.
    pub fit: Option<Fit>,
}

/// A change below this share of the level is called stable.
const NOISE_SHARE: f64 = 0.01;
/// As is a change of less than this: sixteen pages come and go with a call deep into the stack.
const NOISE_BYTES: f64 = 65_536.0;
/// As is a change of less than so many usual steps from one point to the next.
const NOISE_STEPS: f64 = 3.0;

/// The trend of all points; they must be in the order of their times.
#[must_use]
pub fn trend(points: &[Point]) -> Trend {
    let Some(fit) = fit(points) else { return Trend { direction: Direction::Unknown, fit: None } };
    let change = fit.rate_bytes_per_second * fit.span_s;
    let direction = match (fit.rate_low_bytes_per_second, fit.rate_high_bytes_per_second) {
        (Some(low), Some(high)) if change.abs() >= noise_bytes(points) => match (low > 0.0, high < 0.0) {
            (true, _) => Direction::Increasing,
            (_, true) => Direction::Decreasing,
            _ => Direction::Stable,
        },
        (Some(_), Some(_)) => Direction::Stable,
        // No interval from many points means that they hang together too much to exclude a slope of zero.
        _ if points.len() >= MIN_POINTS => Direction::Stable,
        _ => Direction::Unknown,
    };
    Trend { direction, fit: Some(fit) }
}

/// A change of less than this says nothing.
fn noise_bytes(points: &[Point]) -> f64 {
    let highest = points.iter().map(|point| point.bytes).max().unwrap_or(0);
    let neighbours = points.iter().zip(points.iter().skip(1));
    let mut steps: Vec<f64> = neighbours.map(|(a, b)| b.bytes.abs_diff(a.bytes) as f64).collect();
    steps.sort_unstable_by(f64::total_cmp);
    (highest as f64 * NOISE_SHARE).max(NOISE_BYTES).max(NOISE_STEPS * fit::median(&steps))
}
