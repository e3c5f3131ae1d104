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
            kernel_stack: 0,
            sums_ns: [0; N_KINDS],
            tgid,
            kind: UNSEEN as u32,
            over_kind: 0,
            flags: 0,
        }
    }
}

const _: () = assert!(size_of::<Thread>() == 80);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Thread {}
