//! A process that is ended when its guard goes, by its own ID, and what it said.
//!
//! Each is the leader of a process group of its own, so that workers and commands it started go with it.

use std::{
    fs::{self, File},
    io,
    os::unix::{net::UnixDatagram, process::CommandExt as _},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::wait;

/// Long enough for a server to end its workers.
const GRACE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);

/// A process under way.
pub struct Running {
    child: Child,
    pid: libc::pid_t,
    name: String,
    /// Where it says that it is ready, if it was asked to.
    told: Option<UnixDatagram>,
    /// Its output; files and not pipes, as nobody reads while it runs.
    output: TempDir,
}

/// What a process left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Whatever it was, also no text.
    pub stdout: Vec<u8>,
    /// Its messages.
    pub stderr: String,
}

fn output_dir() -> Result<TempDir> {
    tempfile::tempdir().context("cannot create a directory for output")
}

impl Running {
    /// Starts a process with no input.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        Self::spawn(command, output_dir()?, None)
    }

    /// The same of a process that says when it is ready, as a service says so to its manager (`sd_notify`).
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_notifying(command: &mut Command) -> Result<Self> {
        let output = output_dir()?;
        let socket = output.path().join("notify");
        let told = UnixDatagram::bind(&socket).context("cannot listen in the directory for output")?;
        told.set_nonblocking(true)?;
        Self::spawn(command.env("NOTIFY_SOCKET", socket), output, Some(told))
    }

    fn spawn(command: &mut Command, output: TempDir, told: Option<UnixDatagram>) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file =
            |name: &str| File::create(output.path().join(name)).context("cannot create an output file");
        command.stdin(Stdio::null()).stdout(file("stdout")?).stderr(file("stderr")?).process_group(0);
        // SAFETY: between fork and exec only one system call is made, which takes no pointer.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                // A test run that is killed takes its processes along.
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            });
        }
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let pid = libc::pid_t::try_from(child.id()).context("a process ID beyond the kernel's range")?;
        Ok(Self { child, pid, name, told, output })
    }

    /// Its ID.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// If it ends before, or was not asked to say so.
    pub fn wait_until_ready(&self) -> Result<()> {
        let told = self.told.as_ref().with_context(|| format!("{} was not asked to say so", self.name))?;
        wait::until("it is ready", wait::PATIENCE, || {
            let mut message = [0; 256];
            match told.recv(&mut message) {
                Ok(n) if message[..n].starts_with(b"READY=1") => Ok(Some(())),
                Ok(n) => bail!("{} says {:?}", self.name, String::from_utf8_lossy(&message[..n])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ensure!(!self.has_ended(), "{} ended: {}", self.name, self.stderr()?);
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Its children now.
    ///
    /// # Errors
    /// If it has ended.
    pub fn children(&self) -> Result<Vec<u32>> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid);
        let text = fs::read_to_string(&path).with_context(|| format!("{} has ended", self.name))?;
        text.split_whitespace().map(|pid| pid.parse().context("no process ID")).collect()
    }

    /// Sends a signal to it alone.
    ///
    /// # Errors
    /// If it has been waited for.
    pub fn signal(&self, signal: i32) -> Result<()> {
        // SAFETY: kill takes no pointer; the process is not waited for before `finish` or the end of the guard.
        match unsafe { libc::kill(self.pid, signal) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()).with_context(|| format!("cannot signal {}", self.name)),
        }
    }

    /// Whether it has ended. It stays a zombie, so that its ID remains its own.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        // SAFETY: all-zero is a valid siginfo, and the call fills it or leaves it.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let result = libc::waitid(libc::P_PID, self.pid.unsigned_abs(), &raw mut info, flags);
            result != 0 || info.si_pid() != 0
        }
    }

    /// What it has written to standard output so far.
    ///
    /// # Errors
    /// If the file is gone.
    pub fn stdout(&self) -> Result<String> {
        fs::read_to_string(self.output.path().join("stdout")).context("cannot read output")
    }

    /// What it has written to standard error so far.
    ///
    /// # Errors
    /// If the file is gone.
    pub fn stderr(&self) -> Result<String> {
        let bytes = fs::read(self.output.path().join("stderr")).context("cannot read messages")?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// If it does not, in time; it is ended then.
    pub fn finish(mut self, at_most: Duration) -> Result<Finished> {
        if !self.ends_within(at_most) {
            bail!("{} still ran after {} s; it said: {}", self.name, at_most.as_secs(), self.stderr()?);
        }
        self.kill_group();
        let status = self.child.wait().context("cannot wait")?;
        let stdout = fs::read(self.output.path().join("stdout")).context("cannot read output")?;
        Ok(Finished { status, stdout, stderr: self.stderr()? })
    }

    fn ends_within(&self, at_most: Duration) -> bool {
        let start = Instant::now();
        while !self.has_ended() {
            if start.elapsed() > at_most {
                return false;
            }
            thread::sleep(POLL);
        }
        true
    }

    /// Ends what is left of its group; its leader is not waited for yet, so the group's ID is still ours.
    fn kill_group(&self) {
        // SAFETY: kill takes no pointer.
        unsafe { libc::kill(-self.pid, libc::SIGKILL) };
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // `finish` has been here, and the ID may be another's by now.
        if matches!(self.child.try_wait(), Ok(None)) {
            // SAFETY: kill takes no pointer; the child has not been waited for, so the group is its own.
            unsafe { libc::kill(-self.pid, libc::SIGTERM) };
            self.ends_within(GRACE);
            self.kill_group();
            // Nothing is left to do if this fails.
            drop(self.child.wait());
        }
    }
}
