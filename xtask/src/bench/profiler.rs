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
use crate::{
    fetch,
    process::Spent,
    shell::{Workspace, find_program, output},
};

/// It samples one process until it gets SIGINT; then it prints.
pub(super) struct Profiler {
    pub(super) name: &'static str,
    /// How it gets user stacks.
    pub(super) unwinder: &'static str,
    command: fn(&Path, Sampled) -> Command,
    /// Makes stacks of what it left in its directory, and prints them.
    pub(super) post: Option<fn(&Path) -> Command>,
    pub(super) channel: Channel,
    pub(super) stacks: fn(&Printed) -> Result<Stacks>,
    find: fn(&Workspace, &Plan) -> Result<PathBuf>,
    version_argument: &'static str,
}

/// How samples come from the kernel to the profiler.
#[derive(Clone, Copy)]
pub(super) enum Channel {
    /// Through ring buffers of its BPF programs.
    Ring,
    /// The same; what it then prints goes into this file.
    RingAndFile(&'static str),
    /// They stay in maps of its BPF programs until the end.
    Maps,
    /// From perf's own buffers into this file; there is no BPF program.
    File(&'static str),
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
    /// Size of the file that samples went into.
    pub(super) file_bytes: u64,
    /// All that it used until then.
    pub(super) spent: Spent,
}

/// One that is on this machine.
pub(super) struct Installed {
    pub(super) profiler: &'static Profiler,
    pub(super) program: PathBuf,
    pub(super) version: String,
}

impl Profiler {
    pub(super) fn find(&'static self, workspace: &Workspace, plan: &Plan) -> Result<Installed> {
        let program = (self.find)(workspace, plan)?;
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
        let mut command = record(program, sampled.frequency_hz);
        command.args(["--pid", &sampled.pid.to_string()]);
        command
    },
    post: None,
    channel: Channel::Ring,
    stacks: |printed| stacks::of_agent(&printed.stdout, &printed.stderr),
    find: |_, plan| Ok(plan.agent.clone()),
    version_argument: "--version",
};

/// Ours, on everything.
pub(super) static AGENT_ALL: Profiler = Profiler {
    name: "agent record --all",
    command: |program, sampled| {
        let mut command = record(program, sampled.frequency_hz);
        command.arg("--all");
        command
    },
    find: |_, plan| Ok(plan.agent.clone()),
    ..AGENT
};

/// Ours, watching memory.
pub(super) static AGENT_MEMORY: Profiler = Profiler {
    name: "agent memory",
    command: |program, sampled| {
        let mut command = Command::new(program);
        command.args(["memory", "--duration", "30m", "--report", "json", "--pid", &sampled.pid.to_string()]);
        command
    },
    find: |_, plan| Ok(plan.agent.clone()),
    ..AGENT
};

/// Ours, following requests.
pub(super) static AGENT_REQUESTS: Profiler = Profiler {
    name: "agent requests",
    command: |program, sampled| {
        let mut command = Command::new(program);
        command.args(["requests", "--duration", "30m", "--json", "--pid", &sampled.pid.to_string()]);
        command
    },
    find: |_, plan| Ok(plan.agent.clone()),
    ..AGENT
};

/// Ours, where threads wait: those waits alone that are long.
pub(super) static AGENT_OFF_CPU: Profiler = Profiler {
    name: "agent record --event off-cpu",
    command: |program, sampled| of_event(program, sampled, &["off-cpu"]),
    find: |_, plan| Ok(plan.agent.clone()),
    ..AGENT
};

/// Each wait.
pub(super) static AGENT_EACH_WAIT: Profiler = Profiler {
    name: "agent record --event off-cpu --min-block 1us",
    command: |program, sampled| of_event(program, sampled, &["off-cpu", "--min-block", "1us"]),
    find: |_, plan| Ok(plan.agent.clone()),
    ..AGENT
};

/// Ours, what holds event loops up.
pub(super) static AGENT_LOOP: Profiler = Profiler {
    name: "agent record --event loop",
    command: |program, sampled| of_event(program, sampled, &["loop"]),
    find: |_, plan| Ok(plan.agent.clone()),
    ..AGENT
};

/// At the usual frequency, if ticks are taken at all.
fn of_event(program: &Path, sampled: Sampled, event: &[&str]) -> Command {
    let mut command = record(program, sampled.frequency_hz);
    command.args(["--pid", &sampled.pid.to_string(), "--event"]).args(event);
    command
}

fn record(program: &Path, frequency_hz: u32) -> Command {
    let mut command = Command::new(program);
    command
        .args(["record", "--frequency", &frequency_hz.to_string()])
        // More than any measurement takes, so that it ends even if nobody tells it to.
        .args(["--duration", "30m", "--output", "-", "--format", "folded", "--report", "json"]);
    command
}

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
    post: None,
    channel: Channel::Maps,
    stacks: |printed| stacks::of_bpftrace(&printed.stdout),
    find: |_, _| find_program("bpftrace").context("no bpftrace to compare with: install Debian's bpftrace"),
    version_argument: "--version",
};

/// Copies of the stack, unwound by `perf script`.
pub(super) static PERF_16K: Profiler = Profiler {
    name: "perf record --call-graph dwarf,16384",
    unwinder: "copies of 16 KiB",
    command: |program, sampled| perf(program, sampled, 16_384),
    post: Some(|program| {
        let mut command = Command::new(program);
        command.args(["script", "--no-inline", "--fields", "ip,sym", "--input", PERF_DATA]);
        command
    }),
    channel: Channel::File(PERF_DATA),
    stacks: |printed| Ok(stacks::of_perf(&printed.stdout)),
    find: |_, _| find_program("perf").context("no perf to compare with: install Debian's linux-perf"),
    version_argument: "--version",
};

/// The same with the largest copies that there are, for deep stacks.
pub(super) static PERF_64K: Profiler = Profiler {
    name: "perf record --call-graph dwarf,65528",
    unwinder: "copies of 64 KiB",
    command: |program, sampled| perf(program, sampled, 65_528),
    ..PERF_16K
};

const PERF_DATA: &str = "perf.data";

fn perf(program: &Path, sampled: Sampled, copy_bytes: u32) -> Command {
    let mut command = Command::new(program);
    command
        .args(["record", "--event", "cpu-clock", "--freq", &sampled.frequency_hz.to_string()])
        .args(["--call-graph", &format!("dwarf,{copy_bytes}"), "--output", PERF_DATA])
        .args(["--pid", &sampled.pid.to_string()]);
    command
}

/// The other one that unwinds by `.eh_frame` in the kernel.
pub(super) static PROBEE: Profiler = Profiler {
    name: "profile-bee --dwarf",
    unwinder: "its own",
    command: |program, sampled| {
        let mut command = Command::new(program);
        command
            .args(["--dwarf", "--time", "1800000", "--frequency", &sampled.frequency_hz.to_string()])
            .args(["--output", PROBEE_FOLDED, "--pid", &sampled.pid.to_string()]);
        command
    },
    post: None,
    channel: Channel::RingAndFile(PROBEE_FOLDED),
    stacks: |printed| stacks::of_folded(&printed.stdout),
    find: |workspace, _| fetch::probee::find(workspace),
    version_argument: "--version",
};

const PROBEE_FOLDED: &str = "probee.folded";
