//! One run of a profiler: started, seen at work, read while it works, ended, and what it printed.

use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    child::{self, ends_with_us},
    held::{self, Held, Runs},
    profiler::{Installed, Printed, Sampled},
};
use crate::process::Running;

/// bpftrace takes about four seconds on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Symbols are looked up at the end.
const END_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Ends when dropped.
pub(super) struct Session<'a> {
    installed: &'a Installed,
    running: Running,
    stdout: tempfile::NamedTempFile,
    stderr: tempfile::NamedTempFile,
}

impl<'a> Session<'a> {
    pub(super) fn start(installed: &'a Installed, sampled: Sampled, cpu: Option<u32>) -> Result<Self> {
        let file = || tempfile::NamedTempFile::new().context("cannot create a file for a profiler's output");
        let (stdout, stderr) = (file()?, file()?);
        let mut command = installed.command(sampled);
        if let Some(cpu) = cpu {
            command = child::on_cpu(cpu, &command);
        }
        command.stdin(Stdio::null());
        command.stdout(stdout.reopen().context("cannot open a profiler's output")?);
        command.stderr(stderr.reopen().context("cannot open a profiler's output")?);
        // While it starts, bpftrace forgets a milder signal.
        ends_with_us(&mut command, libc::SIGKILL);
        let running = Running::start(installed.profiler.name, &mut command)?;
        Ok(Self { installed, running, stdout, stderr })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Waits until the kernel has run its programs.
    pub(super) fn wait_until_sampling(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.samplers()?.count == 0 {
            if start.elapsed() > START_TIMEOUT {
                let seconds = START_TIMEOUT.as_secs();
                bail!("no BPF program of {} has run after {seconds} s", self.installed.profiler.name);
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// All that it has open in the kernel.
    pub(super) fn held(&mut self) -> Result<Held> {
        if self.running.has_ended() {
            bail!("{} ended before it was told to: {}", self.installed.profiler.name, self.printed()?.stderr);
        }
        held::by(self.running.pid())
    }

    /// What its programs that run at each tick have cost so far.
    pub(super) fn samplers(&mut self) -> Result<Runs> {
        Ok(Runs::of(self.held()?.programs.iter().filter(|program| program.is_sampler())))
    }

    pub(super) fn finish(mut self) -> Result<Printed> {
        let name = self.installed.profiler.name;
        child::signal(self.running.pid(), libc::SIGINT)?;
        let status = self.running.wait(END_TIMEOUT)?;
        let printed = self.printed()?;
        if !status.success() {
            bail!("{name} failed ({status}): {}", printed.stderr.trim());
        }
        Ok(printed)
    }

    fn printed(&self) -> Result<Printed> {
        let read = |file: &tempfile::NamedTempFile| {
            fs::read(file.path())
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .with_context(|| format!("cannot read what {} printed", self.installed.profiler.name))
        };
        Ok(Printed { stdout: read(&self.stdout)?, stderr: read(&self.stderr)? })
    }
}
