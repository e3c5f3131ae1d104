//! One run of a profiler: started, seen at work, read while it works, ended, and what it printed.

use std::{
    fs,
    os::unix::process::ExitStatusExt as _,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    child::{self, ends_with_us},
    held::{self, Held, Runs},
    profiler::{Channel, Installed, Printed, Sampled},
    ring,
};
use crate::process::{Running, Spent};

/// bpftrace takes about four seconds on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Symbols are looked up at the end.
const END_TIMEOUT: Duration = Duration::from_secs(60);
/// perf unwinds what it copied.
const POST_TIMEOUT: Duration = Duration::from_secs(180);
/// Between the first byte of its file and its first sample.
const FILE_SETTLE: Duration = Duration::from_millis(300);
/// Between the first program and the last table.
const LOADED_SETTLE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// Ends when dropped.
pub(super) struct Session<'a> {
    installed: &'a Installed,
    running: Running,
    stdout: tempfile::NamedTempFile,
    stderr: tempfile::NamedTempFile,
    /// Where it was started, for what it writes by itself.
    dir: tempfile::TempDir,
}

impl<'a> Session<'a> {
    pub(super) fn start(installed: &'a Installed, sampled: Sampled, cpu: Option<u32>) -> Result<Self> {
        let file = || tempfile::NamedTempFile::new().context("cannot create a file for a profiler's output");
        let (stdout, stderr) = (file()?, file()?);
        let mut command = installed.command(sampled);
        if let Some(cpu) = cpu {
            command = child::on_cpu(cpu, &command);
        }
        let dir = tempfile::tempdir().context("cannot create a directory for a profiler's files")?;
        command.stdin(Stdio::null()).current_dir(dir.path());
        command.stdout(stdout.reopen().context("cannot open a profiler's output")?);
        command.stderr(stderr.reopen().context("cannot open a profiler's output")?);
        // While it starts, bpftrace forgets a milder signal.
        ends_with_us(&mut command, libc::SIGKILL);
        let running = Running::start(installed.profiler.name, &mut command)?;
        Ok(Self { installed, running, stdout, stderr, dir })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Waits until the kernel has run its programs, or until it writes its file.
    pub(super) fn wait_until_sampling(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.is_sampling()? {
            if start.elapsed() > START_TIMEOUT {
                bail!("{} has not begun after {} s", self.installed.profiler.name, START_TIMEOUT.as_secs());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Waits until its programs are in the kernel, where no tick says that it has begun.
    pub(super) fn wait_until_loaded(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.held()?.programs.is_empty() {
            if start.elapsed() > START_TIMEOUT {
                bail!(
                    "{} has no program in the kernel after {} s",
                    self.installed.profiler.name,
                    START_TIMEOUT.as_secs()
                );
            }
            thread::sleep(POLL);
        }
        thread::sleep(LOADED_SETTLE);
        Ok(())
    }

    fn is_sampling(&mut self) -> Result<bool> {
        let Channel::File(name) = self.installed.profiler.channel else {
            return Ok(self.samplers()?.count > 0);
        };
        let begun = fs::metadata(self.dir.path().join(name)).is_ok_and(|file| file.len() > 0);
        if begun {
            thread::sleep(FILE_SETTLE);
        }
        Ok(begun)
    }

    /// What it has written into its ring buffers so far.
    pub(super) fn ring_bytes(&mut self) -> Result<u64> {
        self.held()?.rings.into_iter().map(ring::written_bytes).sum()
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
        child::signal(self.running.pid(), libc::SIGINT)?;
        let mut spent = self.ended(END_TIMEOUT)?;
        if let Some(post) = self.installed.profiler.post {
            let mut command = post(&self.installed.program);
            command.stdin(Stdio::null()).current_dir(self.dir.path());
            command.stdout(self.stdout.reopen().context("cannot open a profiler's output")?);
            command.stderr(self.stderr.reopen().context("cannot open a profiler's output")?);
            ends_with_us(&mut command, libc::SIGKILL);
            self.running = Running::start(self.installed.profiler.name, &mut command)?;
            spent = spent.and(self.ended(POST_TIMEOUT)?);
        }
        Ok(Printed { spent, ..self.printed()? })
    }

    fn ended(&mut self, at_most: Duration) -> Result<Spent> {
        let (status, spent) = self.running.wait_spent(at_most)?;
        // Some end by the signal that they are told to end with.
        if !(status.success() || status.signal() == Some(libc::SIGINT)) {
            let name = self.installed.profiler.name;
            bail!("{name} failed ({status}): {}", self.printed()?.stderr.trim());
        }
        Ok(spent)
    }

    fn printed(&self) -> Result<Printed> {
        let read = |file: &tempfile::NamedTempFile| {
            fs::read(file.path())
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .with_context(|| format!("cannot read what {} printed", self.installed.profiler.name))
        };
        let (mut stdout, mut file_bytes) = (read(&self.stdout)?, 0);
        match self.installed.profiler.channel {
            Channel::File(name) => {
                file_bytes = fs::metadata(self.dir.path().join(name)).map_or(0, |file| file.len());
            }
            Channel::RingAndFile(name) => {
                stdout = fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
            }
            Channel::Ring | Channel::Maps => {}
        }
        Ok(Printed { stdout, stderr: read(&self.stderr)?, file_bytes, spent: Spent::default() })
    }
}
