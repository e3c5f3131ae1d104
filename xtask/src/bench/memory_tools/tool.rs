//! The tools that tell where memory goes: how each is put on a process, and when it is at work.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    bench::{
        Plan,
        child::{self, ends_with_us},
        held::{self, Runs},
    },
    fetch,
    process::Running,
    shell::{Workspace, find_program},
};

/// bcc compiles its programs first, with one CPU taken by the target.
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// Taking probes out takes a while for each of them. memleak-bpfcc then names all that it has seen, for minutes: it is
/// ended after this.
const END_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

/// It watches one process until it gets SIGINT.
pub(super) struct Tool {
    pub(super) name: &'static str,
    /// The command that watches a process.
    command: fn(&Workspace, &Plan, u32) -> Result<Command>,
    ready: Ready,
    /// It has programs in the kernel.
    pub(super) has_programs: bool,
    /// It works in a process of its own.
    pub(super) has_process: bool,
}

/// What tells that it is at work.
enum Ready {
    /// Its programs have run.
    Programs,
    /// It prints this.
    Printed(&'static str),
    /// This file has something in it.
    File(&'static str),
}

pub(super) static ALL: [Tool; 6] = [
    Tool {
        name: "agent record --event faults",
        command: |_, plan, pid| Ok(record(plan, &["--event", "faults"], pid)),
        ready: Ready::Programs,
        has_programs: true,
        has_process: true,
    },
    Tool {
        name: "agent record --event alloc",
        command: |_, plan, pid| Ok(record(plan, &["--event", "alloc"], pid)),
        ready: Ready::Programs,
        has_programs: true,
        has_process: true,
    },
    Tool {
        name: "the same, no budget",
        command: |_, plan, pid| Ok(record(plan, &["--event", "alloc", "--probe-budget", "1000"], pid)),
        ready: Ready::Programs,
        has_programs: true,
        has_process: true,
    },
    Tool {
        name: "memleak-bpfcc",
        command: |workspace, _, pid| {
            let mut command = Command::new(program("memleak-bpfcc")?);
            // It prints at intervals: none comes.
            command.env("BCC_KERNEL_SOURCE", fetch::headers::find(workspace)?);
            command.args(["-p", &pid.to_string(), "3600"]);
            Ok(command)
        },
        ready: Ready::Programs,
        has_programs: true,
        has_process: true,
    },
    Tool {
        name: "heaptrack -p",
        command: |_, _, pid| {
            let mut command = Command::new(program("heaptrack")?);
            command.args(["--raw", "--output", "heap", "--pid", &pid.to_string()]);
            Ok(command)
        },
        ready: Ready::Printed("injection finished"),
        has_programs: false,
        has_process: false,
    },
    Tool {
        name: "perf record -e page-faults",
        command: |_, _, pid| {
            let mut command = Command::new(program("perf")?);
            command.args(["record", "--event", "page-faults", "--count", "1", "--call-graph", "dwarf,16384"]);
            command.args(["--output", PERF_DATA, "--pid", &pid.to_string()]);
            Ok(command)
        },
        ready: Ready::File(PERF_DATA),
        has_programs: false,
        has_process: true,
    },
];

const PERF_DATA: &str = "perf.data";

fn record(plan: &Plan, options: &[&str], pid: u32) -> Command {
    let mut command = Command::new(&plan.agent);
    // More than any measurement takes, so that it ends even if nobody tells it to.
    command.arg("record").args(options).args(["--duration", "30m", "--output", "x.folded"]);
    command.args(["--report", "json", "--pid", &pid.to_string()]);
    command
}

fn program(name: &str) -> Result<PathBuf> {
    find_program(name).with_context(|| format!("no {name} to compare with"))
}

/// At work until it is ended or dropped.
pub(super) struct Session {
    tool: &'static Tool,
    running: Running,
    dir: tempfile::TempDir,
}

const OUTPUT: &str = "output.txt";

impl Session {
    /// Puts it on a process that is at work, and waits until it is at work itself.
    pub(super) fn start(tool: &'static Tool, workspace: &Workspace, plan: &Plan, pid: u32) -> Result<Self> {
        let dir = tempfile::tempdir().context("cannot create a directory for a tool's files")?;
        let mut command = (tool.command)(workspace, plan, pid)?;
        let output = fs::File::create(dir.path().join(OUTPUT)).context("cannot create a tool's output")?;
        command.current_dir(dir.path()).stdin(Stdio::null());
        command.stderr(output.try_clone().context("cannot share a tool's output")?).stdout(output);
        ends_with_us(&mut command, libc::SIGKILL);
        let mut session = Self { tool, running: Running::start(tool.name, &mut command)?, dir };
        let start = Instant::now();
        while !session.is_ready()? {
            if start.elapsed() > START_TIMEOUT {
                bail!(
                    "{} has not begun after {} s: {}",
                    tool.name,
                    START_TIMEOUT.as_secs(),
                    session.printed()
                );
            }
            thread::sleep(POLL);
        }
        Ok(session)
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// What its programs have cost so far.
    pub(super) fn runs(&mut self) -> Result<Runs> {
        if self.running.has_ended() {
            bail!("{} ended before it was told to: {}", self.tool.name, self.printed());
        }
        Ok(Runs::of(&held::by(self.pid())?.programs))
    }

    /// Tells it to end, and waits; when it is dropped, it is made to.
    pub(super) fn finish(mut self) -> Result<()> {
        child::signal(self.pid(), libc::SIGINT)?;
        if self.running.wait(END_TIMEOUT).is_err() {
            println!("  {} had not ended after {} s", self.tool.name, END_TIMEOUT.as_secs());
        }
        Ok(())
    }

    fn is_ready(&mut self) -> Result<bool> {
        Ok(match self.tool.ready {
            Ready::Programs => self.runs()?.count > 0,
            Ready::Printed(text) => self.printed().contains(text),
            Ready::File(name) => has_bytes(&self.dir.path().join(name)),
        })
    }

    fn printed(&self) -> String {
        fs::read_to_string(self.dir.path().join(OUTPUT)).unwrap_or_default()
    }
}

fn has_bytes(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.len() > 0)
}
