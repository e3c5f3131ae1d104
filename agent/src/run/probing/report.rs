//! What became of the probes.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use crate::{alloc::Probe, kernel::Cost, process::FileId};

/// A kind of probe that was put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Of the file.
    pub path: String,
    /// What and where.
    pub probe: Probe,
    /// Processes that have or had it.
    pub n_processes: u64,
    /// How often it was run into; `None` for those beyond what is counted one by one.
    pub n_hits: Option<u64>,
}

/// A probe that the kernel did not take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// Of the file.
    pub path: String,
    /// The function.
    pub function: String,
    /// What the kernel answered.
    pub reason: String,
}

/// What became of the probes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbingReport {
    /// Every kind of them, those that were run into most often first.
    pub probed: Vec<Probed>,
    /// The functions that they are on.
    pub functions: Vec<(FileId, Range<u64>)>,
    /// Files mapped with code in which nothing was found, and where it was looked for.
    pub nothing_found: BTreeMap<String, Vec<&'static str>>,
    /// Probes left out because they would have been single-stepped.
    pub left_out: Vec<(String, String)>,
    /// Whether frees were to be seen.
    pub wants_frees: bool,
    /// Some of those left out would have seen them.
    pub leaves_frees_out: bool,
    /// What the kernel refused, and in how many processes.
    pub refusals: BTreeMap<Refusal, u64>,
    /// Files of processes that were not probed, as there were enough of them.
    pub n_beyond: u64,
    /// Why probes were put in one by one, if they were.
    pub one_by_one: Option<String>,
    /// Hits and the time that the program took for them.
    pub cost: Option<Cost>,
    /// The rate at which they were taken out, if they were, and when.
    pub ended: Option<(Duration, f64)>,
    /// What one hit costs on this machine, in nanoseconds, without a sample.
    pub hit_ns: f64,
}

impl ProbingReport {
    /// Whether every free was seen of what was allocated under the probes.
    #[must_use]
    pub fn has_all_frees(&self) -> bool {
        self.ended.is_none() && self.refusals.is_empty() && self.n_beyond == 0 && !self.leaves_frees_out
    }
}
