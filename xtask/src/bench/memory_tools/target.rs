//! What the tools watch: a program that does little but allocate, and nginx under load.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    bench::{child::ends_with_us, load::Load, nginx::Nginx},
    process::Running,
};

/// Ends by itself after this, whatever happens.
const LIMIT_S: &str = "1800";
/// The same for a load that only keeps nginx busy.
const LOAD_LIMIT: Duration = Duration::from_secs(600);

/// At work until dropped.
pub(super) enum Target {
    /// Allocates and frees as fast as it can.
    Churn { running: Running, count: tempfile::NamedTempFile },
    /// One worker, which is what is watched.
    Nginx(Nginx),
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Churn,
    Nginx,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Churn, Self::Nginx];

    /// Name and the unit of its rate.
    pub(super) fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Churn => ("turnover", "malloc + free/s"),
            Self::Nginx => ("nginx", "requests/s"),
        }
    }

    pub(super) fn start(self, program: &Path) -> Result<Target> {
        if self == Self::Nginx {
            return Ok(Target::Nginx(Nginx::start()?));
        }
        let count = tempfile::NamedTempFile::new().context("cannot create a file to count in")?;
        let mut command = Command::new(program);
        command.arg(count.path()).arg(LIMIT_S).stdin(Stdio::null());
        ends_with_us(&mut command, libc::SIGTERM);
        Ok(Target::Churn { running: Running::start("turnover", &mut command)?, count })
    }
}

impl Target {
    pub(super) fn pid(&self) -> Result<u32> {
        match self {
            Self::Churn { running, .. } => Ok(running.pid()),
            Self::Nginx(nginx) => nginx.worker_pid(),
        }
    }

    /// Keeps it at work while a tool starts.
    pub(super) fn busy(&self) -> Result<Option<Load>> {
        match self {
            Self::Churn { .. } => Ok(None),
            Self::Nginx(nginx) => nginx.load(LOAD_LIMIT).map(Some),
        }
    }

    /// What it gets done in a second.
    pub(super) fn rate_per_s(&self, run_time: Duration) -> Result<f64> {
        match self {
            Self::Nginx(nginx) => nginx.load(run_time)?.requests_per_s(),
            Self::Churn { count, .. } => {
                let (before, start) = (counted(count.as_file())?, Instant::now());
                thread::sleep(run_time);
                let n_done = counted(count.as_file())?.saturating_sub(before);
                Ok(n_done as f64 / start.elapsed().as_secs_f64())
            }
        }
    }
}

fn counted(file: &File) -> Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, 0).context("the program counts nothing")?;
    Ok(u64::from_ne_bytes(bytes))
}
