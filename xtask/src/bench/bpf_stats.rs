//! The kernel's own count of what programs cost (`run_time_ns`, `run_cnt`), switched on for a while.

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

use anyhow::{Context, Result};

/// `enum bpf_cmd` and `enum bpf_stats_type` in linux/bpf.h.
const BPF_ENABLE_STATS: libc::c_int = 32;
const BPF_STATS_RUN_TIME: u32 = 0;

/// Programs are timed while this value lives. The kernel stops when the descriptor closes, even if this process
/// is killed; `kernel.bpf_stats_enabled` keeps its value.
pub(super) struct StatsOn {
    _fd: OwnedFd,
}

impl StatsOn {
    pub(super) fn new() -> Result<Self> {
        let attribute = BPF_STATS_RUN_TIME;
        // SAFETY: the kernel reads `size_of_val(&attribute)` bytes, and no more, from a live variable.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_ENABLE_STATS,
                &raw const attribute,
                libc::c_uint::try_from(size_of_val(&attribute))?,
            )
        };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0);
        let fd = fd
            .ok_or_else(io::Error::last_os_error)
            .context("cannot have the kernel time its BPF programs")?;
        // SAFETY: the call above made it, and nobody else knows it.
        Ok(Self { _fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }
}
