//! What the allocator of the C library is told, so that memory that was needed for a moment is not kept for good.

/// Larger pieces are the kernel's again as soon as they are free. Left alone, the allocator raises this to the largest
/// piece that was ever freed, and keeps everything below.
#[cfg(target_env = "gnu")]
const SEPARATE_FROM_BYTES: libc::c_int = 128 * 1024;

/// To be called before there are threads: each would get a heap of its own, with holes of its own. None allocates so often
/// that it waits for another.
pub(crate) fn keep_small() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, SEPARATE_FROM_BYTES)] {
        // SAFETY: takes no pointers. If it refuses, all is as it would be without.
        unsafe { libc::mallopt(what, value) };
    }
}

/// Gives the kernel what is free at this moment.
pub(super) fn give_back() {
    // SAFETY: has no arguments to be wrong.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
