//! The memory of a process, as its counters were last seen to stand.

/// Kinds of memory that the kernel counts: files, anonymous, swapped out, shared
/// (`MM_FILEPAGES` to `MM_SHMEMPAGES` in `include/linux/mm_types_task.h`).
pub const N_MEMBERS: usize = 4;
/// Swapped out: not in memory.
pub const MEMBER_SWAPPED: u32 = 2;

/// A counter that was not seen yet: its first change says only where it stands.
pub const NOT_SEEN: u64 = u64::MAX;

/// Value of the map of resident memory, keyed by tgid.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// The kernel's hash of the address space that the counters belong to; 0 for that of an image which has
    /// only been executed, whose counters began at 0.
    pub mm_id: u64,
    /// Bytes, by kind, or [`NOT_SEEN`].
    pub bytes: [u64; N_MEMBERS],
}

impl Resident {
    /// Of an image that has only been executed.
    pub const EXECUTED: Self = Self { mm_id: 0, bytes: [0; N_MEMBERS] };
}

const _: () = assert!(size_of::<Resident>() == 40);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Resident {}
