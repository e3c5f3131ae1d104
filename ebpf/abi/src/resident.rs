//! An address space, as its counters were last seen to stand.

/// Kinds of memory that the kernel counts: files, anonymous, swapped out, shared
/// (`MM_FILEPAGES` to `MM_SHMEMPAGES` in `include/linux/mm_types_task.h`).
pub const N_MEMBERS: usize = 4;
/// Swapped out: not in memory.
pub const MEMBER_SWAPPED: u32 = 2;

/// A counter that was not seen yet: its first change says only where it stands.
pub const NOT_SEEN: u64 = u64::MAX;

/// Value of the map of resident memory, keyed by the kernel's 32-bit hash of the address space: processes that share
/// their memory share the entry. Of 1,000 address spaces, two have the same hash once in 8,600 times.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resident {
    /// Bytes, by kind, or [`NOT_SEEN`].
    pub bytes: [u64; N_MEMBERS],
}

impl Resident {
    /// Of an image that has only been executed.
    pub const EXECUTED: Self = Self { bytes: [0; N_MEMBERS] };
    /// Of an address space that was there before.
    pub const UNKNOWN: Self = Self { bytes: [NOT_SEEN; N_MEMBERS] };
}

const _: () = assert!(size_of::<Resident>() == 32);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Resident {}
