//! What the daemon knows of itself at one moment. Whoever wires it fills this once a second; all that is told
//! (metrics, health, status) is made from it.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use profile::Labels;

use super::{governor::StepReason, lost::Lost};
use crate::{kernel::Cost, send::figures::ShipperFigures};

/// All of it. Counts are since the start of the daemon.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Of the agent.
    pub version: String,
    /// The start, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// When this was filled, in nanoseconds since the Unix epoch.
    pub taken_unix_ns: u64,
    /// The same in the time of [`crate::clock::monotonic_ns`], which does not jump.
    pub taken_ns: u64,
    /// Samples that were counted, by event.
    pub samples: BTreeMap<String, u64>,
    /// What was lost, by cause.
    pub lost: Lost,
    /// User stacks by [`abi::fault::Fault::name`]: `complete`, or why they are cut short.
    pub stacks: BTreeMap<&'static str, u64>,
    /// Unwind tables and all else that the kernel side keeps.
    pub tables: TableFigures,
    /// Profiles by window.
    pub windows: WindowFigures,
    /// Names, where they came from.
    pub symbols: CacheUse,
    /// What each program of the kernel side took; none where this kernel keeps no statistics for us.
    pub programs: BTreeMap<String, Cost>,
    /// CPU time of the agent, user and system.
    pub agent_cpu: Duration,
    /// Resident memory of the agent.
    pub rss_bytes: u64,
    /// Its limit, by configuration.
    pub rss_limit_bytes: u64,
    /// What measuring costs, and what it may cost.
    pub budget: BudgetFigures,
    /// Whose stacks are sampled, those with the most processes first.
    pub targets: Vec<TargetFigures>,
    /// What there should be a session for, attached or not.
    pub sessions: Vec<SessionFigures>,
    /// When the session last read what the kernel side wrote, in the time of `taken_ns`; none before the first time and
    /// while the kill switch is on.
    pub pumped_ns: Option<u64>,
    /// What became of batches; none without a sink.
    pub shipper: Option<ShipperFigures>,
    /// Where batches wait.
    pub spool: SpoolState,
    /// The configuration.
    pub config: ConfigFigures,
    /// The file that takes everything out of the kernel.
    pub kill_switch: KillSwitch,
}

/// Tables of the kernel side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFigures {
    /// Kernel memory of all maps.
    pub bytes: u64,
    /// What unwind tables may take of it.
    pub limit_bytes: u64,
    /// Unwind tables of files that had to make room for others.
    pub evicted: u64,
}

/// Windows and what was made of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowFigures {
    /// Windows that ended, and whose samples were taken over.
    pub made: u64,
    /// Those that ended later than they should have, as earlier ones had not been named yet.
    pub late: u64,
    /// Those that ended before their time, for want of memory.
    pub early: u64,
    /// Profiles that were handed to the spool.
    pub profiles: u64,
}

/// Use of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// What was asked for and known.
    pub hits: u64,
    /// What had to be found out.
    pub misses: u64,
}

/// The overhead budget.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BudgetFigures {
    /// Of all CPUs of this host.
    pub limit_percent: f64,
    /// Used over the last seconds, by kernel programs and the agent together.
    pub used_percent: f64,
    /// Samples a second on each CPU, now.
    pub frequency_hz: u64,
    /// What is configured.
    pub configured_hz: u64,
    /// Mean distance of two samples of growth, now.
    pub growth_interval_bytes: u64,
    /// What is configured.
    pub configured_growth_interval_bytes: u64,
    /// How often the rate was lowered.
    pub n_lowered: u64,
    /// How often it was raised.
    pub n_raised: u64,
    /// Why it is what it is; none while it is as configured from the start.
    pub last_step: Option<StepReason>,
}

/// Processes of one set of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetFigures {
    /// `service.name`.
    pub service: String,
    /// The rule that chose them.
    pub rule: String,
    /// What stands on their profiles.
    pub labels: Labels,
    /// How many there are.
    pub n_processes: u64,
    /// The first [`MAX_TOLD_PIDS`] of them.
    pub pids: Vec<u32>,
}

/// More process IDs of a target are not told.
pub const MAX_TOLD_PIDS: usize = 32;

/// The session of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFigures {
    /// `cpu`, `faults`, `alloc`.
    pub event: String,
    /// Whether it is attached.
    pub state: SessionState,
}

/// Whether a session is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// Programs are attached.
    Attached {
        /// To what: `cpu-clock on 4 CPUs at 99 Hz`, `tracepoint kmem:rss_stat`.
        to: Vec<String>,
        /// Since when, in nanoseconds since the Unix epoch.
        since_unix_ns: u64,
    },
    /// They should be, and are not.
    Failed {
        /// Why, and what to do.
        reason: String,
    },
    /// This host does not have it, and the rest goes on without.
    Unavailable {
        /// Why, and what to do.
        reason: String,
    },
}

/// The spool beyond what [`ShipperFigures`] tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolState {
    /// What it may take on disk.
    pub limit_bytes: u64,
    /// Why the last batch could not be written; none if it was.
    pub write_error: Option<String>,
}

/// The configuration and how it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFigures {
    /// The file.
    pub path: PathBuf,
    /// When what holds now was read, in nanoseconds since the Unix epoch.
    pub loaded_unix_ns: u64,
    /// How often it was read anew and taken.
    pub n_reloads: u64,
    /// How often it was refused.
    pub n_refused: u64,
    /// Why the last reload was refused; none if it was not.
    pub last_refusal: Option<String>,
}

/// The kill switch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KillSwitch {
    /// The file.
    pub path: PathBuf,
    /// It is there: nothing is attached.
    pub is_on: bool,
}

impl Figures {
    /// Samples of all events.
    #[must_use]
    pub fn n_samples(&self) -> u64 {
        sum(self.samples.values())
    }

    /// What all programs of the kernel side took.
    #[must_use]
    pub fn kernel(&self) -> Cost {
        self.programs.values().copied().sum()
    }

    /// Mean kernel time of a sample; none without statistics or samples.
    #[must_use]
    pub fn kernel_seconds_per_sample(&self) -> Option<f64> {
        let n_samples = self.n_samples();
        let is_known = n_samples > 0 && !self.programs.is_empty();
        is_known.then(|| self.kernel().run_time.as_secs_f64() / n_samples as f64)
    }
}

/// The sum of counts, which does not wrap.
pub(super) fn sum<'a>(counts: impl IntoIterator<Item = &'a u64>) -> u64 {
    counts.into_iter().fold(0, |sum, &n| sum.saturating_add(n))
}
