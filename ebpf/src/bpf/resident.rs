//! Resident memory grows or shrinks: `kmem:rss_stat`.
//!
//! The tracepoint says where a counter of an address space stands after a change, whatever made it: a fault of one
//! page or of two megabytes, pages of a file mapped around the one that was asked for, `munmap`. The change itself is
//! the difference to where the counter stood before, and so every change of a target's memory is noted, whoever made
//! it: a process that took some of it, a child that borrows it. Only what a target does itself is sampled.

use super::{
    due::is_due,
    maps::{RESIDENT, TARGETS, count, interval_bytes, scratch},
    submit,
    swap::swap,
    target, user_stack,
};
use abi::{
    counter::Counter,
    event::Event,
    resident::{MEMBER_SWAPPED, N_MEMBERS, NOT_SEEN, Resident},
    sample::NO_STACK,
    target::{TARGET_BORROWS_MEMORY, TARGET_EXECUTED},
};
use aya_ebpf::{EbpfContext as _, programs::TracePointContext};

/// Offsets in `kmem:rss_stat`; the agent compares them with the kernel's own description before attaching.
const MM_ID_AT: usize = 8;
const IS_CURRENT_AT: usize = 12;
const MEMBER_AT: usize = 16;
const SIZE_AT: usize = 24;

/// Where a counter stands.
struct Standing {
    /// The kernel's hash of the address space.
    mm_id: u32,
    /// Of the thread that runs, and not of a child being forked, or one whose pages are being taken away.
    is_own: bool,
    member: u32,
    n_bytes: u64,
}

impl Standing {
    #[inline(always)]
    fn read(ctx: &TracePointContext) -> Option<Self> {
        /// A program may read its record itself; the helper that copies would cost as much as the filter.
        ///
        /// # Safety
        /// Inside the record.
        #[inline(always)]
        unsafe fn field<T>(ctx: &TracePointContext, at: usize) -> T {
            // SAFETY: the caller's.
            unsafe { ctx.as_ptr().byte_add(at).cast::<T>().read_volatile() }
        }
        // SAFETY: the agent has checked the layout.
        let (mm_id, is_current, member, size) = unsafe {
            (
                field::<u32>(ctx, MM_ID_AT),
                field::<u32>(ctx, IS_CURRENT_AT),
                field::<u32>(ctx, MEMBER_AT),
                field::<i64>(ctx, SIZE_AT),
            )
        };
        if member as usize >= N_MEMBERS || member == MEMBER_SWAPPED {
            return None;
        }
        // Where each thread gathers its own changes, the sum may be below zero for a moment.
        Some(Self { mm_id, is_own: is_current == 1, member, n_bytes: size.max(0) as u64 })
    }
}

#[inline(always)]
pub(crate) fn changed(ctx: &TracePointContext) {
    let Some(now) = Standing::read(ctx) else { return };
    if !now.is_own {
        return note(&now);
    }
    let Some(current) = target::thread() else { return };
    if !current.is_target() {
        if current.flags & TARGET_BORROWS_MEMORY != 0 {
            note(&now);
        }
        return;
    }
    let before = if current.flags & TARGET_EXECUTED == 0 { replace(&now) } else { begin(current.tgid, &now) };
    if before == NOT_SEEN || before == now.n_bytes {
        return;
    }
    let (event, n_changed, direction) = if now.n_bytes > before {
        let event = match now.member {
            0 => Event::RESIDENT_FILE,
            1 => Event::RESIDENT_ANONYMOUS,
            _ => Event::RESIDENT_SHARED,
        };
        (event, now.n_bytes - before, 0)
    } else {
        (Event::RELEASED, before - now.n_bytes, 1)
    };
    let interval_bytes = interval_bytes();
    if !is_due(direction, n_changed, interval_bytes) {
        return;
    }
    count(Counter::Taken);
    let Some(scratch) = scratch(0) else { return };
    let user_stack = user_stack::id(&current, 0, scratch, true);
    submit::sample(&current, event, n_changed, user_stack, NO_STACK, interval_bytes);
}

/// Notes where a counter stands after a change that is nobody's stack, if it is one of a target's memory.
#[inline(always)]
fn note(now: &Standing) {
    let Some(resident) = RESIDENT.get_ptr_mut(&now.mm_id) else { return };
    // SAFETY: a map value, checked above.
    let bytes = unsafe { &mut (*resident).bytes };
    swap(&mut bytes[now.member as usize & (N_MEMBERS - 1)], now.n_bytes);
    // The memory of a process that ends is taken from it last: an address space with nothing in it has gone.
    if now.n_bytes == 0 && bytes.iter().all(|n_bytes| *n_bytes == 0 || *n_bytes == NOT_SEEN) {
        let _ = RESIDENT.remove(&now.mm_id);
    }
}

/// Notes where a counter of the current thread's memory stands, and gives where it stood.
#[inline(always)]
fn replace(now: &Standing) -> u64 {
    let Some(resident) = RESIDENT.get_ptr_mut(&now.mm_id) else {
        return insert(now, Resident::UNKNOWN);
    };
    // SAFETY: a map value, checked above.
    let counter = unsafe { &mut (*resident).bytes[now.member as usize & (N_MEMBERS - 1)] };
    // Two threads at once may come in another order than their changes did. One then says too much and the other
    // that memory was released; the sum is right, because nobody's value is taken for two differences.
    swap(counter, now.n_bytes)
}

/// The first change in an image that has only been executed: it began with nothing, and it has one thread yet.
#[inline(always)]
fn begin(tgid: u32, now: &Standing) -> u64 {
    if let Some(target) = TARGETS.get_ptr_mut(&tgid) {
        // SAFETY: a map value, checked above.
        unsafe { (*target).flags &= !TARGET_EXECUTED };
    }
    insert(now, Resident::EXECUTED)
}

/// Begins to follow an address space; gives where the counter stood.
#[inline(always)]
fn insert(now: &Standing, mut resident: Resident) -> u64 {
    let counter = &mut resident.bytes[now.member as usize & (N_MEMBERS - 1)];
    let before = core::mem::replace(counter, now.n_bytes);
    if RESIDENT.insert(&now.mm_id, &resident, 0).is_err() {
        count(Counter::ResidentFull);
        return NOT_SEEN;
    }
    before
}
