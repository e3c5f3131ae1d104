//! A thread, as the kernel side keeps it while time off the CPU is measured.

/// It has a CPU.
pub const ON_CPU: usize = 0;
/// It waits for something inside a system call or a page fault.
pub const BLOCKED: usize = 1;
/// It waits in a system call that event loops and thread pools wait in when there is nothing to do.
pub const IDLE: usize = 2;
/// It could run, and waits for a CPU.
pub const RUNNABLE: usize = 3;
/// Where the time of a thread goes: one of the four above.
pub const N_KINDS: usize = 4;
/// In their place: it was there before anybody looked.
pub const UNSEEN: usize = 4;

/// Bit of [`Thread::flags`]: its user stack was walked when it left its CPU.
pub const THREAD_WALKED: u32 = 1 << 0;

/// Value of the map of threads, keyed by thread ID.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thread {
    /// Since when it is of its present kind.
    pub since_ns: u64,
    /// With [`THREAD_WALKED`]: its user stack.
    pub user_stack: u64,
    /// How long the stretch lasted that is over and that no sample tells of yet, because the user stack can only be
    /// walked once the thread runs; 0 if there is none.
    pub over_ns: u64,
    /// How long it waited for a CPU at the end of that stretch, if no sample tells of that yet; 0 otherwise.
    pub over_runnable_ns: u64,
    /// When it was woken last. In the stretch that it is in, it can run since then.
    pub woken_ns: u64,
    /// Kernel stack of that stretch.
    pub kernel_stack: u64,
    /// Sums over all stretches that are over and that no sample tells of, by kind.
    pub sums_ns: [u64; N_KINDS],
    /// Its process.
    pub tgid: u32,
    /// Present kind, or [`UNSEEN`].
    pub kind: u32,
    /// Kind of the stretch that is over.
    pub over_kind: u32,
    /// `THREAD_*` bits.
    pub flags: u32,
}

impl Thread {
    /// It was there when the agent looked: from then on it is off the CPU until it comes, or has one until it leaves.
    #[must_use]
    pub const fn unseen(tgid: u32, since_ns: u64) -> Self {
        Self {
            since_ns,
            user_stack: 0,
            over_ns: 0,
            over_runnable_ns: 0,
            woken_ns: 0,
            kernel_stack: 0,
            sums_ns: [0; N_KINDS],
            tgid,
            kind: UNSEEN as u32,
            over_kind: 0,
            flags: 0,
        }
    }

    /// How much of a stretch until `until_ns` it waited for something, and how much then for a CPU.
    #[inline(always)]
    #[must_use]
    pub const fn parts_ns(&self, kind: usize, until_ns: u64) -> (u64, u64) {
        let all_ns = until_ns.saturating_sub(self.since_ns);
        let waited_ns = self.woken_ns.saturating_sub(self.since_ns);
        if (kind == BLOCKED || kind == IDLE) && waited_ns != 0 && waited_ns < all_ns {
            (waited_ns, all_ns - waited_ns)
        } else {
            (all_ns, 0)
        }
    }

    /// Whether there is something that no sample tells of, and that one is to tell of.
    #[inline(always)]
    #[must_use]
    pub const fn is_untold(&self) -> bool {
        self.over_ns | self.over_runnable_ns != 0
    }
}

const _: () = assert!(size_of::<Thread>() == 96);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Thread {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_the_thread_is_woken_and_the_rest_is_for_a_cpu() {
        let thread = Thread { woken_ns: 130, ..Thread::unseen(1, 100) };
        assert_eq!(thread.parts_ns(BLOCKED, 150), (30, 20));
        assert_eq!(thread.parts_ns(IDLE, 150), (30, 20));
        assert_eq!(thread.parts_ns(RUNNABLE, 150), (50, 0), "preempted");
        let of_an_earlier_wait = Thread { woken_ns: 90, ..thread };
        assert_eq!(of_an_earlier_wait.parts_ns(BLOCKED, 150), (50, 0));
        let after_the_end = Thread { woken_ns: 160, ..thread };
        assert_eq!(after_the_end.parts_ns(BLOCKED, 150), (50, 0));
    }
}
