//! Memory: which way it goes, whether that is a leak, and who takes it.

use serde::Serialize;

use super::{
    advice::{Advice, Gain, Resource},
    groups::Group,
    proxy::Proxy,
    report::{Analysis, Bottleneck},
};
use crate::{
    Profile, StackHandle,
    growth::{TopStack, top_stacks},
    memory::MemoryReport,
    trend::{Direction, VerdictKind, clock_text, rate_text},
    units::{bytes_text, rounded},
};

/// Who collects garbage grows until it does.
const MIN_DURATION_NS: u64 = 20_000_000_000;
const MIN_DURATION_WITH_GARBAGE_NS: u64 = 120_000_000_000;
/// A leak that takes longer than this to reach the limit is not what holds a server up today.
const DAY_S: f64 = 86_400.0;
/// The least that a leak weighs.
const LEAK_PERCENT: f64 = 1.0;
/// Stacks in the report.
const MAX_STACKS: usize = 5;

/// Which way memory goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, in docs/analyze.md")]
pub struct MemoryAnalysis {
    pub direction: Option<Direction>,
    pub verdict: Option<VerdictKind>,
    pub reasons: Vec<String>,
    pub rate_bytes_per_second: f64,
    pub gained_bytes: u64,
    pub first_bytes: u64,
    pub last_bytes: u64,
    pub limit_bytes: Option<u64>,
    pub time_to_limit_s: Option<f64>,
    pub growth: Vec<GrowthStack>,
}

/// A stack that took memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct GrowthStack {
    pub function: Option<String>,
    pub bytes: u64,
    pub percent: f64,
    pub stack: Vec<String>,
}

/// Adds what is known of memory.
pub(super) fn add(
    analysis: &mut Analysis,
    report: Option<&MemoryReport>,
    growth: Option<&Profile>,
    proxy: Option<Proxy>,
) {
    let growth = growth.map(grown).unwrap_or_default();
    let series = report.and_then(|report| report.tree.get("anonymous_and_swap"));
    let verdict = report.map(|report| &report.verdict);
    let limit = report.and_then(|report| report.limit.as_ref());
    let memory = MemoryAnalysis {
        direction: series.map(|series| series.trend.direction),
        verdict: verdict.map(|verdict| verdict.kind),
        reasons: verdict.map(|verdict| verdict.reasons.clone()).unwrap_or_default(),
        rate_bytes_per_second: verdict.map_or(0.0, |verdict| verdict.rate_bytes_per_second.round()),
        gained_bytes: verdict.map_or(0, |verdict| verdict.gained_bytes),
        first_bytes: series.map_or(0, |series| series.first_bytes),
        last_bytes: series.map_or(0, |series| series.last_bytes),
        limit_bytes: limit.map(|limit| limit.limit_bytes),
        time_to_limit_s: limit.and_then(|limit| limit.time_to_limit_s),
        growth,
    };
    if let Some(report) = report.filter(|_| memory.verdict == Some(VerdictKind::Leak)) {
        let collects = matches!(proxy, Some(Proxy::Node | Proxy::Workerd | Proxy::Caddy));
        let least_ns = if collects { MIN_DURATION_WITH_GARBAGE_NS } else { MIN_DURATION_NS };
        if report.duration_ns < least_ns {
            analysis.notes.push(format!(
                "memory grew by {}, and was watched for {}: whether that is a leak, {} or more can tell (-d)",
                rate_text(memory.rate_bytes_per_second),
                clock_text(report.duration_ns),
                clock_text(least_ns)
            ));
        } else {
            let (bottleneck, advice) = leak(&memory);
            analysis.bottlenecks.push(bottleneck);
            analysis.advice.push(advice);
        }
    }
    analysis.memory = Some(memory);
}

/// A leak costs nothing until the limit is reached, and then everything: of the next day, what is left after that.
fn leak(memory: &MemoryAnalysis) -> (Bottleneck, Advice) {
    let left_s = memory.time_to_limit_s.unwrap_or(f64::INFINITY);
    let weight_percent = (100.0 * (1.0 - left_s / DAY_S)).max(LEAK_PERCENT);
    let mut evidence = vec![format!(
        "{} more in the time that was watched, {}",
        bytes_text(memory.gained_bytes),
        rate_text(memory.rate_bytes_per_second)
    )];
    evidence.extend(memory.reasons.iter().cloned());
    if let (Some(limit), true) = (memory.limit_bytes, left_s.is_finite()) {
        evidence.push(format!("the limit of {} is reached in {}", bytes_text(limit), for_people(left_s)));
    }
    let largest = memory.growth.first();
    let by = largest.map(|it| {
        let function = it.function.as_deref().unwrap_or("a stack without names");
        format!("{:.0} % of what was taken, by {function}", it.percent)
    });
    evidence.extend(by.clone());
    let stack = largest.map(|it| it.stack.clone()).unwrap_or_default();
    let change = match largest.and_then(|it| it.function.as_ref()) {
        Some(function) => {
            format!("free what {function} takes; until then, restart it before the limit is reached")
        }
        None => "find who takes it (`agent memory`, `agent record --event alloc`); until then, restart it before the limit \
                 is reached"
            .to_owned(),
    };
    let what = "memory leaks".to_owned();
    let bottleneck = Bottleneck {
        weight_percent,
        group: Group::Memory,
        what: what.clone(),
        evidence: [Some(rate_text(memory.rate_bytes_per_second)), by]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; "),
        stack: stack.clone(),
    };
    let gain = Gain {
        of: Resource::WorkerTime,
        percent_low: weight_percent,
        percent_high: weight_percent,
        how: "of the next day, what is left when the limit is reached, if it goes on as it does and nobody restarts it; 1 % if \
              that is later"
            .to_owned(),
    };
    let advice = Advice {
        title: what,
        group: Group::Memory,
        weight_percent,
        evidence,
        stack,
        gain,
        change,
        directive: None,
    };
    (bottleneck, advice)
}

/// `33 min`, `5.0 h`.
fn for_people(seconds: f64) -> String {
    if seconds < 7200.0 { format!("{:.0} min", seconds / 60.0) } else { format!("{:.1} h", seconds / 3600.0) }
}

/// Who took anonymous memory, the largest first.
fn grown(profile: &Profile) -> Vec<GrowthStack> {
    let column = |kind: &str| profile.value_types().iter().position(|it| it.kind == kind);
    let Some(at) = column("rss_growth_anonymous").or_else(|| column("rss_growth")) else { return Vec::new() };
    let stack = |(it, _): (TopStack, Vec<StackHandle>)| GrowthStack {
        // The allocator is left out: it is who called it.
        function: it.frames.last().map(|frame| frame.name.clone()),
        bytes: it.value.unsigned_abs(),
        percent: rounded(it.percent),
        stack: it.frames.into_iter().map(|frame| frame.name).collect(),
    };
    top_stacks(profile, at).into_iter().take(MAX_STACKS).map(stack).collect()
}
