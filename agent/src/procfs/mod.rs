//! What the kernel says about processes under /proc and about control groups.
//!
//! Every parser takes a reader or bytes and is total: what a target can choose (its name, the paths it maps)
//! never makes one panic, loop or allocate without a limit. Opening the file is a separate function.

pub mod cgroup;
pub mod maps;
pub mod memory;
pub mod memory_group;
pub mod network;
pub mod rings;
pub mod root;
pub mod smaps;
pub mod stat;
pub mod status;
pub mod system_call;
pub mod tasks;

/// Largest /proc text file read whole, in bytes: `status` and `stat` are far below one page.
const MAX_SMALL_FILE_BYTES: u64 = 64 * 1024;

/// Reads a small /proc file, up to [`MAX_SMALL_FILE_BYTES`].
pub(crate) fn read_small(path: &str) -> std::io::Result<Vec<u8>> {
    read_at_most(path, MAX_SMALL_FILE_BYTES)
}

/// Reads the first `max_bytes` of a file.
pub(crate) fn read_at_most(path: &str, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(max_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The name of this host.
#[must_use]
pub fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".into(), |name| name.trim().into())
}
