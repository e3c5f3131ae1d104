//! What is known of the run itself. The model cannot look around, so whoever measured says it.

use crate::{allocations::Allocations, loops::Loops, times::Times};

/// A comment that says how many requests were served while the profile was recorded.
const REQUESTS_LABEL: &str = "requests=";

/// How a profile came to be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Meta {
    /// When the run started, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// How long it lasted.
    pub duration_ns: u64,
    /// The name of the host.
    pub host: String,
    /// What was asked for, such as `nginx -c demo.conf` or `pid 4711`.
    pub command: String,
    /// The event that samples were taken on, such as `cpu-clock`.
    pub event: String,
    /// Samples per second and CPU; 0 where samples do not fall due by time.
    pub frequency_hz: u64,
    /// The time between two samples on one CPU; 0 as above.
    pub period_ns: u64,
    /// Samples that did not get here, one entry for each cause.
    pub lost: Vec<Loss>,
    /// Samples whose stack is whole.
    pub stacks_complete: u64,
    /// Samples whose stack could not be finished, one entry for each reason.
    pub truncated: Vec<Truncation>,
    /// How soon stacks were whole; None if nobody measured it.
    pub first_stacks: Option<FirstStacks>,
    /// What the measurement itself cost; None if nobody measured it.
    pub overhead: Option<Overhead>,
    /// What became of unwind tables; None if nobody counted.
    pub unwind_tables: Option<UnwindTables>,
    /// What was put into the targets; None if nothing is, for what was sampled.
    pub probes: Option<Probes>,
    /// Allocations by stack; None if nobody looked at them.
    pub allocations: Option<Allocations>,
    /// Where the time of threads went; None if nobody measured it.
    pub times: Option<Times>,
    /// Event loops; None if nobody looked at them.
    pub loops: Option<Loops>,
    /// Free text for the reader.
    pub comments: Vec<String>,
}

impl Meta {
    /// Lost samples of all causes.
    pub fn lost_total(&self) -> u64 {
        self.lost.iter().fold(0, |sum, loss| sum.saturating_add(loss.count))
    }

    /// Says how many requests were served meanwhile: every form of a profile keeps it.
    pub fn set_requests(&mut self, n_requests: u64) {
        self.comments.push(format!("{REQUESTS_LABEL}{n_requests}"));
    }

    /// How many requests were served meanwhile, if somebody counted them.
    pub fn n_requests(&self) -> Option<u64> {
        let label = self.comments.iter().find_map(|comment| comment.strip_prefix(REQUESTS_LABEL));
        label.and_then(|n| n.parse().ok())
    }
}

/// Samples lost to one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The name of the counter.
    pub cause: String,
    /// How many.
    pub count: u64,
}

/// Samples whose stack stops short for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncation {
    /// The reason, as its frame in the stack says it.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// How soon the stacks of processes are whole, of those that begin while they are recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct FirstStacks {
    /// From the start of sampling to the first whole stack of any process.
    pub until_first_whole_ns: Option<u64>,
    /// Images (a process from one exec to the next) that began during the run and have a user stack in some sample.
    pub new_images: u64,
    /// Of these, those whose first user stack is whole.
    pub whole_at_once: u64,
    /// Of these, those without any whole stack.
    pub never_whole: u64,
    /// Where the first user stack is not whole, from it to the first that is: half of them sooner.
    pub median_ns: Option<u64>,
    /// The longest of these times.
    pub max_ns: Option<u64>,
}

/// What a run cost the host. None stands for what this host does not let us measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Overhead {
    /// Time that the kernel programs took, over the samples that were kept. It includes the ticks that hit no
    /// target: of an idle target it says little.
    pub kernel_ns_per_sample: Option<f64>,
    /// Time that the kernel programs took over the time of the run, 100 being one core.
    pub kernel_cpu_percent: Option<f64>,
    /// CPU time of the agent over the time of the run, 100 being one core.
    pub agent_cpu_percent: Option<f64>,
    /// Resident memory of the agent at the end of the run.
    pub agent_rss_bytes: Option<u64>,
    /// Kernel memory taken by the unwind and process tables.
    pub table_bytes: Option<u64>,
}

/// What became of the unwind tables of files. A table that is not there cuts stacks short: see [`Truncation`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct UnwindTables {
    /// Tables that had to make room for others.
    pub tables_evicted: u64,
    /// Files for whose table there was no room, at least for a time.
    pub tables_without_room: u64,
    /// Tables that were on disk, and did not have to be built.
    pub tables_from_cache: u64,
    /// Tables that were written there.
    pub tables_cached: u64,
    /// Files there that were not what they should be.
    pub cache_files_damaged: u64,
    /// Tables that could not be written there.
    pub tables_not_cached: u64,
}

/// What was put into processes to see their allocations.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Probes {
    /// How much of the run they were in place and counted, in percent.
    pub on_percent: f64,
    /// How often they were put in.
    pub times_on: u64,
    /// All of a file in a process are put in and taken out at once.
    pub at_once: bool,
    /// What a hit costs the thread that runs into a probe, in nanoseconds, as measured at the start.
    pub hit_ns: f64,
    /// Probes that the kernel refused, over all processes.
    pub refused: u64,
    /// Each of them, those hit most often first.
    pub each: Vec<ProbeUse>,
}

/// A probe, in all processes that have it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ProbeUse {
    /// The function that it is in.
    pub function: String,
    /// How many bytes behind the start of the function.
    pub offset: u64,
    /// The file that the function is in.
    pub file: String,
    /// Processes that have or had it.
    pub processes: u64,
    /// How often it was run into; None for those past what is counted one by one.
    pub hits: Option<u64>,
    /// The same, by the second of the whole run.
    pub hits_per_second: Option<f64>,
    /// What these hits cost the targets, over the whole run, 100 being one core. Samples are not in it.
    pub cpu_percent: Option<f64>,
}
