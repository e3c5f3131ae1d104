//! An allocator returns: the address is known, and whether it has failed.

use abi::{
    alloc::{Call, NOT_SAMPLED, PENDING_TO_NOTHING, Pending},
    counter::Counter,
    event::Event,
    sample::NO_STACK,
};
use aya_ebpf::{
    bindings::pt_regs,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user, generated::bpf_ktime_get_ns},
};

use super::{
    super::{
        maps::{PENDING, count},
        submit::{self, What},
        target,
    },
    live,
};

/// The return address, which is no longer on the stack.
const RETURN_ADDRESS_BYTES: u64 = 8;

#[inline(always)]
pub(crate) fn returned(regs: *const pt_regs) {
    // SAFETY: the context of a running program.
    let regs = unsafe { &*regs };
    let call = Call { pid_tgid: bpf_get_current_pid_tgid(), sp: regs.rsp.wrapping_sub(RETURN_ADDRESS_BYTES) };
    // SAFETY: only copied from.
    let Some(pending) = unsafe { PENDING.get(&call) }.copied() else { return };
    let _ = PENDING.remove(&call);
    let address = address(regs, &pending);
    if pending.resized != 0 {
        // What was to be resized is where it was if that failed.
        if address != 0 || pending.flags & PENDING_TO_NOTHING != 0 {
            live::tell_freed(pending.resized, pending.entered_ns);
        } else {
            live::put_back(pending.resized, pending.resized_since_ns);
        }
    }
    if pending.user_stack == NOT_SAMPLED {
        return;
    }
    if address == 0 {
        return count(Counter::AllocationsFailed);
    }
    // SAFETY: a helper without arguments.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    let context = if live::keep(address, time_ns, pending.entered_ns) { address } else { 0 };
    let what = What {
        event: Event::ALLOCATED,
        time_ns,
        user_stack: pending.user_stack,
        kernel_stack: NO_STACK,
        weight: pending.n_bytes,
        context,
    };
    if !submit::write(&target::anyone(), &what) {
        count(Counter::RingFull);
        // Nobody would know what was freed.
        live::take(context);
    }
}

/// What was allocated; 0 if nothing.
#[inline(always)]
fn address(regs: &pt_regs, pending: &Pending) -> u64 {
    if pending.out == 0 {
        return regs.rax;
    }
    if regs.rax as u32 != 0 {
        return 0;
    }
    // SAFETY: the helper checks the address; it was written a moment ago.
    unsafe { bpf_probe_read_user(pending.out as *const u64) }.unwrap_or(0)
}
