//! Processes started for a while: ended by their own id, whatever happens to the command that started them.

use std::{
    process::{Child, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// Long enough for a server to end its workers.
const GRACE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// A child that is ended when this value goes.
pub(crate) struct Running {
    child: Child,
    name: &'static str,
}

impl Running {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Waits for the child to end by itself.
    pub(crate) fn wait(&mut self, at_most: Duration) -> Result<ExitStatus> {
        let start = Instant::now();
        loop {
            let state = self.child.try_wait().with_context(|| format!("cannot wait for {}", self.name))?;
            if let Some(status) = state {
                return Ok(status);
            }
            if start.elapsed() > at_most {
                bail!("{} was still running after {} s", self.name, at_most.as_secs());
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        if let Ok(pid) = libc::pid_t::try_from(self.child.id()) {
            // SAFETY: kill takes no pointer; the child has not been waited for, so the id is still its own.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
        if self.wait(GRACE).is_err() {
            // Neither call can fail in a way that leaves more to do here.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
