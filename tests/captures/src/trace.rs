//! A thread held still by ptrace: its registers, and single steps.

use std::io;

use anyhow::{Context as _, Result, bail};

/// A stopped thread. It goes on when this value goes.
#[derive(Debug)]
pub struct Stopped {
    tid: libc::pid_t,
}

impl Stopped {
    /// Stops a thread wherever it is.
    ///
    /// # Errors
    /// If the kernel refuses: not root, or somebody else traces it.
    pub fn new(tid: u32) -> Result<Self> {
        let tid = libc::pid_t::try_from(tid).context("thread id")?;
        request(libc::PTRACE_ATTACH, tid, 0).context("cannot attach")?;
        let stopped = Self { tid };
        stopped.wait()?;
        Ok(stopped)
    }

    /// The registers, by DWARF number, and the instruction pointer.
    ///
    /// # Errors
    /// If the thread has gone.
    pub fn registers(&self) -> Result<([u64; 16], u64)> {
        // SAFETY: integers only, for which all bytes zero are a value.
        let mut regs: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        request(libc::PTRACE_GETREGS, self.tid, (&raw mut regs) as usize).context("cannot read registers")?;
        let all = [
            regs.rax, regs.rdx, regs.rcx, regs.rbx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8, regs.r9,
            regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
        ];
        Ok((all, regs.rip))
    }

    /// Lets it carry out one instruction; signals that it gets meanwhile reach it.
    ///
    /// # Errors
    /// If the thread ends.
    pub fn step(&self) -> Result<()> {
        request(libc::PTRACE_SINGLESTEP, self.tid, 0).context("cannot step")?;
        self.wait()
    }

    fn wait(&self) -> Result<()> {
        loop {
            let mut status = 0;
            // SAFETY: the status is ours to write to.
            if unsafe { libc::waitpid(self.tid, &raw mut status, libc::__WALL) } != self.tid {
                return Err(io::Error::last_os_error()).context("cannot wait for the thread");
            }
            if !libc::WIFSTOPPED(status) {
                bail!("the thread ended");
            }
            match libc::WSTOPSIG(status) {
                libc::SIGSTOP | libc::SIGTRAP => return Ok(()),
                signal => {
                    let signal = usize::try_from(signal).context("signal number")?;
                    request(libc::PTRACE_SINGLESTEP, self.tid, signal).context("cannot pass a signal on")?;
                }
            }
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have gone, and then needs nothing.
        let _ = request(libc::PTRACE_DETACH, self.tid, 0);
    }
}

fn request(request: libc::c_uint, tid: libc::pid_t, data: usize) -> io::Result<()> {
    // SAFETY: of the requests above only PTRACE_GETREGS takes a pointer, to a structure that outlives the call.
    let result = unsafe { libc::ptrace(request, tid, std::ptr::null_mut::<libc::c_void>(), data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
