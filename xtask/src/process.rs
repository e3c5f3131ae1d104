//! Processes started for a while: ended by their own id, whatever happens to the command that started them.

use std::{
    io,
    os::unix::process::ExitStatusExt as _,
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

/// What a child and those that it waited for have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// User and system.
    pub(crate) cpu_time: Duration,
    /// The largest that any of them ever was.
    pub(crate) max_rss_bytes: u64,
}

impl Spent {
    /// One after the other.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            cpu_time: self.cpu_time + other.cpu_time,
            max_rss_bytes: self.max_rss_bytes.max(other.max_rss_bytes),
        }
    }
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

impl Running {
    /// Waits for the child to end by itself, and says what it used.
    pub(crate) fn wait_spent(&mut self, at_most: Duration) -> Result<(ExitStatus, Spent)> {
        let pid = libc::pid_t::try_from(self.pid()).context("a process ID that is none")?;
        let start = Instant::now();
        loop {
            let mut status = 0;
            // SAFETY: zeroes are a valid rusage.
            let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
            // SAFETY: both pointers are to live variables of the types that wait4 writes.
            let waited = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, &raw mut usage) };
            if waited < 0 {
                return Err(io::Error::last_os_error())
                    .with_context(|| format!("cannot wait for {}", self.name));
            }
            if waited == pid {
                let spent = Spent {
                    cpu_time: duration(usage.ru_utime)? + duration(usage.ru_stime)?,
                    max_rss_bytes: u64::try_from(usage.ru_maxrss)? << 10,
                };
                return Ok((ExitStatus::from_raw(status), spent));
            }
            if start.elapsed() > at_most {
                bail!("{} was still running after {} s", self.name, at_most.as_secs());
            }
            thread::sleep(POLL);
        }
    }
}

fn duration(time: libc::timeval) -> Result<Duration> {
    let micros = u64::try_from(time.tv_usec)?;
    Ok(Duration::from_secs(u64::try_from(time.tv_sec)?) + Duration::from_micros(micros))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_used_is_known_once_it_has_ended() {
        let mut busy = Command::new("sh");
        busy.args(["-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 3"]);
        let mut running = Running::start("sh", &mut busy).unwrap();
        let (status, spent) = running.wait_spent(Duration::from_secs(30)).unwrap();
        assert_eq!(status.code(), Some(3));
        assert!(spent.cpu_time > Duration::ZERO && spent.max_rss_bytes > 100_000, "{spent:?}");
        assert!(running.has_ended());
    }

    #[test]
    fn times_add_up_and_the_larger_memory_stays() {
        let spent = |seconds, max_rss_bytes| Spent { cpu_time: Duration::from_secs(seconds), max_rss_bytes };
        assert_eq!(spent(1, 7).and(spent(2, 5)), spent(3, 7));
    }
}
