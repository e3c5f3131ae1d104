//! A command that is sampled from its first instruction: started, held before its exec, released once sampling
//! has begun.

use std::{
    ffi::OsString,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::process::{CommandExt as _, ExitStatusExt as _},
    },
    process::Child,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::RunError;

pub use std::process::ExitStatus;

/// How long a command may take to end once it is asked to.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command, held or running.
#[derive(Debug)]
pub struct Command {
    line: String,
    pid: u32,
    /// Written to once: the child is waiting to read.
    gate: Option<io::PipeWriter>,
    /// Ends when the exec has succeeded or failed.
    starting: Option<JoinHandle<io::Result<Child>>>,
    child: Option<Child>,
    status: Option<ExitStatus>,
}

impl Command {
    /// Starts a command as far as its exec.
    ///
    /// # Errors
    /// If no process can be made.
    pub fn hold(program: OsString, arguments: Vec<OsString>) -> Result<Self, RunError> {
        let mut line = program.to_string_lossy().into_owned();
        for argument in &arguments {
            line.push(' ');
            line.push_str(&argument.to_string_lossy());
        }
        let error = |source| RunError::Command { command: line.clone(), source };
        let (gate_reader, gate) = io::pipe().map_err(error)?;
        let (mut pid_reader, pid_writer) = io::pipe().map_err(error)?;
        let (gate_reader, pid_writer) = (OwnedFd::from(gate_reader), OwnedFd::from(pid_writer));
        let gate_fd = gate.as_raw_fd();
        let mut command = std::process::Command::new(program);
        command.args(arguments);
        // SAFETY: between fork and exec only system calls are made, on memory and descriptors of the closure.
        unsafe {
            command.pre_exec(move || {
                // Our own copy of the writing end would keep the gate open after the agent has died.
                libc::close(gate_fd);
                let pid = std::process::id().to_ne_bytes();
                libc::write(pid_writer.as_raw_fd(), pid.as_ptr().cast(), pid.len());
                let mut byte = 0_u8;
                match libc::read(gate_reader.as_raw_fd(), (&raw mut byte).cast(), 1) {
                    1 => Ok(()),
                    // The agent gave up before it began.
                    _ => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
                }
            });
        }
        // `spawn` returns when the exec has happened, so it must wait on a thread of its own.
        let starting = std::thread::Builder::new()
            .name("start-command".into())
            .spawn(move || command.spawn())
            .map_err(error)?;
        let mut pid = [0; 4];
        match pid_reader.read_exact(&mut pid) {
            Ok(()) => {}
            Err(source) => return Err(error(starting.join().ok().and_then(Result::err).unwrap_or(source))),
        }
        let pid = u32::from_ne_bytes(pid);
        Ok(Self { line, pid, gate: Some(gate), starting: Some(starting), child: None, status: None })
    }

    /// Its process ID.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// As it would be typed.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Lets it run.
    ///
    /// # Errors
    /// If its program cannot be executed.
    pub fn release(&mut self) -> Result<(), RunError> {
        let error = |source| RunError::Command { command: self.line.clone(), source };
        if let Some(mut gate) = self.gate.take() {
            gate.write_all(&[1]).map_err(error)?;
        }
        if let Some(starting) = self.starting.take() {
            let child = starting.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
            self.child = Some(child.map_err(error)?);
        }
        Ok(())
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
        }
        self.status.is_some()
    }

    /// Its exit status. A command that still runs is asked to end (SIGTERM), and made to after a while (SIGKILL).
    #[must_use]
    pub fn finish(mut self) -> Option<ExitStatus> {
        for signal in [libc::SIGTERM, libc::SIGKILL] {
            if self.has_ended() {
                break;
            }
            // SAFETY: our own child, not waited for yet, so the ID is still its own.
            unsafe { libc::kill(self.pid.cast_signed(), signal) };
            let asked = Instant::now();
            while !self.has_ended() && asked.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        self.status
    }
}

/// The exit code that a shell would give.
#[must_use]
pub fn shell_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
