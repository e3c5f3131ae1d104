//! Event loops: how busy each is, how evenly, and what the long iterations do.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    attribution::Attribution,
    groups::Group,
    stacks::{self, Stacks},
    waits::{Kinds, WaitKind},
    whose::{Threads, Whose},
};
use crate::{FrameHandle, Loops, Profile, units::rounded};

const MAX_WORKERS: usize = 64;
/// In the place of a stack.
const NO_SAMPLE: &str = "[stalled, no sample]";
/// Of the length of a stall, which a function must have run for: else it was kept from running.
const RUNS_SHARE: f64 = 0.8;

/// How event loops fared.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, in docs/analyze.md")]
pub struct LoopAnalysis {
    pub stall_ns: Option<u64>,
    pub workers: Vec<LoopShare>,
    pub groups: Vec<crate::LoopGroup>,
    pub stalls: Vec<Stall>,
}

/// One event loop.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct LoopShare {
    #[serde(flatten)]
    pub whose: Whose,
    pub busy_percent: f64,
    pub stalled_percent: f64,
    pub iterations: u64,
    pub median_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
    pub stalls: u64,
}

/// What kept an event loop from its events.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Stall {
    #[serde(flatten)]
    pub whose: Whose,
    /// What was waited for; none if something ran.
    pub waits_for: Option<WaitKind>,
    /// What ran is for.
    pub group: Group,
    pub function: Option<String>,
    /// Of the worker's time.
    pub percent: f64,
    pub stack: Vec<String>,
}

/// A stall with the stacks that say so.
pub(super) struct Found {
    pub(super) stall: Stall,
    pub(super) stacks: Stacks,
    pub(super) is_sampled: bool,
    /// Of the worker's time, for which it waited for a CPU meanwhile.
    pub(super) runnable_percent: f64,
}

/// What a worker did in its stalls.
#[derive(Default)]
struct Sums {
    runs: Stacks,
    runnable: Stacks,
    waits: BTreeMap<WaitKind, Stacks>,
    unknown: Stacks,
}

/// Stalls, the heaviest first, and how busy workers were.
pub(super) fn of(profile: &Profile, threads: &Threads) -> (LoopAnalysis, Vec<Found>) {
    let column = |kind: &str| profile.value_types().iter().position(|it| it.kind == kind);
    let (stalled, off_cpu) = (column("stalled"), column("stalled_off_cpu"));
    let kinds = Kinds::of(profile);
    let mut sums: BTreeMap<Whose, Sums> = BTreeMap::new();
    for sample in profile.samples() {
        let value = |at: Option<usize>| {
            at.and_then(|at| sample.values.get(at)).map_or(0.0, |value| (*value).max(0) as f64)
        };
        let Some(whose) = Whose::of(profile, sample.thread) else { continue };
        let leaf_first: Vec<FrameHandle> = profile.leaf_to_root(sample.stack).collect();
        let leaf = leaf_first.first().and_then(|leaf| profile.frame_at(*leaf));
        let sum = sums.entry(whose).or_default();
        if leaf.is_some_and(|leaf| profile.frame_name(leaf) == NO_SAMPLE) {
            sum.unknown.add(value(stalled), &leaf_first);
            continue;
        }
        sum.runs.add(value(stalled) - value(off_cpu), &leaf_first);
        match kinds.kind(&leaf_first) {
            Some(WaitKind::Cpu) => sum.runnable.add(value(off_cpu), leaf_first.get(1..).unwrap_or_default()),
            kind => {
                sum.waits
                    .entry(kind.unwrap_or(WaitKind::Other))
                    .or_default()
                    .add(value(off_cpu), &leaf_first);
            }
        }
    }
    let loops = profile.meta().loops.as_ref();
    let attribution = Attribution::of(profile);
    let mut found = Vec::new();
    for (whose, mut sum) in sums {
        // Without the histogram, how many there were is not known, nor how long each had to be.
        let worker = loops.and_then(|loops| loops.workers.iter().find(|it| it.tid == whose.tid));
        let least_ns = loops
            .zip(worker)
            .map_or(0.0, |(loops, worker)| RUNS_SHARE * loops.stall_ns as f64 * worker.stalls as f64);
        let all_ns = sum.runs.total + sum.runnable.total;
        let needs_ns = if sum.waits.values().any(|it| it.total > all_ns) { 0.0 } else { least_ns };
        let runnable_ns = sum.runnable.total;
        let takes_runnable = sum.runs.total >= needs_ns;
        if takes_runnable {
            // What was kept from a CPU meanwhile would have been long without that, too.
            sum.runs.append(sum.runnable);
        } else {
            sum.waits.entry(WaitKind::Cpu).or_default().append(sum.runnable);
        }
        let waits = sum.waits.into_iter().map(|(kind, stacks)| (Some(kind), stacks, true));
        let all = waits.chain([(None, sum.runs, true), (None, sum.unknown, false)]);
        for (waits_for, stacks, is_sampled) in all.filter(|(_, stacks, _)| stacks.total > 0.0) {
            let Some(percent) = threads.percent(&whose, stacks.total) else { continue };
            let group = if waits_for.is_some() { Group::Waiting } else { group_of(&attribution, &stacks) };
            let stall = Stall {
                whose: whose.clone(),
                waits_for,
                group,
                function: stacks.function(profile).filter(|_| is_sampled),
                percent: rounded(percent),
                stack: stacks::names(profile, stacks.heaviest()),
            };
            let is_run = takes_runnable && waits_for.is_none() && is_sampled;
            let runnable_percent = threads.percent(&whose, runnable_ns).filter(|_| is_run).unwrap_or(0.0);
            found.push(Found { stall, stacks, is_sampled, runnable_percent });
        }
    }
    found.sort_by(|a, b| b.stall.percent.total_cmp(&a.stall.percent));
    let analysis = LoopAnalysis {
        stall_ns: loops.map(|loops| loops.stall_ns),
        workers: loops.map(|loops| workers(loops, threads)).unwrap_or_default(),
        groups: loops.map(|loops| loops.groups.clone()).unwrap_or_default(),
        stalls: found.iter().map(|it| it.stall.clone()).collect(),
    };
    (analysis, found)
}

fn workers(loops: &Loops, threads: &Threads) -> Vec<LoopShare> {
    let share = |it: &crate::WorkerLoop| {
        let whose = Whose { process: it.process.clone(), pid: it.pid, thread: it.name.clone(), tid: it.tid };
        LoopShare {
            stalled_percent: rounded(threads.percent(&whose, it.stalled_ns as f64).unwrap_or(0.0)),
            busy_percent: rounded(it.busy_percent),
            iterations: it.iterations,
            median_ns: it.median_ns,
            p99_ns: it.p99_ns,
            max_ns: it.max_ns,
            stalls: it.stalls,
            whose,
        }
    };
    loops
        .workers
        .iter()
        .filter(|it| it.iterations > 0 || it.stalls > 0)
        .take(MAX_WORKERS)
        .map(share)
        .collect()
}

/// What most of it is for.
fn group_of(attribution: &Attribution, stacks: &Stacks) -> Group {
    let mut sums: BTreeMap<Group, f64> = BTreeMap::new();
    for (value, leaf_first) in stacks.iter() {
        *sums.entry(attribution.group(leaf_first.iter().copied())).or_default() += value;
    }
    let most = sums.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    most.map_or(Group::Other, |(group, _)| group)
}
