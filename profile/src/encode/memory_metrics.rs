//! What a watch of memory found, as metrics: the last readings, the rate, the verdict.
//!
//! | metric | unit | attributes | holds |
//! |---|---|---|---|
//! | `brazier.memory.usage` | By | `field` | the last reading of the tree, by the fields of the report |
//! | `brazier.memory.growth` | By/s | | the rate of the growth that was judged; 0 without any |
//! | `brazier.memory.verdict` | 1 | `verdict`, `pattern` | 1 |
//! | `brazier.memory.limit` | By | `source` | the limit that is reached first |
//! | `brazier.memory.limit.used` | By | `source` | of it in use |
//! | `brazier.memory.limit.time_left` | s | `source` | until it is reached; no value if it is not |
//! | `process.memory.usage` | By | `process.pid`, `process.executable.name` | RSS of each live process |

use serde::Serialize;

use super::otlp_metrics::{Metric, MetricKind, Number, Point};
use crate::{Labels, memory::MemoryReport};

/// The metrics of a watch, as of its end.
#[must_use]
pub fn metrics(report: &MemoryReport) -> Vec<Metric> {
    let unix_ns = report.start_unix_ns.saturating_add(report.duration_ns);
    let point = |attributes: Labels, value: Number| Point { attributes, unix_ns, value };
    let gauge = |name: &str, unit: &str, description: &str, points: Vec<Point>| Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        kind: MetricKind::Gauge,
        points,
    };
    let tree = report
        .tree
        .iter()
        .map(|(field, series)| point(Labels::default().with("field", *field), bytes(series.last_bytes)));
    let growth = point(Labels::default(), Number::Float(report.verdict.rate_bytes_per_second));
    let verdict = Labels::default()
        .with("verdict", word(report.verdict.kind))
        .with("pattern", word(report.verdict.pattern));
    let of_limit = |value: &dyn Fn(&crate::memory::LimitReport) -> Option<Number>| -> Vec<Point> {
        let limit = report.limit.as_ref();
        let found =
            limit.and_then(|limit| Some((Labels::default().with("source", &limit.source), value(limit)?)));
        found.map(|(attributes, value)| point(attributes, value)).into_iter().collect()
    };
    let live = report.processes.iter().filter(|process| !process.has_ended).map(|process| {
        let attributes = Labels::default()
            .with("process.pid", process.pid.to_string())
            .with("process.executable.name", &process.name);
        point(attributes, bytes(process.usage.resident_bytes))
    });
    vec![
        gauge("brazier.memory.usage", "By", "Memory of all processes that are watched.", tree.collect()),
        gauge("brazier.memory.growth", "By/s", "Growth of anonymous memory and swap.", vec![growth]),
        gauge(
            "brazier.memory.verdict",
            "1",
            "Whether memory leaks, by the rules of `agent memory`.",
            vec![point(verdict, Number::Integer(1))],
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
        Metric {
            kind: MetricKind::UpDownCounter { since_unix_ns: report.start_unix_ns },
            ..gauge("process.memory.usage", "By", "Resident memory of a process.", live.collect())
        },
    ]
}

fn bytes(value: u64) -> Number {
    Number::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// The word that reports have for it.
fn word(value: impl Serialize) -> String {
    let word = serde_json::to_value(value).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}
