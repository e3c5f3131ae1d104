//! Children of a measurement: they end with us, run where they are told to, and can be stopped and interrupted.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{process::Running, shell::find_program};

/// Has the kernel signal the child when this process dies, however it dies. `Running` covers every other end.
pub(crate) fn ends_with_us(command: &mut Command, signal: libc::c_int) -> &mut Command {
    // SAFETY: between fork and exec only prctl is called, which is safe there and takes no pointer.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal) == 0 {
                return Ok(());
            }
            Err(io::Error::last_os_error())
        })
    }
}

/// The same command, kept to one CPU.
pub(super) fn on_cpu(cpu: u32, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", &cpu.to_string()]).arg(command.get_program()).args(command.get_args());
    pinned
}

pub(super) fn signal(pid: u32, signal: libc::c_int) -> Result<()> {
    let pid = libc::pid_t::try_from(pid).context("a process ID that is none")?;
    // SAFETY: kill takes no pointer.
    if unsafe { libc::kill(pid, signal) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error()).context("cannot signal a child")
}

/// Takes a CPU for itself, before everything with an ordinary priority, until dropped. Can be held still.
pub(super) struct Hog {
    running: Running,
}

impl Hog {
    /// `program` takes, as its argument, the seconds after which it ends by itself.
    pub(super) fn start(program: &Path, cpu: u32, limit_s: u64) -> Result<Self> {
        let chrt = find_program("chrt").context("no chrt: install Debian's util-linux")?;
        let mut inner = Command::new(chrt);
        inner.args(["-f", "10"]).arg(program).arg(limit_s.to_string());
        let mut command = on_cpu(cpu, &inner);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // Held still, it would not notice a milder signal.
        ends_with_us(&mut command, libc::SIGKILL);
        Ok(Self { running: Running::start("the target program", &mut command)? })
    }

    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub(super) fn hold(&self) -> Result<()> {
        signal(self.pid(), libc::SIGSTOP)
    }

    pub(super) fn go_on(&self) -> Result<()> {
        signal(self.pid(), libc::SIGCONT)
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        // Then `Running` ends it; if it has already gone there is nobody to tell.
        drop(self.go_on());
    }
}
