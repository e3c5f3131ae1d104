//! How much a program has written into its ring buffers, read from the outside: the kernel shows the writer's
//! position on the second page of the map.

use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result};

/// `enum bpf_cmd` in linux/bpf.h.
const BPF_MAP_GET_FD_BY_ID: libc::c_int = 14;
/// On the architectures that are supported so far.
const PAGE_BYTES: usize = 4096;

/// Bytes written into a ring so far, headers of records included.
pub(super) fn written_bytes(map_id: u64) -> Result<u64> {
    // `map_id` and `open_flags` of `union bpf_attr`, `next_id` between them.
    let attribute: [u32; 3] = [u32::try_from(map_id)?, 0, 0];
    // SAFETY: the kernel reads `size_of_val(&attribute)` bytes, and no more, from a live variable.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_MAP_GET_FD_BY_ID,
            attribute.as_ptr(),
            libc::c_uint::try_from(size_of_val(&attribute))?,
        )
    };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0);
    let fd = fd.ok_or_else(io::Error::last_os_error).context("cannot open a ring by its ID")?;
    // SAFETY: the call above made it, and nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let offset = libc::off_t::try_from(PAGE_BYTES)?;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let page = unsafe {
        libc::mmap(ptr::null_mut(), PAGE_BYTES, libc::PROT_READ, libc::MAP_SHARED, fd.as_raw_fd(), offset)
    };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error()).context("cannot map a ring");
    }
    // SAFETY: the mapping is a page long, aligned, and stays until below; the kernel writes the word atomically.
    let position = unsafe { (*page.cast::<AtomicU64>()).load(Ordering::Acquire) };
    // SAFETY: made above with this length; nothing refers to it any more.
    unsafe { libc::munmap(page, PAGE_BYTES) };
    Ok(position)
}
