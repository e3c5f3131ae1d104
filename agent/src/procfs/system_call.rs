//! What a thread that does not run is in the middle of: `/proc/PID/task/TID/syscall`.

use std::io;

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doing {
    /// It has a CPU, or could have one.
    pub is_running: bool,
    /// It has no user mode.
    pub is_of_kernel: bool,
    /// Number of the system call that it waits in; none for a page fault.
    pub system_call: Option<u64>,
    /// Second argument of that call.
    pub second: u64,
}

/// Looks at a thread.
///
/// # Errors
/// If there is no such thread, or we may not look.
pub fn read(pid: u32, tid: u32) -> io::Result<Doing> {
    let text = super::read_small(&format!("/proc/{pid}/task/{tid}/syscall"))?;
    parse(&String::from_utf8_lossy(&text)).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// `running`, `-1 SP PC`, or `NUMBER ARGUMENT... SP PC`, all but the number hexadecimal (`proc_pid_syscall(5)`). A
/// thread of the kernel has a stack pointer of 0.
fn parse(text: &str) -> Option<Doing> {
    let mut words = text.split_whitespace();
    let number = words.next()?;
    if number == "running" {
        return Some(Doing { is_running: true, is_of_kernel: false, system_call: None, second: 0 });
    }
    let number: i64 = number.parse().ok()?;
    let Ok(number) = u64::try_from(number) else {
        let is_of_kernel = words.next() == Some("0x0");
        return Some(Doing { is_running: false, is_of_kernel, system_call: None, second: 0 });
    };
    let second = u64::from_str_radix(words.nth(1)?.strip_prefix("0x")?, 16).ok()?;
    Some(Doing { is_running: false, is_of_kernel: false, system_call: Some(number), second })
}

#[cfg(test)]
mod tests {
    use super::{Doing, parse, read};

    #[test]
    fn a_thread_runs_or_waits_in_a_call_or_in_none() {
        let waits = Doing { is_running: false, is_of_kernel: false, system_call: None, second: 0 };
        assert_eq!(parse("-1 0x0 0x0\n"), Some(Doing { is_of_kernel: true, ..waits }));
        assert_eq!(parse("running\n"), Some(Doing { is_running: true, ..waits }));
        assert_eq!(parse("-1 0x7ffd8 0x7f2a\n"), Some(waits));
        let text = "202 0x7f2a 0x189 0x0 0x0 0x0 0xffffffff 0x7ffd8 0x7f2b\n";
        assert_eq!(parse(text), Some(Doing { system_call: Some(202), second: 0x189, ..waits }));
        for text in ["", "x", "202", "202 0x1", "202 0x1 2"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn this_thread_is_in_the_call_that_reads_the_file() {
        let own = std::process::id();
        // SAFETY: no argument, no failure.
        let tid = unsafe { libc::gettid() };
        let doing = read(own, u32::try_from(tid).expect("positive"));
        assert!(doing.as_ref().is_ok_and(|doing| doing.system_call == Some(0)), "{doing:?}");
    }
}
