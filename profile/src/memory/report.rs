//! What a watch of memory found: the report for programs, and what the one for people is made of.

use std::{collections::BTreeMap, ops::Range};

use serde::Serialize;

use super::MemoryUse;
use crate::growth::GrowthReport;
use crate::trend::{History, Point, Trend, Verdict, VerdictKind, trend};

/// What was seen. Every key that counts something names its unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemoryReport {
    /// Where.
    pub host: String,
    /// What was asked for.
    pub command: String,
    /// When it began, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// How long it lasted.
    pub duration_ns: u64,
    /// Between two readings.
    pub interval_ns: u64,
    /// Readings of the whole tree.
    pub n_readings: u64,
    /// Readings that did not happen because one before took too long.
    pub n_readings_missed: u64,
    /// Why it ended.
    pub end: End,
    /// On `anonymous_and_swap` of the tree.
    pub verdict: Verdict,
    /// Processes that began about when the growth did that was judged: it may be theirs.
    pub began_with_growth: Vec<Began>,
    /// What grew in that time, by stack; none if stacks were not recorded, which a comment then explains.
    pub growth: Option<GrowthReport>,
    /// What the tree may have; none if not even the host's memory is known.
    pub limit: Option<LimitReport>,
    /// Of the live process with the lowest ID.
    pub control_group: Option<ControlGroupReport>,
    /// Sums over all processes, by field.
    pub tree: BTreeMap<&'static str, Series>,
    /// The largest first.
    pub processes: Vec<ProcessReport>,
    /// Processes that are not in the list: gone and small, or never read, which a comment then says.
    pub n_processes_left_out: u64,
    /// `anonymous_and_swap` of the tree, as the verdict saw it.
    pub history: Vec<Point>,
    /// Readings that make one point of it.
    pub n_readings_per_point: u64,
    /// File of the profile of what grew, if one was written.
    pub profile: Option<String>,
    /// Files of snapshots that were written.
    pub snapshots: Vec<String>,
    /// What watching cost.
    pub overhead: MemoryOverhead,
    /// What happened besides.
    pub comments: Vec<String>,
}

/// A process that began, by fork or by exec.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Began {
    /// Its ID.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// When, from the start of the watch.
    pub time_ns: u64,
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The time was over.
    Elapsed,
    /// Every process had ended.
    TargetsEnded,
    /// The user asked for it.
    Stopped,
}

/// One quantity over the whole watch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Series {
    /// When it was first read.
    pub first_bytes: u64,
    /// When it was last read.
    pub last_bytes: u64,
    /// The lowest.
    pub lowest_bytes: u64,
    /// The highest.
    pub highest_bytes: u64,
    /// Last less first.
    pub change_bytes: i64,
    /// Which way it goes.
    pub trend: Trend,
}

/// The limit that is reached first.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitReport {
    /// `control group /PATH` or `memory of the host`.
    pub source: String,
    /// The limit.
    pub limit_bytes: u64,
    /// Of it in use at the end, without file pages that the kernel can drop at once.
    pub used_bytes: u64,
    /// `used_bytes` of `limit_bytes`.
    pub used_percent: f64,
    /// Until it is reached, if the tree goes on as it does; none if it does not grow.
    pub time_to_limit_s: Option<f64>,
}

/// A control group.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ControlGroupReport {
    /// Below the root of its hierarchy.
    pub path: String,
    /// 1 or 2.
    pub version: u8,
    /// All memory that is charged to it, page cache included.
    pub usage: Option<Series>,
    /// Its own limit or that of a group above it, whichever is lowest.
    pub limit_bytes: Option<u64>,
}

/// One process.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProcessReport {
    /// Its ID.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// When it was first seen, from the start of the watch.
    pub seen_from_ns: u64,
    /// When it was last seen.
    pub seen_until_ns: u64,
    /// Whether it had ended before the watch did.
    pub has_ended: bool,
    /// When it was last read.
    pub usage: MemoryUse,
    /// `anonymous_and_swap`.
    pub anonymous_and_swap: Series,
    /// On `anonymous_and_swap`, of the largest processes.
    pub verdict: Option<Verdict>,
}

/// What watching cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MemoryOverhead {
    /// CPU time of the agent over the time of the watch, 100 being one core.
    pub agent_cpu_percent: f64,
    /// Time that kernel programs took, over the time of the watch, as above; none if none ran or nothing was measured.
    pub kernel_cpu_percent: Option<f64>,
    /// Resident memory of the agent at the end.
    pub agent_rss_bytes: Option<u64>,
    /// Rounds in which PSS and huge pages of all processes were read.
    pub n_smaps_rounds: u64,
    /// Time that the rounds took, over the time of the watch: of that, the target's memory map was locked for reading.
    pub smaps_percent: f64,
    /// The longest that one process took.
    pub smaps_longest_ns: u64,
}

/// Of the time that grew, how far from its beginning a process may begin to have something to do with it.
const NEAR_SHARE: u64 = 20;

impl MemoryReport {
    /// The time around the beginning of the growth that was judged a leak; none if nothing was.
    #[must_use]
    pub fn around_growth(&self) -> Option<Range<u64>> {
        let verdict = &self.verdict;
        let (since_ns, until_ns) = (verdict.since_ns?, verdict.until_ns?);
        let near_ns = (until_ns.saturating_sub(since_ns) / NEAR_SHARE).max(2 * self.interval_ns);
        let around = since_ns.saturating_sub(near_ns)..since_ns.saturating_add(near_ns);
        (verdict.kind == VerdictKind::Leak).then_some(around)
    }
}

impl Series {
    /// Of all that a history was told; none if that was nothing.
    #[must_use]
    pub fn of(history: &History) -> Option<Self> {
        let points = history.points();
        let (first, last) = (history.first()?.bytes, history.last()?.bytes);
        let change = i64::try_from(last.abs_diff(first)).unwrap_or(i64::MAX);
        Some(Self {
            first_bytes: first,
            last_bytes: last,
            lowest_bytes: points.iter().map(|point| point.low_bytes).min()?,
            highest_bytes: points.iter().map(|point| point.high_bytes).max()?,
            change_bytes: if last < first { -change } else { change },
            trend: trend(&points),
        })
    }
}

/// Until a limit is reached at a rate; none if that is never.
#[must_use]
pub fn time_to_limit_s(limit_bytes: u64, used_bytes: u64, rate_bytes_per_second: f64) -> Option<f64> {
    let left = limit_bytes.saturating_sub(used_bytes) as f64;
    (rate_bytes_per_second > 0.0).then(|| left / rate_bytes_per_second)
}
