//! From series of metrics to what a rule finds in them. Pure.

use std::collections::BTreeMap;

use profile::bytes_text;
use query::{MetricSeries, TimeRange, VerdictKind};

use super::{
    finding::{Finding, LabelMap},
    link,
    rule::{Growth, Limit},
};

/// What agents count, and what they lose of it.
pub(super) const SAMPLES: &str = "brazier.samples";
pub(super) const LOST: &str = "brazier.lost.samples";
/// Labels by which these are told apart on one host.
const OF_LOSSES: [&str; 2] = ["cause", "event"];
/// Of fewer samples that were due, a share says nothing.
const MIN_DUE: f64 = 100.0;
const SECONDS_PER_HOUR: f64 = 3_600.0;

/// Series that leak.
pub(super) fn leaks(metric: &str, unit: &str, range: TimeRange, series: &[MetricSeries]) -> Vec<Finding> {
    let leaks = series.iter().filter(|it| it.verdict.kind == VerdictKind::Leak);
    leaks
        .map(|it| Finding {
            labels: it.labels.clone(),
            value: it.verdict.growth_per_hour.unwrap_or_default(),
            unit: format!("{unit}/h"),
            threshold: None,
            sentence: format!("{metric} leaks: {}", it.verdict.sentence),
            link: link::metric(metric, &it.labels, range),
        })
        .collect()
}

/// Series that reach a limit soon, or have nearly done so.
pub(super) fn growth(
    growth: &Growth,
    unit: &str,
    range: TimeRange,
    series: &[MetricSeries],
    limits: &[MetricSeries],
) -> Vec<Finding> {
    let found = series.iter().filter_map(|it| {
        let used = last(it)?;
        let limit = match &growth.limit {
            Limit::Value(limit) => *limit,
            Limit::Metric(_) => limit_of(&it.labels, limits)?,
        };
        let (value, found_unit, threshold, sentence) =
            over(growth, unit, used, limit).or_else(|| soon(growth, it, unit, used, limit))?;
        Some(Finding {
            labels: it.labels.clone(),
            value,
            unit: found_unit.to_owned(),
            threshold: Some(threshold),
            sentence,
            link: link::metric(&growth.metric, &it.labels, range),
        })
    });
    found.collect()
}

type Reached = (f64, &'static str, f64, String);

fn over(growth: &Growth, unit: &str, used: f64, limit: f64) -> Option<Reached> {
    let threshold = growth.over_percent?;
    let percent = 100.0 * used / limit;
    let (used, of) = (amount(used, unit), amount(limit, unit));
    let sentence = format!("{} is at {used}, {percent:.1} % of its limit of {of}", growth.metric);
    (percent > threshold).then_some((percent, "percent", threshold, sentence))
}

fn soon(growth: &Growth, series: &MetricSeries, unit: &str, used: f64, limit: f64) -> Option<Reached> {
    let threshold = growth.within_seconds? as f64;
    let is_growing = matches!(series.verdict.kind, VerdictKind::Increasing | VerdictKind::Leak);
    let per_hour = series.verdict.growth_per_hour.filter(|rate| is_growing && *rate > 0.0)?;
    let seconds = (limit - used).max(0.0) / per_hour * SECONDS_PER_HOUR;
    let (used, of, rate) = (amount(used, unit), amount(limit, unit), amount(per_hour, unit));
    let sentence = format!(
        "{} is at {used}, grows by {rate} an hour, and reaches its limit of {of} in {}",
        growth.metric,
        span(seconds)
    );
    (seconds < threshold).then_some((seconds, "seconds", threshold, sentence))
}

/// The lowest limit whose labels say nothing else than those of the series.
fn limit_of(labels: &LabelMap, limits: &[MetricSeries]) -> Option<f64> {
    let agrees = |of_limit: &LabelMap| {
        of_limit.iter().all(|(name, value)| labels.get(name).is_none_or(|known| known == value))
    };
    let found = limits.iter().filter(|it| agrees(&it.labels)).filter_map(last);
    found.filter(|limit| *limit > 0.0).reduce(f64::min)
}

fn last(series: &MetricSeries) -> Option<f64> {
    series.points.last().map(|(_, value)| *value)
}

/// Hosts that lose too many samples.
pub(super) fn lost(
    over_percent: f64,
    range: TimeRange,
    taken: &[MetricSeries],
    lost: &[MetricSeries],
) -> Vec<Finding> {
    let mut sums: BTreeMap<LabelMap, Losses<'_>> = BTreeMap::new();
    for (series, is_lost) in taken.iter().map(|it| (it, false)).chain(lost.iter().map(|it| (it, true))) {
        let grown = increase(&series.kind, &series.points);
        let sum = sums.entry(without(&series.labels, &OF_LOSSES)).or_default();
        sum.due += grown;
        if is_lost {
            sum.lost += grown;
            let cause = series.labels.get("cause").map_or("no cause", String::as_str);
            if grown > sum.most.0 {
                sum.most = (grown, cause);
            }
        }
    }
    let found = sums.into_iter().filter_map(|(labels, sum)| {
        let percent = 100.0 * sum.lost / sum.due;
        (sum.due >= MIN_DUE && percent > over_percent).then(|| Finding {
            value: percent,
            unit: "percent".to_owned(),
            threshold: Some(over_percent),
            sentence: format!(
                "{percent:.1} % of {:.0} samples that were due are lost, most of them by {}",
                sum.due, sum.most.1
            ),
            link: link::metric(LOST, &labels, range),
            labels,
        })
    });
    found.collect()
}

#[derive(Default)]
struct Losses<'a> {
    due: f64,
    lost: f64,
    /// The cause of most of it.
    most: (f64, &'a str),
}

/// What a counter has grown by. One that is smaller than before began anew.
fn increase(kind: &str, points: &[(i64, f64)]) -> f64 {
    if kind == "delta" {
        return points.iter().map(|(_, value)| value.max(0.0)).sum();
    }
    let pairs = points.iter().zip(points.iter().skip(1));
    pairs.map(|((_, before), (_, now))| if now >= before { now - before } else { now.max(0.0) }).sum()
}

fn without(labels: &LabelMap, names: &[&str]) -> LabelMap {
    let rest = labels.iter().filter(|(name, _)| !names.contains(&name.as_str()));
    rest.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn amount(value: f64, unit: &str) -> String {
    match unit {
        "By" | "bytes" => bytes_text(value.max(0.0) as u64),
        "" | "1" => format!("{value:.3}"),
        unit => format!("{value:.3} {unit}"),
    }
}

fn span(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        120.0..7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / SECONDS_PER_HOUR),
    }
}

#[cfg(test)]
mod tests {
    use query::MetricVerdict;

    use super::*;

    const RANGE: TimeRange = TimeRange { from_unix_ns: 0, until_unix_ns: 3_600_000_000_000 };
    const GIB: f64 = 1_073_741_824.0;

    fn labels(pairs: &[(&str, &str)]) -> LabelMap {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn series(pairs: &[(&str, &str)], kind: VerdictKind, per_hour: f64, values: &[f64]) -> MetricSeries {
        MetricSeries {
            labels: labels(pairs),
            kind: "counter".to_owned(),
            points: (0..).zip(values.iter().copied()).collect(),
            verdict: MetricVerdict { kind, sentence: "grows".to_owned(), growth_per_hour: Some(per_hour) },
        }
    }

    #[test]
    fn of_all_series_those_that_leak_are_found() {
        let all = [
            series(&[("service", "a")], VerdictKind::Leak, 5e8, &[1.0]),
            series(&[("service", "b")], VerdictKind::Increasing, 5e8, &[1.0]),
        ];
        let found = leaks("process.memory.usage", "By", RANGE, &all);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].value, found[0].unit.as_str()), (5e8, "By/h"));
        assert!(found[0].link.contains("service%3D%22a%22"), "{found:?}");
    }

    #[test]
    fn growth_is_judged_by_what_is_used_and_by_when_the_limit_is_reached() {
        let rule = |within_seconds, over_percent| Growth {
            metric: "m".to_owned(),
            limit: Limit::Value(10.0 * GIB),
            within_seconds,
            over_percent,
        };
        let check = |rule: &Growth, kind, used: f64| {
            let all = [series(&[], kind, GIB, &[0.0, used * GIB])];
            growth(rule, "By", RANGE, &all, &[]).pop().map(|it| (it.value.round(), it.unit, it.sentence))
        };
        let by_share = rule(None, Some(90.0));
        let (value, unit, sentence) = check(&by_share, VerdictKind::Stable, 9.5).expect("is over");
        assert_eq!((value, unit.as_str()), (95.0, "percent"));
        assert_eq!(sentence, "m is at 9.5 GiB, 95.0 % of its limit of 10.0 GiB");
        assert_eq!(check(&by_share, VerdictKind::Leak, 8.9), None);
        let by_time = rule(Some(7_200), None);
        let (value, _, sentence) = check(&by_time, VerdictKind::Increasing, 9.0).expect("is soon");
        assert_eq!(value, 3_600.0);
        assert_eq!(
            sentence,
            "m is at 9.0 GiB, grows by 1.0 GiB an hour, and reaches its limit of 10.0 GiB in 60 min"
        );
        assert_eq!(check(&by_time, VerdictKind::Stable, 9.0), None, "it does not grow");
        assert_eq!(check(&by_time, VerdictKind::Increasing, 7.0), None, "three hours are left");
    }

    #[test]
    fn a_limit_is_that_of_the_same_host_and_the_lowest_of_several() {
        let rule = Growth {
            metric: "m".to_owned(),
            limit: Limit::Metric("l".to_owned()),
            within_seconds: None,
            over_percent: Some(50.0),
        };
        let stable = |pairs: &[(&str, &str)], value| series(pairs, VerdictKind::Stable, 0.0, &[value]);
        let all = [
            stable(&[("host", "a"), ("field", "x")], 6.0),
            stable(&[("host", "b")], 6.0),
            stable(&[("host", "c")], 6.0),
        ];
        let limits = [
            stable(&[("host", "a"), ("source", "s")], 20.0),
            stable(&[("host", "a"), ("source", "t")], 10.0),
            stable(&[("host", "b")], 20.0),
        ];
        let found = growth(&rule, "1", RANGE, &all, &limits);
        let hosts: Vec<&str> = found.iter().map(|it| it.labels["host"].as_str()).collect();
        assert_eq!(hosts, ["a"], "{found:?}");
    }

    #[test]
    fn samples_that_are_lost_are_a_share_of_those_that_were_due_on_the_same_host() {
        let of = |pairs: &[(&str, &str)], values: &[f64]| series(pairs, VerdictKind::Unknown, 0.0, values);
        let taken = [
            of(&[("host", "a"), ("event", "cpu")], &[1_000.0, 1_900.0]),
            // It began anew in between.
            of(&[("host", "b"), ("event", "cpu")], &[5_000.0, 100.0, 1_000.0]),
            of(&[("host", "c"), ("event", "cpu")], &[0.0, 50.0]),
        ];
        let gone = [
            of(&[("host", "a"), ("cause", "ring_full")], &[10.0, 90.0]),
            of(&[("host", "a"), ("cause", "late")], &[0.0, 20.0]),
            of(&[("host", "b"), ("cause", "ring_full")], &[0.0, 1.0]),
            of(&[("host", "c"), ("cause", "ring_full")], &[0.0, 40.0]),
        ];
        let found = lost(5.0, RANGE, &taken, &gone);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].labels, labels(&[("host", "a")]));
        assert_eq!(found[0].value, 10.0);
        assert_eq!(
            found[0].sentence,
            "10.0 % of 1000 samples that were due are lost, most of them by ring_full"
        );
        assert_eq!(lost(10.0, RANGE, &taken, &gone), []);
        assert_eq!(lost(0.0, RANGE, &[], &[]), []);
    }
}
