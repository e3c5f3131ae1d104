//! The only wiring: which stage hands what to which, and when it ends.

mod beginnings;
mod command;
mod late;
mod losses;
mod probing;
mod recording;
mod roots;
mod session;
mod snapshot;
mod stream;
mod table_builder;
mod table_use;
mod targets;
mod tls;
mod trap;
mod window;
mod world;

use std::{
    io,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use thiserror::Error;

pub use beginnings::FirstStacks;
pub use command::{Command, ExitStatus, shell_code};
pub use losses::Losses;
pub use probing::{Probed, ProbingReport, Refusal};
pub use recording::{Recording, Usage};
pub use stream::{Stream, StreamFigures, StreamOptions};
pub use targets::{Choose, TargetError, Targets};
pub use window::Window;

use crate::{
    kernel::{KernelError, Source},
    table_cache::TableCache,
};
use session::Session;

/// How long samples may wait in the ring before they are read.
const READ_EVERY: Duration = Duration::from_millis(100);

/// What to record.
#[derive(Debug)]
pub struct Options {
    /// Which processes.
    pub targets: Targets,
    /// Their children, too, present and future.
    pub follow_children: bool,
    /// What to sample. One source at most is measured in bytes.
    pub sources: Vec<Source>,
    /// What probes may cost, in percent of one CPU.
    pub probe_budget_percent: f64,
    /// Memory for unwind tables, at most.
    pub table_bytes: u64,
    /// Where unwind tables of earlier recordings are.
    pub table_cache: Option<TableCache>,
    /// When each stack was counted is kept, in bounded tables, for a recording that may last for days.
    pub over_time: bool,
    /// For how long; until the targets end, if not given.
    pub duration: Option<Duration>,
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The time was over.
    Elapsed,
    /// Every target had ended.
    TargetsEnded,
    /// The user asked for it.
    Stopped,
}

/// Why there is no recording.
#[derive(Debug, Error)]
pub enum RunError {
    /// The kernel refused something.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The targets are not there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The command did not start.
    #[error("cannot run `{command}`")]
    Command {
        /// As it was given.
        command: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

/// Records until the time is over, the targets have ended or `stop` is set. `progress` is told, when everything is attached
/// and then ten times a second, how long it has been and how many samples there are.
///
/// # Errors
/// If a target is not there, or the kernel refuses what is needed.
pub fn record(
    options: Options,
    stop: &AtomicBool,
    mut progress: impl FnMut(Duration, u64),
) -> Result<Recording, RunError> {
    let Options {
        mut targets,
        follow_children,
        sources,
        probe_budget_percent,
        table_bytes,
        table_cache,
        over_time,
        duration,
    } = options;
    raise_file_limit();
    let group = match &targets {
        Targets::Cgroup(group) => Some(PathBuf::from(&group.path)),
        _ => None,
    };
    let mut session = Session::start(sources, &targets, follow_children, table_bytes, table_cache)?;
    if over_time {
        session.keep_over_time();
    }
    let clocks = session.start_sampling(probe_budget_percent, group, follow_children)?;
    if let Targets::Command(command) = &mut targets {
        command.release()?;
    }
    let began = Instant::now();
    progress(Duration::ZERO, 0);
    let end = loop {
        if stop.load(Ordering::Relaxed) {
            break End::Stopped;
        }
        let elapsed = began.elapsed();
        let left = match duration {
            Some(duration) if elapsed >= duration => break End::Elapsed,
            Some(duration) => duration - elapsed,
            None => READ_EVERY,
        };
        let has_ended = match &mut targets {
            Targets::Command(command) => command.has_ended(),
            Targets::Pids(_) => !session.any_target_alive(),
            Targets::Name(_)
            | Targets::Cgroup(_)
            | Targets::All
            | Targets::Chosen(_)
            | Targets::Sorted(_) => false,
        };
        if has_ended {
            break End::TargetsEnded;
        }
        session.wait(left.min(READ_EVERY));
        session.pump();
        progress(elapsed, session.n_samples());
    };
    let mut recording = session.finish(end, clocks, began)?;
    // Afterwards: a command may take its time to end, and nobody would read the ring meanwhile.
    if let Targets::Command(command) = targets {
        recording.exit_status = command.finish();
    }
    Ok(recording)
}

/// One descriptor is held for each file that is mapped anywhere, and the usual limit of 1,024 is soft.
fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: reads and writes one structure of ours. If it is refused, files beyond the limit stay without names,
    // which the report says.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
