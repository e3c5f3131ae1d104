//! The report of a run: what a person or a program wants to know first. Made from a profile alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    allocations::Allocations,
    frames::FrameKind,
    growth::{TopStack, top_stacks},
    hotspots,
    loops::Loops,
    meta::{FirstStacks, Overhead, Probes, UnwindTables},
    model::Profile,
    strings::UNKNOWN,
    times::Times,
    units::{percent, rounded},
};

/// How many functions a report names. Below the hundredth, none is worth a look on its own.
const MAX_TOP: usize = 100;

/// What a run found, lost and cost. [`crate::encode::json`] tells what each key holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, where they are written as JSON")]
pub struct Report {
    pub host: String,
    pub command: String,
    pub event: String,
    pub frequency_hz: u64,
    pub start_unix_ns: u64,
    pub duration_ns: u64,
    pub samples: i64,
    pub lost: u64,
    pub lost_by_cause: BTreeMap<String, u64>,
    pub stacks: ReportStacks,
    pub unsymbolized_frames: usize,
    pub first_stacks: FirstStacks,
    pub overhead: Overhead,
    pub unwind_tables: Option<UnwindTables>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<Probes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allocations: Option<Allocations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loops: Option<Loops>,
    pub totals: Vec<ReportTotal>,
    pub value: ReportValue,
    pub functions: usize,
    pub top: Vec<ReportTop>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top_stacks: Vec<TopStack>,
    pub processes: Vec<ReportProcess>,
    pub threads: Vec<ReportThread>,
    pub comments: Vec<String>,
}

/// How many samples have a whole stack, and why the others do not.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportStacks {
    /// Samples with a whole stack.
    pub complete: u64,
    /// Samples whose stack stops short, by reason.
    pub truncated: BTreeMap<String, u64>,
}

/// The sum of one value type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportTotal {
    /// The quantity.
    pub kind: String,
    /// Its unit.
    pub unit: String,
    /// The sum over all samples.
    pub value: i64,
}

/// What the values of functions, processes and threads count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportValue {
    /// The quantity.
    pub kind: String,
    /// Its unit.
    pub unit: String,
}

/// What one function took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportTop {
    /// The name shown for the function.
    pub name: String,
    /// The file it lies in.
    pub module: Option<String>,
    /// In the function itself.
    pub self_value: i64,
    /// In the function and in all that it called.
    pub total_value: i64,
    /// `self_value` of the sum over all samples.
    pub self_percent: f64,
    /// `total_value` of the sum over all samples.
    pub total_percent: f64,
}

/// What one process took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportProcess {
    /// The process id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// What it took.
    pub value: i64,
    /// Of the sum over all samples.
    pub percent: f64,
}

/// What one thread took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportThread {
    /// The id of its process.
    pub pid: u32,
    /// The name of its process.
    pub process: String,
    /// The thread id.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// What it took.
    pub value: i64,
    /// Of the sum over all samples.
    pub percent: f64,
}

impl Report {
    /// Sums the profile up by its weight.
    pub fn new(profile: &Profile) -> Self {
        let meta = profile.meta();
        let weight_idx = profile.weight_idx();
        let weight = profile.total(weight_idx);
        let share = |value| rounded(percent(value, weight));
        let totals: Vec<ReportTotal> = profile
            .value_types()
            .iter()
            .enumerate()
            .map(|(index, value_type)| ReportTotal {
                kind: value_type.kind.clone().into_owned(),
                unit: value_type.unit.clone().into_owned(),
                value: profile.total(index),
            })
            .collect();
        let hotspots = hotspots::top(profile, weight_idx);
        let top = hotspots.iter().take(MAX_TOP).map(|spot| ReportTop {
            name: spot.name.clone(),
            module: spot.module.clone(),
            self_value: spot.self_value,
            total_value: spot.total_value,
            self_percent: share(spot.self_value),
            total_percent: share(spot.total_value),
        });
        Self {
            host: meta.host.clone(),
            command: meta.command.clone(),
            event: meta.event.clone(),
            frequency_hz: meta.frequency_hz,
            start_unix_ns: meta.start_unix_ns,
            duration_ns: meta.duration_ns,
            samples: totals.iter().find(|total| total.kind == "samples").map_or(weight, |total| total.value),
            lost: meta.lost_total(),
            lost_by_cause: summed(meta.lost.iter().map(|loss| (&loss.cause, loss.count))),
            stacks: ReportStacks {
                complete: meta.stacks_complete,
                truncated: summed(meta.truncated.iter().map(|cut| (&cut.reason, cut.count))),
            },
            unsymbolized_frames: unsymbolized_frames(profile),
            first_stacks: meta.first_stacks.unwrap_or_default(),
            overhead: meta.overhead.unwrap_or_default(),
            unwind_tables: meta.unwind_tables,
            probes: meta.probes.clone(),
            allocations: meta.allocations.clone(),
            times: meta.times.clone(),
            loops: meta.loops.clone(),
            value: totals.get(weight_idx).map_or_else(
                || ReportValue { kind: UNKNOWN.into(), unit: UNKNOWN.into() },
                |total| ReportValue { kind: total.kind.clone(), unit: total.unit.clone() },
            ),
            totals,
            functions: hotspots.len(),
            top: top.collect(),
            top_stacks: top_stacks_of_growth(profile),
            processes: processes(profile, share),
            threads: threads(profile, share),
            comments: meta.comments.clone(),
        }
    }
}

/// What a function took tells little where the allocator is on every stack: of growth, whole stacks are named.
fn top_stacks_of_growth(profile: &Profile) -> Vec<TopStack> {
    let weight_idx = profile.weight_idx();
    match profile.value_types().get(weight_idx) {
        Some(value_type) if value_type.kind == "rss_growth" => {
            top_stacks(profile, weight_idx).into_iter().take(MAX_TOP).map(|(stack, _)| stack).collect()
        }
        _ => Vec::new(),
    }
}

fn processes(profile: &Profile, share: impl Fn(i64) -> f64) -> Vec<ReportProcess> {
    let sums = hotspots::by_process(profile, profile.weight_idx()).into_iter();
    sums.filter_map(|(handle, value)| {
        let process = profile.process_at(handle)?;
        let name = profile.text(process.name).to_owned();
        Some(ReportProcess { pid: process.pid, name, value, percent: share(value) })
    })
    .collect()
}

fn threads(profile: &Profile, share: impl Fn(i64) -> f64) -> Vec<ReportThread> {
    let sums = hotspots::by_thread(profile, profile.weight_idx()).into_iter();
    sums.filter_map(|(handle, value)| {
        let thread = profile.thread_at(handle)?;
        let process = profile.process_at(thread.process)?;
        Some(ReportThread {
            pid: process.pid,
            process: profile.text(process.name).to_owned(),
            tid: thread.tid,
            name: profile.text(thread.name).to_owned(),
            value,
            percent: share(value),
        })
    })
    .collect()
}

/// Distinct frames of sampled stacks that have no function name.
fn unsymbolized_frames(profile: &Profile) -> usize {
    let stacks = profile.samples().map(|sample| sample.stack);
    let sampled: BTreeSet<_> = stacks.flat_map(|stack| profile.leaf_to_root(stack)).collect();
    let frames = sampled.into_iter().filter_map(|frame| profile.frame_at(frame));
    frames.filter(|frame| frame.function.is_none() && frame.kind != FrameKind::Reason).count()
}

fn summed<'a>(counts: impl Iterator<Item = (&'a String, u64)>) -> BTreeMap<String, u64> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in counts {
        let sum = sums.entry(name.clone()).or_default();
        *sum = sum.saturating_add(count);
    }
    sums
}
