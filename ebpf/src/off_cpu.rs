//! What a thread that leaves its CPU waits for, by the system call that it is in. x86-64.

use abi::off_cpu::{BLOCKED, IDLE, RUNNABLE};

/// `TASK_INTERRUPTIBLE`: a signal ends the wait (`include/linux/sched.h`).
const INTERRUPTIBLE: u32 = 1;

/// Numbers of system calls (`arch/x86/entry/syscalls/syscall_64.tbl`).
const FUTEX: u64 = 202;

/// The operation of a futex call, without its flags (`include/uapi/linux/futex.h`).
const FUTEX_COMMAND: u64 = 0x7f;
/// What the C library's condition variables, semaphores and joins wait with; its locks use another.
const FUTEX_WAIT_BITSET: u64 = 9;
/// The same for a condition variable whose lock inherits priority.
const FUTEX_WAIT_REQUEUE_PI: u64 = 11;

/// In place of the number of a system call: a page fault, or interrupted in user mode.
pub const NO_SYSTEM_CALL: u64 = u64::MAX;
/// In its place, too: a thread of the kernel, which waits for work whenever it waits.
pub const KERNEL_THREAD: u64 = u64::MAX - 1;

/// A thread that leaves its CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The CPU was taken from it.
    pub is_preempted: bool,
    /// The kernel's `TASK_*` bits; 0 while it could run.
    pub state: u32,
    /// Number of the system call that it is in, [`NO_SYSTEM_CALL`] or [`KERNEL_THREAD`].
    pub system_call: u64,
    /// Second argument of that call.
    pub second: u64,
}

impl Leaving {
    /// [`BLOCKED`], [`IDLE`] or [`RUNNABLE`].
    #[inline(always)]
    #[must_use]
    pub fn kind(self) -> usize {
        if self.is_preempted || self.state == 0 {
            RUNNABLE
        } else if self.system_call == KERNEL_THREAD
            || self.state & INTERRUPTIBLE != 0 && waits_for_work(self.system_call, self.second)
        {
            IDLE
        } else {
            BLOCKED
        }
    }
}

/// Whether a system call is one that an event loop waits for events in, given its number and its third argument.
#[inline(always)]
#[must_use]
pub fn waits_for_events(system_call: u64, third: u64) -> bool {
    match system_call {
        // poll, select, epoll_wait_old, epoll_wait, pselect6, ppoll, epoll_pwait, epoll_pwait2
        7 | 23 | 215 | 232 | 270 | 271 | 281 | 441 => true,
        // io_uring_enter that asks for a completion at least
        426 => third as u32 != 0,
        _ => false,
    }
}

/// Whether a system call is one that waits until there is something to do. A wait inside it that no signal ends (for a
/// lock, a page) is none of its own.
#[inline(always)]
fn waits_for_work(system_call: u64, second: u64) -> bool {
    match system_call {
        // poll, select, pause, nanosleep, accept, wait4
        7 | 23 | 34 | 35 | 43 | 61
        // rt_sigtimedwait, rt_sigsuspend, io_getevents, epoll_wait_old
        | 128 | 130 | 208 | 215
        // restart_syscall, clock_nanosleep, epoll_wait, waitid, pselect6, ppoll, epoll_pwait, accept4
        | 219 | 230 | 232 | 247 | 270 | 271 | 281 | 288
        // io_pgetevents, io_uring_enter, epoll_pwait2, futex_waitv, futex_wait
        | 333 | 426 | 441 | 449 | 455 => true,
        FUTEX => {
            let command = second & FUTEX_COMMAND;
            command == FUTEX_WAIT_BITSET || command == FUTEX_WAIT_REQUEUE_PI
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{KERNEL_THREAD, Leaving, NO_SYSTEM_CALL, waits_for_events};
    use abi::off_cpu::{BLOCKED, IDLE, RUNNABLE};

    const UNINTERRUPTIBLE: u32 = 2;

    fn kind(state: u32, system_call: u64, second: u64) -> usize {
        Leaving { is_preempted: false, state, system_call, second }.kind()
    }

    #[test]
    fn a_wait_for_events_is_idle_and_one_for_data_is_not() {
        for (name, number) in [("epoll_wait", 232), ("poll", 7), ("nanosleep", 35), ("accept4", 288)] {
            assert_eq!(kind(1, number, 0), IDLE, "{name}");
        }
        for (name, number) in [("read", 0), ("fsync", 74), ("connect", 42), ("fault", NO_SYSTEM_CALL)] {
            assert_eq!(kind(1, number, 0), BLOCKED, "{name}");
        }
    }

    #[test]
    fn handing_in_work_to_a_ring_is_no_wait() {
        assert!(waits_for_events(426, 1) && !waits_for_events(426, 0));
        assert!(waits_for_events(232, 0) && !waits_for_events(0, 1));
    }

    #[test]
    fn what_no_signal_ends_is_blocked_in_whichever_system_call() {
        assert_eq!(kind(UNINTERRUPTIBLE, 232, 0), BLOCKED);
        assert_eq!(kind(UNINTERRUPTIBLE, NO_SYSTEM_CALL, 0), BLOCKED);
    }

    #[test]
    fn a_thread_of_the_kernel_waits_for_work() {
        assert_eq!(kind(UNINTERRUPTIBLE, KERNEL_THREAD, 0), IDLE);
        assert_eq!(kind(0, KERNEL_THREAD, 0), RUNNABLE);
    }

    #[test]
    fn a_lock_is_told_from_a_condition_variable() {
        const PRIVATE: u64 = 128;
        const REALTIME: u64 = 256;
        assert_eq!(kind(1, 202, PRIVATE), BLOCKED, "FUTEX_WAIT");
        assert_eq!(kind(1, 202, 6 | PRIVATE), BLOCKED, "FUTEX_LOCK_PI");
        assert_eq!(kind(1, 202, 9 | PRIVATE | REALTIME), IDLE, "FUTEX_WAIT_BITSET");
    }

    #[test]
    fn a_thread_that_could_run_waits_for_a_cpu() {
        assert_eq!(kind(0, 232, 0), RUNNABLE);
        // Preempted on its way to sleep.
        let leaving = Leaving { is_preempted: true, state: 1, system_call: 232, second: 0 };
        assert_eq!(leaving.kind(), RUNNABLE);
    }
}
