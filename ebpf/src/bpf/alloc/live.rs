//! Sampled allocations that have not been freed.

use abi::{
    alloc::{Live, LiveKey},
    counter::Counter,
    event::Event,
    sample::NO_STACK,
};
use aya_ebpf::{bindings::BPF_NOEXIST, helpers::generated::bpf_ktime_get_ns};

use super::super::{
    maps::{LIVE, count},
    submit::{self, What},
    target,
};

/// In place of the time from which on something lives: it does not.
pub(super) const NOT_LIVE: u64 = 0;

#[inline(always)]
fn key(address: u64) -> LiveKey {
    LiveKey { address, tgid: target::anyone().tgid, reserved: 0 }
}

/// What stands at this address lives no more: gives the time since when it did, or [`NOT_LIVE`].
#[inline(always)]
pub(super) fn take(address: u64) -> u64 {
    if address == 0 {
        return NOT_LIVE;
    }
    let key = key(address);
    // SAFETY: only copied from.
    let since_ns = unsafe { LIVE.get(&key) }.map_or(NOT_LIVE, |live| live.since_ns);
    if since_ns != NOT_LIVE {
        let _ = LIVE.remove(&key);
    }
    since_ns
}

/// A free is entered.
#[inline(always)]
pub(super) fn freed(address: u64) {
    if take(address) != NOT_LIVE {
        // SAFETY: a helper without arguments.
        tell_freed(address, unsafe { bpf_ktime_get_ns() });
    }
}

/// Tells the agent that something was freed.
#[inline(always)]
pub(super) fn tell_freed(address: u64, time_ns: u64) {
    let what = What {
        event: Event::FREED,
        time_ns,
        user_stack: NO_STACK,
        kernel_stack: NO_STACK,
        weight: 0,
        context: address,
    };
    if !submit::write(&target::anyone(), &what) {
        count(Counter::FreesLost);
    }
}

/// What was taken lives after all.
#[inline(always)]
pub(super) fn put_back(address: u64, since_ns: u64) {
    if LIVE.insert(&key(address), &Live { since_ns }, BPF_NOEXIST.into()).is_err() {
        count(Counter::LiveFull);
    }
}

/// Something was allocated by a call that began at `entered_ns`; gives `false` if there is no room to follow it.
#[inline(always)]
pub(super) fn keep(address: u64, time_ns: u64, entered_ns: u64) -> bool {
    let key = key(address);
    // SAFETY: only copied from.
    let old_ns = unsafe { LIVE.get(&key) }.map_or(NOT_LIVE, |live| live.since_ns);
    // What came to be during the call was allocated by one inside it, and is the same object.
    if old_ns != NOT_LIVE && old_ns < entered_ns {
        let image_since_ns = target::current().map_or(0, |current| current.image_since_ns);
        // What an image before this one had is no concern of this one.
        if old_ns >= image_since_ns {
            count(Counter::FreesMissed);
            tell_freed(address, entered_ns);
        }
    }
    if LIVE.insert(&key, &Live { since_ns: time_ns }, 0).is_err() {
        count(Counter::LiveFull);
        return false;
    }
    true
}
