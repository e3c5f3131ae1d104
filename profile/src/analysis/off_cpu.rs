//! Time off the CPU: where threads are blocked, for what, and for how much of their time.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    stacks::{self, Stacks},
    waits::{Kinds, WaitKind},
    whose::{Threads, Whose},
};
use crate::{Profile, units::rounded};

const MAX_THREADS: usize = 64;
/// Waits in the report.
const MAX_WAITS: usize = 64;

/// Where threads were off the CPU.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, in docs/analyze.md")]
pub struct OffCpuAnalysis {
    pub threads: Vec<ThreadTimeShare>,
    pub waits: Vec<Wait>,
}

/// Where the time of a thread went, in percent of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct ThreadTimeShare {
    #[serde(flatten)]
    pub whose: Whose,
    pub on_cpu_percent: f64,
    pub blocked_percent: f64,
    pub waits_for_cpu_percent: f64,
    pub idle_percent: f64,
}

/// What a thread waited for.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Wait {
    pub kind: WaitKind,
    #[serde(flatten)]
    pub whose: Whose,
    pub in_event_loop: bool,
    /// Of the thread's time.
    pub percent: f64,
    pub waits: i64,
    pub mean_ns: u64,
    pub function: Option<String>,
    pub stack: Vec<String>,
}

/// A wait with the stacks that say so.
pub(super) struct Found {
    pub(super) wait: Wait,
    pub(super) stacks: Stacks,
    pub(super) holds_up: bool,
}

/// The waits of all threads, the longest first, and where their time went.
pub(super) fn of(profile: &Profile, threads: &Threads) -> (OffCpuAnalysis, Vec<Found>) {
    let column = |kind: &str| profile.value_types().iter().position(|it| it.kind == kind);
    let (blocked, runnable, n_samples) = (column("blocked"), column("runnable"), column("samples"));
    // Another tool's has one column.
    let only = column("off_cpu").filter(|_| blocked.is_none());
    let kinds = Kinds::of(profile);
    let mut sums: BTreeMap<(Whose, WaitKind), (Stacks, i64)> = BTreeMap::new();
    for sample in profile.samples() {
        let value =
            |at: Option<usize>| at.and_then(|at| sample.values.get(at)).map_or(0, |value| (*value).max(0));
        let waited_ns = value(blocked).saturating_add(value(runnable)).saturating_add(value(only));
        if waited_ns == 0 {
            continue;
        }
        let leaf_first: Vec<_> = profile.leaf_to_root(sample.stack).collect();
        let kind = if value(runnable) > 0 { Some(WaitKind::Cpu) } else { kinds.kind(&leaf_first) };
        if let Some((kind, whose)) = kind.zip(Whose::of(profile, sample.thread)) {
            let (stacks, count) = sums.entry((whose, kind)).or_default();
            stacks.add(waited_ns as f64, &leaf_first);
            *count = count.saturating_add(value(n_samples));
        }
    }
    let found = sums.into_iter().filter_map(|((whose, kind), (stacks, count))| {
        let in_event_loop = threads.has_loop(&whose);
        let percent = threads.percent(&whose, stacks.total)?;
        let holds_up = in_event_loop || kind.holds_up_any() && !threads.is_helper(&whose);
        let wait = Wait {
            kind,
            in_event_loop,
            percent: rounded(percent),
            waits: count,
            // The conversion saturates.
            mean_ns: (stacks.total / count.max(1) as f64) as u64,
            function: stacks.function(profile),
            stack: stacks::names(profile, stacks.heaviest()),
            whose,
        };
        Some(Found { wait, stacks, holds_up })
    });
    let mut found: Vec<Found> = found.collect();
    found.sort_by(|a, b| b.wait.percent.total_cmp(&a.wait.percent));
    let waits = found.iter().take(MAX_WAITS).map(|it| it.wait.clone()).collect();
    (OffCpuAnalysis { threads: thread_times(profile), waits }, found)
}

fn thread_times(profile: &Profile) -> Vec<ThreadTimeShare> {
    let times = profile.meta().times.iter().flat_map(|times| &times.threads);
    let share = |it: &crate::ThreadTime| {
        let percent = |n_ns: u64| rounded(100.0 * n_ns as f64 / it.elapsed_ns.max(1) as f64);
        ThreadTimeShare {
            whose: Whose { process: it.process.clone(), pid: it.pid, thread: it.name.clone(), tid: it.tid },
            on_cpu_percent: percent(it.on_cpu_ns),
            blocked_percent: percent(it.blocked_ns),
            waits_for_cpu_percent: percent(it.runnable_ns),
            idle_percent: percent(it.idle_ns),
        }
    };
    times.take(MAX_THREADS).map(share).collect()
}
