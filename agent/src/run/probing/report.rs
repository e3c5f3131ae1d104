//! What became of the probes.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use crate::{
    alloc::Probe,
    kernel::{Cost, KernelError},
    object::ObjectFile,
    process::FileId,
};

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
    /// How long they were in place and counted, in all.
    pub on_for: Duration,
    /// How often they were put in.
    pub n_times_on: u64,
    /// They were taken out before the end, whether or not they came back: its moment is drawn, and may be past the end.
    pub was_taken_out: bool,
    /// How often that was late, so that they counted from a later moment on than was drawn.
    pub n_late: u64,
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
        self.is_complete() && self.refusals.is_empty() && self.n_beyond == 0 && !self.leaves_frees_out
    }

    /// Whether they stayed in: nothing was missed between their first moment and the last.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.was_taken_out && self.ended.is_none()
    }

    /// Whether the probes of all processes are taken out soon enough to be put in again.
    pub(super) fn can_be_put_in_again(&self, take_out: Duration) -> bool {
        let n_probes = u32::try_from(self.probed.iter().map(|it| it.n_processes).sum::<u64>());
        self.one_by_one.is_none()
            || n_probes.is_ok_and(|n_probes| take_out.saturating_mul(n_probes) <= super::LONGEST_TAKE_OUT)
    }

    /// Notes what the kernel did not take.
    pub(super) fn refused(&mut self, object: &ObjectFile, probe: &Probe, error: &KernelError) {
        let reason = if error.is_of_instruction() {
            "the kernel takes no probe on an instruction like the one that is there".to_owned()
        } else {
            let reasons: Vec<String> = anyhow::Chain::new(error).map(ToString::to_string).collect();
            reasons.join(": ")
        };
        let refusal = Refusal {
            path: object.path.to_string_lossy().into_owned(),
            function: probe.function.clone(),
            reason,
        };
        *self.refusals.entry(refusal).or_default() += 1;
    }
}
