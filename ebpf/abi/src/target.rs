//! A process that is, or will become, a target.

/// Samples are taken.
pub const TARGET_ACTIVE: u32 = 1 << 0;
/// Children inherit this entry.
pub const TARGET_FOLLOW: u32 = 1 << 1;
/// Becomes active at its next exec: a command that the agent starts is sampled from its own first instruction,
/// not from the agent's last ones.
pub const TARGET_AT_EXEC: u32 = 1 << 2;
/// Its image has only been executed: its memory began with nothing. Gone with the first change of it.
pub const TARGET_EXECUTED: u32 = 1 << 3;
/// Not sampled, but until it executes an image of its own, its memory is that of a target.
pub const TARGET_BORROWS_MEMORY: u32 = 1 << 4;

/// Value of the map of targets, keyed by tgid.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// When the present image was executed (CLOCK_MONOTONIC); 0 if before the agent looked. A mapping table
    /// older than this describes another image and is not used.
    pub image_since_ns: u64,
    /// `TARGET_*` bits.
    pub flags: u32,
    /// Explicit padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Target>() == 16);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Target {}
