//! An allocator is entered: size, sampling, user stack. A free is entered: what it is given lives no more.

use abi::{
    alloc::{
        Call, FREES, GIVES_THROUGH_0, HAS_RETURN, IS_POOL, MAX_REQUEST_BYTES, NOT_SAMPLED,
        PENDING_TO_NOTHING, Pending, RESIZES, SIZE_AT_0, SIZE_AT_0_STEP, SIZE_IS_0, SIZE_IS_0_TIMES_1,
        SIZE_IS_1, SIZE_IS_1_TIMES_2, SIZE_IS_2, SIZE_IS_A_TIMES_1, SIZE_MASK, SKIP_NULL,
    },
    counter::Counter,
    event::Event,
    sample::NO_STACK,
};
use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_pid_tgid, bpf_probe_read_user,
        generated::{bpf_get_attach_cookie, bpf_get_func_ip, bpf_ktime_get_ns},
    },
    programs::ProbeContext,
};

use super::{
    super::{
        due::is_due,
        gate, hits,
        maps::{NO_SLOT, PENDING, claim, count, interval_bytes, release, scratch},
        submit, target, user_stack,
    },
    live::{self, NOT_LIVE},
};

/// Whether a session's program was run where its probe is, and not at the caller, to which the function returns.
#[inline(always)]
pub(crate) fn is_entry(ctx: &ProbeContext) -> bool {
    // SAFETY: the context of a running program.
    unsafe { bpf_get_func_ip(ctx.as_ptr()) == (*ctx.regs).rip }
}

/// Gives whether the return of this call is to be seen as well.
#[inline(always)]
pub(crate) fn entered(ctx: &ProbeContext) -> bool {
    // SAFETY: the context of a running program.
    let (cookie, regs) = unsafe { (bpf_get_attach_cookie(ctx.as_ptr()), &*ctx.regs) };
    hits::count(cookie);
    if cookie & FREES != 0 {
        live::freed(regs.rdi);
        return false;
    }
    if cookie & SKIP_NULL != 0 && regs.rdi == 0 {
        return false;
    }
    let n_asked = match cookie & SIZE_MASK {
        SIZE_IS_0 => regs.rdi,
        SIZE_IS_1 => regs.rsi,
        SIZE_IS_2 => regs.rdx,
        SIZE_IS_0_TIMES_1 => regs.rdi.wrapping_mul(regs.rsi),
        SIZE_IS_1_TIMES_2 => regs.rsi.wrapping_mul(regs.rdx),
        SIZE_IS_A_TIMES_1 => regs.rax.wrapping_mul(regs.rsi),
        size if size >= SIZE_AT_0 => size_at(regs.rdi, size - SIZE_AT_0),
        _ => regs.rcx,
    };
    // The least that an allocator gives is not nothing.
    let n_bytes = if n_asked == 0 { 1 } else { n_asked };
    let follows = cookie & HAS_RETURN != 0;
    let resized_since_ns = if follows && cookie & RESIZES != 0 { live::take(regs.rdi) } else { NOT_LIVE };
    let is_sampled = n_bytes <= MAX_REQUEST_BYTES && is_due(0, n_bytes, interval_bytes()) && gate::is_open();
    let user_stack = if is_sampled { stack() } else { NOT_SAMPLED };
    if user_stack == NOT_SAMPLED && resized_since_ns == NOT_LIVE {
        return false;
    }
    if !follows {
        let event = if cookie & IS_POOL != 0 { Event::POOLED } else { Event::ALLOCATED };
        submit::sample(&target::anyone(), event, n_bytes, user_stack, NO_STACK, 0);
        return false;
    }
    let pending = Pending {
        // SAFETY: a helper without arguments.
        entered_ns: unsafe { bpf_ktime_get_ns() },
        user_stack,
        n_bytes,
        out: if cookie & GIVES_THROUGH_0 != 0 { regs.rdi } else { 0 },
        resized: if resized_since_ns == NOT_LIVE { 0 } else { regs.rdi },
        resized_since_ns,
        flags: if n_asked == 0 { PENDING_TO_NOTHING } else { 0 },
    };
    wait(&Call { pid_tgid: bpf_get_current_pid_tgid(), sp: regs.rsp }, &pending)
}

/// The size that stands in what is pointed to; 0 if that cannot be read.
#[inline(always)]
fn size_at(address: u64, steps: u64) -> u64 {
    let place = address.wrapping_add(steps * SIZE_AT_0_STEP) as *const u32;
    // SAFETY: the helper checks that it may read there.
    unsafe { bpf_probe_read_user(place) }.map_or(0, u64::from)
}

/// The stack of a sample; [`NOT_SAMPLED`] if there is none, which is counted.
#[inline(always)]
fn stack() -> u64 {
    let Some(current) = target::current() else { return NOT_SAMPLED };
    count(Counter::Taken);
    let slot = claim();
    if slot == NO_SLOT {
        count(Counter::SlotsBusy);
        return NOT_SAMPLED;
    }
    let mut id = submit::NO_ROOM;
    if let Some(scratch) = scratch(slot) {
        id = user_stack::id(&current, slot, scratch, true);
    }
    release(slot);
    if id == submit::NO_ROOM {
        count(Counter::RingFull);
        return NOT_SAMPLED;
    }
    id
}

/// Keeps a call until it returns; gives `false` if there is no room, and then writes what can be said now.
#[inline(always)]
fn wait(call: &Call, pending: &Pending) -> bool {
    // SAFETY: only copied from.
    let forgotten = unsafe { PENDING.get(call) }.map_or(NOT_SAMPLED, |pending| pending.user_stack);
    if forgotten != NOT_SAMPLED {
        count(Counter::CallsUnreturned);
    }
    if PENDING.insert(call, pending, 0).is_ok() {
        return true;
    }
    count(Counter::PendingFull);
    if pending.resized != 0 {
        live::tell_freed(pending.resized, pending.entered_ns);
    }
    if pending.user_stack != NOT_SAMPLED {
        submit::sample(&target::anyone(), Event::ALLOCATED, pending.n_bytes, pending.user_stack, NO_STACK, 0);
    }
    false
}
