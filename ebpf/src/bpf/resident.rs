//! Resident memory grows or shrinks: `kmem:rss_stat`.
//!
//! The tracepoint says where a counter stands after a change, whatever made it: a fault of one page or of two
//! megabytes, pages of a file mapped around the one that was asked for, `munmap`. The change itself is the
//! difference to where the counter stood before.

use super::{
    due::is_due,
    maps::{RESIDENT, count, scratch},
    submit,
    swap::swap,
    target, user_stack,
};
use abi::{
    counter::Counter,
    event::Event,
    resident::{MEMBER_SWAPPED, N_MEMBERS, NOT_SEEN, Resident},
    sample::NO_STACK,
};
use aya_ebpf::programs::TracePointContext;

/// Offsets in `kmem:rss_stat`; the agent compares them with the kernel's own description before attaching.
const MM_ID_AT: usize = 8;
const IS_CURRENT_AT: usize = 12;
const MEMBER_AT: usize = 16;
const SIZE_AT: usize = 24;

#[inline(always)]
pub(crate) fn changed(ctx: &TracePointContext) {
    // SAFETY: inside the record, whose layout was checked, as are the other fields below.
    let is_current = unsafe { ctx.read_at::<u32>(IS_CURRENT_AT) };
    // Of another process: a child being forked, a page that the kernel takes away.
    if !matches!(is_current, Ok(1)) {
        return;
    }
    let Some(current) = target::current() else { return };
    // SAFETY: as above.
    let fields =
        unsafe { (ctx.read_at::<u32>(MM_ID_AT), ctx.read_at::<u32>(MEMBER_AT), ctx.read_at::<u64>(SIZE_AT)) };
    let (Ok(mm_id), Ok(member), Ok(n_bytes)) = fields else { return };
    if member as usize >= N_MEMBERS || member == MEMBER_SWAPPED {
        return;
    }
    let before = replace(current.tgid, u64::from(mm_id), member as usize, n_bytes);
    if before == NOT_SEEN || before == n_bytes {
        return;
    }
    let (event, n_changed, direction) = if n_bytes > before {
        let event = match member {
            0 => Event::RESIDENT_FILE,
            1 => Event::RESIDENT_ANONYMOUS,
            _ => Event::RESIDENT_SHARED,
        };
        (event, n_bytes - before, 0)
    } else {
        (Event::RELEASED, before - n_bytes, 1)
    };
    if !is_due(direction, n_changed) {
        return;
    }
    count(Counter::Taken);
    let Some(scratch) = scratch(0) else { return };
    let user_stack = user_stack::id(&current, 0, scratch);
    submit::sample(&current, event, n_changed, user_stack, NO_STACK);
}

/// Notes where a counter stands, and gives where it stood.
#[inline(always)]
fn replace(tgid: u32, mm_id: u64, member: usize, n_bytes: u64) -> u64 {
    let Some(resident) = RESIDENT.get_ptr_mut(&tgid) else {
        return forget(tgid, mm_id, member, n_bytes);
    };
    // SAFETY: a map value, checked above.
    let resident = unsafe { &mut *resident };
    if resident.mm_id != mm_id {
        if resident.mm_id != 0 {
            return forget(tgid, mm_id, member, n_bytes);
        }
        resident.mm_id = mm_id;
    }
    let counter = &mut resident.bytes[member & (N_MEMBERS - 1)];
    // Two threads at once may come in another order than their changes did. One then says too much and the other
    // that memory was released; the sum is right, because nobody's value is taken for two differences.
    swap(counter, n_bytes)
}

/// Of an address space that was not seen before, only where one counter stands is known.
#[inline(always)]
fn forget(tgid: u32, mm_id: u64, member: usize, n_bytes: u64) -> u64 {
    let mut resident = Resident { mm_id, bytes: [NOT_SEEN; N_MEMBERS] };
    resident.bytes[member & (N_MEMBERS - 1)] = n_bytes;
    if RESIDENT.insert(&tgid, &resident, 0).is_err() {
        count(Counter::ResidentFull);
    }
    NOT_SEEN
}
