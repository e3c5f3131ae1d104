//! Event loops: how long their iterations take, how busy they are, and how evenly. And how that is told to people.

use std::fmt;

use serde::Serialize;

use crate::{report_text::printable, units::time_text};

/// Workers shown. The rest is in the JSON report.
const MAX_WORKERS: usize = 20;

/// All event loops.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Loops {
    /// An iteration that takes as long is a stall.
    pub stall_ns: u64,
    /// Workers by the name of their process.
    pub groups: Vec<LoopGroup>,
    /// The busiest first.
    pub workers: Vec<WorkerLoop>,
}

/// The workers of processes of one name.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LoopGroup {
    /// The name.
    pub process: String,
    /// How many workers there are.
    pub workers: usize,
    /// How busy they are on average.
    pub busy_percent: f64,
    /// How busy the busiest is.
    pub busiest_percent: f64,
    /// The busiest against the average: 1 if all have the same to do, 0 if nobody has anything to do.
    pub imbalance: f64,
}

/// One thread that waits for events, over and over. An iteration is from the end of one wait to the beginning of the next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerLoop {
    /// The id of its process.
    pub pid: u32,
    /// The name of its process.
    pub process: String,
    /// The thread id.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// The share of iterations in its time; the rest it waited.
    pub busy_percent: f64,
    /// Iterations that are over.
    pub iterations: u64,
    /// Their mean.
    pub mean_ns: u64,
    /// Half of them took no longer; to an eighth.
    pub median_ns: u64,
    /// The same for nine out of ten.
    pub p90_ns: u64,
    /// The same for 99 out of 100.
    pub p99_ns: u64,
    /// The longest, one under way at the end included.
    pub max_ns: u64,
    /// Stalls.
    pub stalls: u64,
    /// What they took.
    pub stalled_ns: u64,
    /// Iterations by how long they took, empty buckets left out.
    pub histogram: Vec<LoopBucket>,
}

/// Iterations that took about as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LoopBucket {
    /// The shortest that belongs here; the next bucket begins an eighth above it, or 128 ns.
    pub from_ns: u64,
    /// How many.
    pub count: u64,
}

/// Writes them; `fitted` cuts a line to the width of the report.
pub(crate) fn write(
    f: &mut fmt::Formatter<'_>,
    loops: &Loops,
    head: impl Fn(&str) -> String,
    fitted: impl Fn(&str) -> String,
) -> fmt::Result {
    if loops.workers.is_empty() {
        return writeln!(f, "\nno thread waited for events: there is no event loop here");
    }
    let title = format!(
        "{:>6}  {:>10}  {:>8}  {:>8}  {:>8}  {:>6}  {:>8}  event loop",
        "busy %", "iterations", "median", "p99", "longest", "stalls", "stalled"
    );
    writeln!(f, "\n{}", head(&fitted(&title)))?;
    for it in loops.workers.iter().take(MAX_WORKERS) {
        let row = format!(
            "{:>6.2}  {:>10}  {:>8}  {:>8}  {:>8}  {:>6}  {:>8}  {} {} ({} {})",
            it.busy_percent,
            it.iterations,
            time_text(it.median_ns),
            time_text(it.p99_ns),
            time_text(it.max_ns),
            it.stalls,
            time_text(it.stalled_ns),
            it.tid,
            printable(&it.name),
            it.pid,
            printable(&it.process)
        );
        writeln!(f, "{}", fitted(&row))?;
    }
    if let n_more @ 1.. = loops.workers.len().saturating_sub(MAX_WORKERS) {
        writeln!(f, "        and {n_more} more workers")?;
    }
    for line in imbalance_lines(&loops.groups) {
        writeln!(f, "{}", fitted(&line))?;
    }
    Ok(())
}

/// How evenly each process with several workers spreads its work over them.
pub(crate) fn imbalance_lines(groups: &[LoopGroup]) -> impl Iterator<Item = String> {
    groups.iter().filter(|group| group.workers > 1 && group.imbalance > 0.0).map(|group| {
        format!(
            "{}: {} workers, {:.2} % busy on average; the busiest has {:.2} times as much to do",
            printable(&group.process),
            group.workers,
            group.busy_percent,
            group.imbalance
        )
    })
}
