//! Where the time of threads went: on a CPU, blocked, idle, waiting for a CPU. And how that is told to people.

use std::fmt;

use serde::Serialize;

use crate::{report_text::printable, units::time_text};

/// Threads shown. The rest is in the JSON report.
const MAX_THREADS: usize = 20;

/// Of all threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Times {
    /// Waits from this length on are samples with a stack; shorter ones are only in the sums.
    pub min_block_ns: u64,
    /// Those that waited the longest for something first.
    pub threads: Vec<ThreadTime>,
}

/// Of one thread. The four kinds add up to `elapsed_ns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThreadTime {
    /// The id of its process.
    pub pid: u32,
    /// The name of its process.
    pub process: String,
    /// The thread id.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// How long it was looked at.
    pub elapsed_ns: u64,
    /// It had a CPU.
    pub on_cpu_ns: u64,
    /// It waited for something: data, a disk, a lock.
    pub blocked_ns: u64,
    /// It waited where there was nothing to do.
    pub idle_ns: u64,
    /// It could run, and no CPU was free.
    pub runnable_ns: u64,
}

/// Writes them; `fitted` cuts a line to the width of the report.
pub(crate) fn write(
    f: &mut fmt::Formatter<'_>,
    times: &Times,
    head: impl Fn(&str) -> String,
    fitted: impl Fn(&str) -> String,
) -> fmt::Result {
    if times.threads.is_empty() {
        return Ok(());
    }
    let title = format!(
        "{:>8}  {:>8}  {:>9}  {:>13}  {:>6}  where the time of threads went",
        "elapsed", "on CPU %", "blocked %", "waits for CPU", "idle %"
    );
    writeln!(f, "\n{}", head(&fitted(&title)))?;
    for it in times.threads.iter().take(MAX_THREADS) {
        let percent = |n_ns: u64| 100.0 * n_ns as f64 / it.elapsed_ns.max(1) as f64;
        let row = format!(
            "{:>8}  {:>8.2}  {:>9.2}  {:>13.2}  {:>6.2}  {} {} ({} {})",
            time_text(it.elapsed_ns),
            percent(it.on_cpu_ns),
            percent(it.blocked_ns),
            percent(it.runnable_ns),
            percent(it.idle_ns),
            it.tid,
            printable(&it.name),
            it.pid,
            printable(&it.process)
        );
        writeln!(f, "{}", fitted(&row))?;
    }
    match times.threads.len().saturating_sub(MAX_THREADS) {
        0 => Ok(()),
        n_more => writeln!(f, "        and {n_more} more threads"),
    }
}
