//! What the peers profile: a program, or a server under load, at rest until it is told to work.

use std::{path::Path, thread, time::Duration};

use anyhow::{Result, bail};

use crate::{
    bench::{
        child::Hog,
        load::Load,
        servers::{self, Server},
        usage,
    },
    shell::Workspace,
};

const PROFILER_CPU: u32 = 0;
const PROGRAM_CPU: u32 = 1;
/// Caches, first connections, code compiled at first use.
const WARM_UP: Duration = Duration::from_millis(500);
/// More than the slowest profiler takes to start and to print.
const BUSY_AT_MOST: Duration = Duration::from_secs(300);
/// Ends by itself after this, whatever happens.
const PROGRAM_LIMIT_S: u64 = 3600;

pub(super) enum Target {
    /// Takes a CPU for itself while it works.
    Program(Hog),
    Server(Server),
}

/// At work until dropped.
pub(super) enum Busy<'a> {
    Program(&'a Hog),
    Server { _load: Load },
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if let Self::Program(hog) = self {
            // If it has already gone there is nobody to tell.
            drop(hog.hold());
        }
    }
}

/// What came of a while of work.
pub(super) struct Work {
    /// On all of its threads.
    pub(super) on_cpu: Duration,
    /// None of a program that answers nobody.
    pub(super) requests_per_s: Option<f64>,
}

impl Target {
    pub(super) fn program(program: &Path) -> Result<Self> {
        let hog = Hog::start(program, PROGRAM_CPU, PROGRAM_LIMIT_S)?;
        usage::wait_until_named(hog.pid(), program)?;
        thread::sleep(WARM_UP);
        hog.hold()?;
        Ok(Self::Program(hog))
    }

    pub(super) fn server(workspace: &Workspace, kind: &servers::Kind, upstream: &Server) -> Result<Self> {
        let server = kind.start(workspace, upstream)?;
        server.load(WARM_UP)?.requests_per_s()?;
        Ok(Self::Server(server))
    }

    /// The process that works.
    pub(super) fn pid(&self) -> Result<u32> {
        match self {
            Self::Program(hog) => Ok(hog.pid()),
            Self::Server(server) => server.worker_pid(),
        }
    }

    /// Where a profiler has to stay, so that it does not wait for the target.
    pub(super) fn profiler_cpu(&self) -> Option<u32> {
        match self {
            Self::Program(_) => Some(PROFILER_CPU),
            Self::Server(_) => None,
        }
    }

    /// Has it work while something else is waited for.
    pub(super) fn keep_busy(&self) -> Result<Busy<'_>> {
        match self {
            Self::Program(hog) => {
                hog.go_on()?;
                Ok(Busy::Program(hog))
            }
            Self::Server(server) => Ok(Busy::Server { _load: server.load(BUSY_AT_MOST)? }),
        }
    }

    /// Works for so long, and rests.
    pub(super) fn work(&mut self, run_time: Duration) -> Result<Work> {
        let pid = self.pid()?;
        let before = usage::on_cpu(pid)?;
        let requests_per_s = match self {
            Self::Program(hog) => {
                hog.go_on()?;
                thread::sleep(run_time);
                hog.hold()?;
                if hog.has_ended() {
                    bail!("the target ended before its measurement");
                }
                None
            }
            Self::Server(server) => Some(server.load(run_time)?.requests_per_s()?),
        };
        Ok(Work { on_cpu: usage::on_cpu(pid)?.saturating_sub(before), requests_per_s })
    }
}
