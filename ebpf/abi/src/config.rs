//! What the agent decides: before loading, in a read-only global of the kernel programs, and afterwards, in one that it writes.

use crate::limits::COMM_BYTES;

/// Every process is a target.
pub const SCOPE_ALL: u32 = 1 << 0;
/// Processes below the cgroup [`Config::cgroup_id`] are targets.
pub const SCOPE_CGROUP: u32 = 1 << 1;
/// A process becomes a target when it executes an image named [`Config::comm`].
pub const SCOPE_COMM: u32 = 1 << 2;
/// Children of what becomes a target by [`SCOPE_COMM`] are targets.
pub const SCOPE_CHILDREN: u32 = 1 << 3;

/// Bit of [`Config::off_cpu`]: idle waits are sampled, too.
pub const SAMPLE_IDLE: u32 = 1 << 0;
/// Another: who ends a wait is told, too.
pub const SAMPLE_WAKERS: u32 = 1 << 1;

/// Bit of [`Config::requests`]: of paths only their hashes leave the kernel.
pub const HIDE_PATHS: u64 = 1 << 0;
/// Another: in front of each sample crosses which connection its thread serves.
pub const TELL_SERVED: u64 = 1 << 1;
/// Another: functions of libraries for TLS are probed.
pub const FOLLOW_TLS: u64 = 1 << 2;

/// The read-only global `CONFIG`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// cgroup v2 ID: the inode number of its directory.
    pub cgroup_id: u64,
    /// Depth of that cgroup below the root, which has level 0.
    pub cgroup_level: u32,
    /// `SCOPE_*` bits. Without any, only what stands in the map of targets is sampled.
    pub scope: u32,
    /// NUL-padded, compared whole.
    pub comm: [u8; COMM_BYTES],
    /// Something is measured in bytes; [`Controls::interval_bytes`] apart.
    pub is_in_bytes: u64,
    /// Time off the CPU is sampled from this length on; 0 where it is not measured.
    pub min_block_ns: u64,
    /// Where `pid` stands in the kernel's `task_struct`.
    pub task_pid_at: u32,
    /// [`SAMPLE_IDLE`], [`SAMPLE_WAKERS`].
    pub off_cpu: u32,
    /// An iteration of an event loop that takes as long is told of; 0 where event loops are not looked at.
    pub stall_ns: u64,
    /// [`HIDE_PATHS`], [`TELL_SERVED`], [`FOLLOW_TLS`].
    pub requests: u64,
}

/// The global `CONTROLS`, which the agent writes while the programs run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// 0 if no samples are taken.
    pub is_sampling: u64,
    /// Mean distance of two samples of an event that is measured in bytes.
    pub interval_bytes: u64,
}

const _: () = assert!(size_of::<Config>() == 72);
const _: () = assert!(size_of::<Controls>() == 16);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Config {}
// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Controls {}
