//! Whether a number of bytes is sampled, decided before anything is walked.

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use ebpf::interval;

use super::maps::{COUNTDOWNS, config};

/// A countdown for what grows, and one for what shrinks.
pub(super) type Countdowns = [i64; 2];

/// Whether a change is sampled. `direction` is 0 for growth, 1 for the other.
#[inline(always)]
pub(super) fn is_due(direction: usize, n_bytes: u64) -> bool {
    let Some(countdowns) = COUNTDOWNS.get_ptr_mut(0) else { return false };
    // SAFETY: a per-CPU value, checked above. A thread that preempts another here takes a distance that was drawn
    // for the other, or draws one that is overwritten: each is as random as the next.
    let countdown = unsafe { &mut (*countdowns)[direction & 1] };
    if *countdown == 0 {
        *countdown = distance();
    }
    *countdown -= n_bytes as i64;
    if *countdown > 0 {
        return false;
    }
    // What is left over does not count: the distribution has no memory.
    *countdown = distance();
    true
}

/// To the next sample, at least 1.
#[inline(always)]
fn distance() -> i64 {
    // SAFETY: a helper without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    interval::exponential(random, config().interval_bytes) as i64 + 1
}
