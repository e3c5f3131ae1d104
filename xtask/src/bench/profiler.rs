//! The profilers that are compared: how each is started, and how its stacks are read.
//!
//! The cost of one is read from the BPF programs that its process holds, so that a new one is a new description.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    Plan,
    stacks::{self, Stacks},
};
use crate::shell::{find_program, output};

/// It samples one process until it gets SIGINT; then it prints.
pub(super) struct Profiler {
    pub(super) name: &'static str,
    /// How it gets user stacks.
    pub(super) unwinder: &'static str,
    command: fn(&Path, Sampled) -> Command,
    pub(super) stacks: fn(&Printed) -> Result<Stacks>,
    find: fn(&Plan) -> Result<PathBuf>,
    version_argument: &'static str,
}

/// Whom to sample, and how often.
#[derive(Clone, Copy)]
pub(super) struct Sampled {
    pub(super) pid: u32,
    pub(super) frequency_hz: u32,
}

/// What it left behind.
pub(super) struct Printed {
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// One that is on this machine.
pub(super) struct Installed {
    pub(super) profiler: &'static Profiler,
    program: PathBuf,
    pub(super) version: String,
}

impl Profiler {
    pub(super) fn find(&'static self, plan: &Plan) -> Result<Installed> {
        let program = (self.find)(plan)?;
        let version = output(Command::new(&program).arg(self.version_argument))?;
        Ok(Installed { profiler: self, program, version: version.trim().to_owned() })
    }
}

impl Installed {
    pub(super) fn command(&self, sampled: Sampled) -> Command {
        (self.profiler.command)(&self.program, sampled)
    }
}

/// Ours. Stacks go to stdout, the report to stderr.
pub(super) static AGENT: Profiler = Profiler {
    name: "agent record",
    unwinder: "its own",
    command: |program, sampled| {
        let mut command = Command::new(program);
        command
            .args(["record", "--pid", &sampled.pid.to_string()])
            .args(["--frequency", &sampled.frequency_hz.to_string()])
            // More than any measurement takes, so that it ends even if nobody tells it to.
            .args(["--duration", "30m", "--output", "-", "--format", "folded", "--report", "json"]);
        command
    },
    stacks: |printed| stacks::of_agent(&printed.stdout, &printed.stderr),
    find: |plan| Ok(plan.agent.clone()),
    version_argument: "--version",
};

/// The kernel's own walk along frame pointers, with nothing but a count around it.
pub(super) static BPFTRACE: Profiler = Profiler {
    name: "bpftrace",
    unwinder: "`bpf_get_stackid`",
    command: |program, sampled| {
        let Sampled { pid, frequency_hz } = sampled;
        let mut command = Command::new(program);
        command.arg("-e").arg(format!("profile:hz:{frequency_hz} /pid == {pid}/ {{ @[ustack] = count(); }}"));
        command
    },
    stacks: |printed| stacks::of_bpftrace(&printed.stdout),
    find: |_| find_program("bpftrace").context("no bpftrace to compare with: install Debian's bpftrace"),
    version_argument: "--version",
};
