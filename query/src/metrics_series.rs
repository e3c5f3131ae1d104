//! One series of a metric: fewer points than there are, and where it goes. Pure.

use std::collections::BTreeMap;

use profile::trend::{self, Direction, History, Point};
use serde::Serialize;

const NS_PER_MS: i64 = 1_000_000;
const SECONDS_PER_HOUR: f64 = 3_600.0;
/// Points that are shown.
const MAX_SHOWN: usize = 1_000;
/// Points that are judged: the slope looks at each pair of them.
const MAX_JUDGED: usize = 500;
/// What the largest value of a series becomes before its trend is looked at, where it is not bytes: rules are made for bytes.
const SCALE: f64 = 1e12;

/// A series.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricSeries {
    /// Of whom.
    pub labels: BTreeMap<String, String>,
    /// What kind of number it is: `gauge`, `counter`, `up_down_counter`, `delta`.
    pub kind: String,
    /// Milliseconds since the Unix epoch, and values; where there are too many, the last of each stretch.
    pub points: Vec<(i64, f64)>,
    /// Where it goes.
    pub verdict: MetricVerdict,
}

/// Where a series goes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricVerdict {
    /// Which way.
    pub kind: VerdictKind,
    /// Why, for people.
    pub sentence: String,
    /// The slope of the line, or of the growth that is a leak; none if there is none.
    pub growth_per_hour: Option<f64>,
}

/// Which way a series goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VerdictKind {
    /// It grows.
    Increasing,
    /// It stays.
    Stable,
    /// It shrinks.
    Decreasing,
    /// It grows, does not stop, and the rate matters.
    Leak,
    /// The points do not say, or the kind of number does not.
    Unknown,
}

impl From<Direction> for VerdictKind {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Increasing => Self::Increasing,
            Direction::Stable => Self::Stable,
            Direction::Decreasing => Self::Decreasing,
            Direction::Unknown => Self::Unknown,
        }
    }
}

/// A series out of its points, by time in nanoseconds.
pub(crate) fn series(
    labels: BTreeMap<String, String>,
    kind: &str,
    unit: &str,
    points: &BTreeMap<i64, f64>,
) -> MetricSeries {
    let verdict = verdict(kind, unit, points);
    MetricSeries { labels, kind: kind.to_owned(), points: shown(points), verdict }
}

fn shown(points: &BTreeMap<i64, f64>) -> Vec<(i64, f64)> {
    let n_of_one = points.len().div_ceil(MAX_SHOWN).max(1);
    let finite: Vec<(i64, f64)> = points
        .iter()
        .filter(|(_, value)| value.is_finite())
        .map(|(ns, value)| (ns / NS_PER_MS, *value))
        .collect();
    finite.chunks(n_of_one).filter_map(<[_]>::last).copied().collect()
}

fn verdict(kind: &str, unit: &str, points: &BTreeMap<i64, f64>) -> MetricVerdict {
    let unknown = |sentence: &str| MetricVerdict {
        kind: VerdictKind::Unknown,
        sentence: sentence.to_owned(),
        growth_per_hour: None,
    };
    if !["gauge", "up_down_counter"].contains(&kind) {
        return unknown("it counts what has happened, and such a number only grows");
    }
    if points.values().any(|value| !value.is_finite() || *value < 0.0) {
        return unknown("it has values below zero, or that are no numbers");
    }
    let highest = points.values().fold(0.0_f64, |highest, value| highest.max(*value));
    let is_bytes = ["By", "bytes"].contains(&unit);
    let scale = if is_bytes || highest == 0.0 { 1.0 } else { SCALE / highest };
    let first_ns = points.keys().next().copied().unwrap_or_default();
    let mut history = History::new(MAX_JUDGED);
    for (ns, value) in points {
        history.push(ns.abs_diff(first_ns), (value * scale) as u64);
    }
    let points: Vec<Point> = history.points();
    let trend = trend::trend(&points);
    let per_hour = |rate: f64| rate * SECONDS_PER_HOUR / scale;
    let slope = trend.fit.as_ref().map(|fit| per_hour(fit.rate_bytes_per_second));
    if !is_bytes {
        let slope = slope.unwrap_or_default();
        let sentence = match trend.direction {
            Direction::Increasing => format!("grows by {slope:.4} {unit} an hour"),
            Direction::Decreasing => format!("shrinks by {:.4} {unit} an hour", -slope),
            Direction::Stable => "stays where it is".to_owned(),
            Direction::Unknown => "too few points to say".to_owned(),
        };
        return MetricVerdict { kind: trend.direction.into(), sentence, growth_per_hour: Some(slope) };
    }
    let judged = trend::judge(&points, None);
    let sentence = judged.reasons.first().cloned().unwrap_or_default();
    match judged.kind {
        trend::VerdictKind::Leak => MetricVerdict {
            kind: VerdictKind::Leak,
            sentence,
            growth_per_hour: Some(per_hour(judged.rate_bytes_per_second)),
        },
        trend::VerdictKind::NoLeak | trend::VerdictKind::Undecided => {
            MetricVerdict { kind: trend.direction.into(), sentence, growth_per_hour: slope }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn check(kind: &str, unit: &str, value: impl Fn(f64) -> f64) -> MetricVerdict {
        let points: BTreeMap<i64, f64> =
            (0..3_600).map(|second| (second * SECOND, value(second as f64))).collect();
        let series = series(BTreeMap::new(), kind, unit, &points);
        assert!(series.points.len() <= MAX_SHOWN, "{}", series.points.len());
        assert_eq!(series.points.last().map(|(ms, _)| *ms), Some(3_599_000));
        series.verdict
    }

    #[test]
    fn memory_that_grows_and_does_not_stop_is_a_leak() {
        let leak = check("gauge", "By", |second| 1e8 + second * 1e5);
        assert_eq!(leak.kind, VerdictKind::Leak, "{leak:?}");
        let per_hour = leak.growth_per_hour.expect("has a slope");
        assert!((per_hour - 3.6e8).abs() < 1e7, "{leak:?}");
        let stable = check("up_down_counter", "By", |_| 1e8);
        assert_eq!(stable.kind, VerdictKind::Stable, "{stable:?}");
    }

    #[test]
    fn other_numbers_have_a_direction_and_those_that_only_grow_have_none() {
        let threads = check("gauge", "{thread}", |second| 10.0 + second / 100.0);
        assert_eq!(threads.kind, VerdictKind::Increasing, "{threads:?}");
        let per_hour = threads.growth_per_hour.expect("has a slope");
        assert!((per_hour - 36.0).abs() < 1.0, "{threads:?}");
        assert_eq!(check("counter", "By", |second| second * 1e9).kind, VerdictKind::Unknown);
        assert_eq!(check("gauge", "By", |second| second - 5.0).kind, VerdictKind::Unknown);
        assert_eq!(check("gauge", "1", |_| 0.0).kind, VerdictKind::Stable);
    }
}
