//! The file system in which the kernel describes its tracepoints.

use std::fs;

/// Where it is mounted by custom.
pub(super) const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Mounts it where it belongs if it is nowhere, as systemd does at boot and perf at its start: a host without systemd
/// has none. It stays, as others may have come to use it. A failure shows in [`super::probe`], with what to do.
pub fn mount_if_missing() {
    let is_mounted = |path: &str| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    if TRACEFS.iter().any(|path| is_mounted(path)) {
        return;
    }
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    // SAFETY: literals that end in NUL, and no data.
    let _ = unsafe {
        libc::mount(
            c"tracefs".as_ptr(),
            c"/sys/kernel/tracing".as_ptr(),
            c"tracefs".as_ptr(),
            flags,
            std::ptr::null(),
        )
    };
}
