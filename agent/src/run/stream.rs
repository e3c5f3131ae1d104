//! A recording without an end, cut into windows.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use abi::{counter::Counter, event_loop::Worker};
use profile::Labels;

use super::{FirstStacks, Losses, RunError, Targets, Usage, Window, raise_file_limit, session::Session};
use crate::{
    kernel::{Clock, Cost, KernelError, OffCpu, Source},
    table_cache::TableCache,
};

/// Files have numbers that are not used again, each stays open, and the kernel side has room for the tables of
/// [`abi::limits::MAX_UNWIND_FILES`]: past this many, it is time for another stream.
const MANY_FILES: usize = abi::limits::MAX_UNWIND_FILES as usize / 2;
/// Processes whose group is looked up at once, if nothing was sampled of them.
const MAX_JUDGED_AT_ONCE: usize = 256;

/// What to record.
#[derive(Debug)]
pub struct StreamOptions {
    /// Which processes; their children, too.
    pub targets: Targets,
    /// What to sample. One source at most is measured in bytes.
    pub sources: Vec<Source>,
    /// What probes may cost, in percent of one CPU.
    pub probe_budget_percent: f64,
    /// Memory for unwind tables, at most.
    pub table_bytes: u64,
    /// Where unwind tables of earlier recordings are.
    pub table_cache: Option<TableCache>,
}

/// What a stream knows of itself: counted since it began.
#[derive(Clone, Debug, Default)]
pub struct StreamFigures {
    /// Samples counted.
    pub n_samples: u64,
    /// Samples of resident memory that were read, counted or not.
    pub n_growth_samples: u64,
    /// Counted by the kernel side.
    pub counters: Vec<(Counter, u64)>,
    /// Counted by the agent.
    pub losses: Losses,
    /// Of changes to the kernel's tables that failed, why the first did.
    pub first_table_error: Option<String>,
    /// How soon stacks were whole.
    pub first_stacks: FirstStacks,
    /// What it used.
    pub usage: Usage,
    /// What each source has cost; `None` if this kernel keeps no statistics for us.
    pub costs: Vec<(Source, Option<Cost>)>,
    /// Files that have been seen.
    pub n_files: usize,
    /// The processes that are followed, by whom they belong to.
    pub groups: BTreeMap<Option<Arc<Labels>>, Vec<u32>>,
}

/// A recording that goes on until it is ended.
pub struct Stream {
    session: Session,
    clocks: Vec<Clock>,
    probe_budget_percent: f64,
    group: Option<PathBuf>,
}

impl Stream {
    /// Makes everything ready; nothing is sampled yet.
    ///
    /// # Errors
    /// If a target is not there, or the kernel refuses what is needed.
    pub fn prepare(options: StreamOptions) -> Result<Self, RunError> {
        let StreamOptions { targets, sources, probe_budget_percent, table_bytes, table_cache } = options;
        raise_file_limit();
        let session = Session::start(sources, &targets, true, table_bytes, table_cache)?;
        let group = match &targets {
            Targets::Cgroup(group) => Some(PathBuf::from(&group.path)),
            _ => None,
        };
        Ok(Self { session, clocks: Vec::new(), probe_budget_percent, group })
    }

    /// Begins to sample.
    ///
    /// # Errors
    /// If the kernel refuses an event.
    pub fn begin(&mut self) -> Result<(), KernelError> {
        self.clocks = self.session.start_sampling(self.probe_budget_percent, self.group.take(), true)?;
        Ok(())
    }

    /// Waits for no longer than `timeout`, and moves what the kernel has for us one stage on. To be called ten times a
    /// second, or samples are lost.
    pub fn pump(&mut self, timeout: Duration) {
        self.session.wait(timeout);
        self.session.pump();
    }

    /// Hands over what was counted since the last time.
    #[must_use]
    pub fn cut(&mut self) -> Window {
        self.session.cut(&self.clocks)
    }

    /// Samples CPU time at another rate from now on, and hands over what was counted until now.
    ///
    /// # Errors
    /// If the kernel refuses an event: then CPU time is not sampled any more.
    pub fn set_frequency(&mut self, frequency_hz: u64) -> Result<Window, KernelError> {
        self.session.pump();
        let window = self.cut();
        self.session.set_frequency(frequency_hz)?;
        Ok(window)
    }

    /// Samples growth of resident memory at another distance from now on.
    ///
    /// # Errors
    /// If the kernel refuses it: then all is as it was.
    pub fn set_growth_interval(&mut self, interval_bytes: u64) -> Result<(), KernelError> {
        self.session.set_growth_interval(interval_bytes)
    }

    /// The event loops as they stand, by thread, if they are looked at.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn workers(&self) -> Result<Vec<(u32, Worker)>, KernelError> {
        self.session.workers()
    }

    /// Whether any target still runs.
    #[must_use]
    pub fn any_target_alive(&self) -> bool {
        self.session.any_target_alive()
    }

    /// What each source is attached to, in words.
    #[must_use]
    pub fn attachments(&self) -> Vec<String> {
        let sources = self.session.costs().into_iter().map(|(source, _)| source);
        let attachment = |(source, clock): (Source, &Clock)| match source {
            Source::Cpu { frequency_hz } => format!("{} at {frequency_hz} Hz on every CPU", clock.name()),
            Source::Resident { interval_bytes } => {
                format!("tracepoint kmem:rss_stat, every {interval_bytes} bytes")
            }
            Source::Alloc { interval_bytes, .. } => {
                format!("allocators of each target, every {interval_bytes} bytes")
            }
            Source::Loop { stall_ns, .. } => {
                format!("waits for events, iterations of {stall_ns} ns and longer")
            }
            Source::Requests(_) => "tracepoint sys_exit, calls on connections".to_owned(),
            Source::OffCpu(OffCpu { min_block_ns, .. }) => {
                format!("tracepoint sched:sched_switch, waits of {min_block_ns} ns and longer")
            }
        };
        sources.zip(&self.clocks).map(attachment).collect()
    }

    /// Samples so far.
    #[must_use]
    pub fn n_samples(&self) -> u64 {
        self.session.n_samples()
    }

    /// Whether there is so much that will not be used again that another stream should take its place.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        self.session.world().processes.files().n_files() >= MANY_FILES
    }

    /// What it knows of itself.
    ///
    /// # Errors
    /// If counters cannot be read.
    pub fn figures(&mut self) -> Result<StreamFigures, KernelError> {
        self.session.judge_some(MAX_JUDGED_AT_ONCE);
        self.session.figures(false)
    }

    /// Ends sampling, takes everything out of the kernel, and hands over the rest, with the last figures.
    ///
    /// # Errors
    /// If the kernel does not let go of something; it does when the process ends.
    pub fn end(mut self) -> Result<(Window, StreamFigures), KernelError> {
        self.session.end()?;
        let window = self.cut();
        let figures = self.session.figures(true)?;
        Ok((window, figures))
    }
}
