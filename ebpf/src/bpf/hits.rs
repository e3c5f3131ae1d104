//! How often each probe was run into, sampled or not.

use abi::alloc::{MAX_PROBES, PROBE_SHIFT};

use super::{maps::HITS, swap::add};

/// Counts a hit of the probe whose number stands in this cookie.
#[inline(always)]
pub(super) fn count(cookie: u64) {
    let number = (cookie >> PROBE_SHIFT).min(u64::from(MAX_PROBES - 1));
    if let Some(hits) = HITS.get_ptr_mut(number as u32) {
        // SAFETY: a per-CPU value, checked above; a thread that preempts this one here adds in one step as well.
        add(unsafe { &mut *hits }, 1);
    }
}
