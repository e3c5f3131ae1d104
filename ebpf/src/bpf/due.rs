//! Whether a number of bytes is sampled, decided before anything is walked.

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use ebpf::interval;

use super::{maps::COUNTDOWNS, swap::swap};

/// A countdown for what grows, and one for what shrinks; 0 where none is drawn.
pub(super) type Countdowns = [u64; 2];

/// Whether a change is sampled, where samples are so far apart on average. `direction` is 0 for growth, 1 for the other.
/// When the distance changes, the one that is under way on each CPU is still of the distance before.
#[inline(always)]
pub(super) fn is_due(direction: usize, n_bytes: u64, interval_bytes: u64) -> bool {
    let Some(countdowns) = COUNTDOWNS.get_ptr_mut(0) else { return false };
    // SAFETY: a per-CPU value, checked above.
    let countdown = unsafe { &mut (*countdowns)[direction & 1] };
    // Taken, so that no distance is used twice: a thread that preempts this one draws its own, whose rest is
    // overwritten below. What is lost of it does not count, nor does what is left over: the distribution has no memory.
    let mut left = swap(countdown, 0) as i64;
    if left == 0 {
        left = distance(interval_bytes);
    }
    left -= n_bytes as i64;
    if left <= 0 {
        return true;
    }
    *countdown = left as u64;
    false
}

/// To the next sample, at least 1.
#[inline(always)]
fn distance(interval_bytes: u64) -> i64 {
    // SAFETY: a helper without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    interval::exponential(random, interval_bytes) as i64 + 1
}
