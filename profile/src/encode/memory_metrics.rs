//! Memory of processes as metrics: the last readings, the rate, the verdict, the limit.
//!
//! | metric | unit | attributes | holds |
//! |---|---|---|---|
//! | `brazier.memory.usage` | By | `field` | the last reading, summed over the processes, by the fields of the report |
//! | `brazier.memory.processes` | {process} | | how many that sum is over |
//! | `brazier.memory.growth` | By/s | | the rate of the growth that was judged; 0 without any; no value for too few points |
//! | `brazier.memory.growth.low`, `.high` | By/s | | its 95 % interval; no value if the points do not give one |
//! | `brazier.memory.verdict` | 1 | `verdict`, `pattern` | 0 no leak, 1 undecided, 2 leak |
//! | `brazier.memory.limit` | By | `source` | the limit that is reached first |
//! | `brazier.memory.limit.used` | By | `source` | of it in use |
//! | `brazier.memory.limit.time_left` | s | `source` | until it is reached; no value if it is not |
//! | `process.memory.usage` | By | `process.pid`, `process.executable.name` | RSS of each live process of a watch |

use serde::Serialize;

use super::otlp_metrics::{Metric, MetricKind, Number, Point};
use crate::{
    Labels,
    memory::{LimitReport, MemoryReport},
    trend::{Pattern, Verdict, VerdictKind},
};

/// What is known of the memory of some processes at one moment.
#[derive(Clone, Debug)]
pub struct MemoryFigures<'a> {
    /// When.
    pub unix_ns: u64,
    /// Sums over the processes, by the name of the field.
    pub usage: Vec<(&'static str, u64)>,
    /// How many processes.
    pub n_processes: usize,
    /// On their anonymous memory and swap.
    pub verdict: &'a Verdict,
    /// The limit that is reached first, if one is known.
    pub limit: Option<&'a LimitReport>,
}

/// The metrics of a watch, as of its end.
#[must_use]
pub fn metrics(report: &MemoryReport) -> Vec<Metric> {
    let unix_ns = report.start_unix_ns.saturating_add(report.duration_ns);
    let live: Vec<_> = report.processes.iter().filter(|process| !process.has_ended).collect();
    let mut metrics = of(&MemoryFigures {
        unix_ns,
        usage: report.tree.iter().map(|(field, series)| (*field, series.last_bytes)).collect(),
        n_processes: live.len(),
        verdict: &report.verdict,
        limit: report.limit.as_ref(),
    });
    let points = live.iter().map(|process| {
        let attributes = Labels::default()
            .with("process.pid", process.pid.to_string())
            .with("process.executable.name", &process.name);
        Point { attributes, unix_ns, value: bytes(process.usage.resident_bytes) }
    });
    metrics.push(Metric {
        kind: MetricKind::UpDownCounter { since_unix_ns: report.start_unix_ns },
        ..gauge("process.memory.usage", "By", "Resident memory of a process.", points.collect())
    });
    metrics
}

/// The metrics of one moment.
#[must_use]
pub fn of(figures: &MemoryFigures<'_>) -> Vec<Metric> {
    let MemoryFigures { unix_ns, usage, n_processes, verdict, limit } = figures;
    let point = |attributes: Labels, value: Number| Point { attributes, unix_ns: *unix_ns, value };
    let plain = |value: Option<Number>| -> Vec<Point> {
        value.map(|value| point(Labels::default(), value)).into_iter().collect()
    };
    let usage = usage
        .iter()
        .map(|(field, n_bytes)| point(Labels::default().with("field", *field), bytes(*n_bytes)))
        .collect();
    // Two readings have a slope, too, and it says nothing.
    let is_judged = verdict.pattern != Pattern::TooShort;
    let fit = verdict.fit.filter(|_| is_judged);
    let rate = |value: Option<f64>| plain(value.map(Number::Float));
    let judged = Labels::default().with("verdict", word(verdict.kind)).with("pattern", word(verdict.pattern));
    let of_limit = |value: &dyn Fn(&LimitReport) -> Option<Number>| -> Vec<Point> {
        let found =
            limit.and_then(|limit| Some((Labels::default().with("source", &limit.source), value(limit)?)));
        found.map(|(attributes, value)| point(attributes, value)).into_iter().collect()
    };
    vec![
        gauge("brazier.memory.usage", "By", "Memory of all processes that are watched.", usage),
        gauge(
            "brazier.memory.processes",
            "{process}",
            "Processes that are watched.",
            plain(Some(Number::Integer(i64::try_from(*n_processes).unwrap_or(i64::MAX)))),
        ),
        gauge(
            "brazier.memory.growth",
            "By/s",
            "Growth of anonymous memory and swap.",
            rate(is_judged.then_some(verdict.rate_bytes_per_second)),
        ),
        gauge(
            "brazier.memory.growth.low",
            "By/s",
            "Lower end of the 95 % interval of the growth.",
            rate(fit.and_then(|fit| fit.rate_low_bytes_per_second)),
        ),
        gauge(
            "brazier.memory.growth.high",
            "By/s",
            "Upper end of the 95 % interval of the growth.",
            rate(fit.and_then(|fit| fit.rate_high_bytes_per_second)),
        ),
        gauge(
            "brazier.memory.verdict",
            "1",
            "Whether memory leaks, by the rules of `agent memory`: 0 no, 1 undecided, 2 yes.",
            vec![point(judged, Number::Integer(rank(verdict.kind)))],
        ),
        gauge(
            "brazier.memory.limit",
            "By",
            "The limit that is reached first.",
            of_limit(&|limit| Some(bytes(limit.limit_bytes))),
        ),
        gauge(
            "brazier.memory.limit.used",
            "By",
            "Of the limit, what is in use.",
            of_limit(&|limit| Some(bytes(limit.used_bytes))),
        ),
        gauge(
            "brazier.memory.limit.time_left",
            "s",
            "Until the limit is reached, if it goes on like this.",
            of_limit(&|limit| limit.time_to_limit_s.map(Number::Float)),
        ),
    ]
}

fn gauge(name: &str, unit: &str, description: &str, points: Vec<Point>) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        kind: MetricKind::Gauge,
        points,
    }
}

fn bytes(value: u64) -> Number {
    Number::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The higher, the more of a reason to look.
const fn rank(kind: VerdictKind) -> i64 {
    match kind {
        VerdictKind::NoLeak => 0,
        VerdictKind::Undecided => 1,
        VerdictKind::Leak => 2,
    }
}

/// The word that reports have for it.
fn word(value: impl Serialize) -> String {
    let word = serde_json::to_value(value).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}
