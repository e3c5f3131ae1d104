//! An allocation, seen where the allocator is entered: size, sampling, user stack, one record.

use abi::{
    alloc::{
        FREES, IS_POOL, MAX_REQUEST_BYTES, SIZE_AT_0, SIZE_AT_0_STEP, SIZE_IS_0, SIZE_IS_0_TIMES_1,
        SIZE_IS_1, SIZE_IS_1_TIMES_2, SIZE_IS_2, SIZE_MASK, SKIP_NULL,
    },
    counter::Counter,
    event::Event,
    sample::NO_STACK,
};
use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_probe_read_user,
        generated::{bpf_get_attach_cookie, bpf_get_func_ip},
    },
    programs::ProbeContext,
};

use super::{
    due::is_due,
    hits,
    maps::{NO_SLOT, claim, count, release, scratch},
    submit, target, user_stack,
};

/// Whether a session's program was run where its probe is, and not at the caller, to which the function returns.
#[inline(always)]
pub(crate) fn is_entry(ctx: &ProbeContext) -> bool {
    // SAFETY: the context of a running program.
    unsafe { bpf_get_func_ip(ctx.as_ptr()) == (*ctx.regs).rip }
}

#[inline(always)]
pub(crate) fn requested(ctx: &ProbeContext) {
    // SAFETY: the context of a running program.
    let (cookie, regs) = unsafe { (bpf_get_attach_cookie(ctx.as_ptr()), &*ctx.regs) };
    hits::count(cookie);
    if cookie & FREES != 0 || cookie & SKIP_NULL != 0 && regs.rdi == 0 {
        return;
    }
    let n_bytes = match cookie & SIZE_MASK {
        SIZE_IS_0 => regs.rdi,
        SIZE_IS_1 => regs.rsi,
        SIZE_IS_2 => regs.rdx,
        SIZE_IS_0_TIMES_1 => regs.rdi.wrapping_mul(regs.rsi),
        SIZE_IS_1_TIMES_2 => regs.rsi.wrapping_mul(regs.rdx),
        size if size >= SIZE_AT_0 => size_at(regs.rdi, size - SIZE_AT_0),
        _ => regs.rcx,
    };
    // The least that an allocator gives is not nothing.
    let n_bytes = if n_bytes == 0 { 1 } else { n_bytes };
    if n_bytes > MAX_REQUEST_BYTES || !is_due(0, n_bytes) {
        return;
    }
    let Some(current) = target::current() else { return };
    count(Counter::Taken);
    let slot = claim();
    if slot == NO_SLOT {
        return count(Counter::SlotsBusy);
    }
    if let Some(scratch) = scratch(slot) {
        let user_stack = user_stack::id(&current, slot, scratch);
        let event = if cookie & IS_POOL != 0 { Event::POOLED } else { Event::ALLOCATED };
        submit::sample(&current, event, n_bytes, user_stack, NO_STACK);
    }
    release(slot);
}

/// The size that stands in what is pointed to; 0 if that cannot be read.
#[inline(always)]
fn size_at(address: u64, steps: u64) -> u64 {
    let place = address.wrapping_add(steps * SIZE_AT_0_STEP) as *const u32;
    // SAFETY: the helper checks that it may read there.
    unsafe { bpf_probe_read_user(place) }.map_or(0, u64::from)
}
