//! Which connection a thread serves: the one that it has read or written last, until it waits for events.
//!
//! Kept here and not joined by time in the agent: reads and writes within a body, and waits, do not cross, and ten thousand
//! requests a second would be as many records more. So it costs a word for each call, and a record for each sample.

use abi::{
    config::TELL_SERVED,
    request::{Connection, FLOW_FOREIGN, ROLE_SERVER},
    sample::{KIND_SERVED, Served},
};
use aya_ebpf::{
    bindings::pt_regs,
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task_btf, generated::bpf_task_pt_regs},
};
use ebpf::off_cpu::waits_for_events;

use super::{
    maps::{RING, SERVED, request_flags},
    submit::FLAGS,
};

#[inline(always)]
fn is_told() -> bool {
    request_flags() & TELL_SERVED != 0
}

/// A thread has read or written a connection.
#[inline(always)]
pub(super) fn moved(tid: u32, connection: &Connection) {
    if !is_told() {
        return;
    }
    let mut id = connection.id;
    if connection.flows[0].state == FLOW_FOREIGN {
        // A database that is asked for a request is no reason to leave that request.
        if connection.role != ROLE_SERVER {
            return;
        }
        id = 0;
    }
    match SERVED.get_ptr_mut(&tid) {
        // SAFETY: a map value, one word; only the thread itself writes it.
        Some(served) => unsafe { *served = id },
        // Without room, its samples belong to no request.
        None => {
            let _ = SERVED.insert(&tid, &id, 0);
        }
    }
}

/// The current thread has waited for events, or has a connection that has not asked for anything: what it does next is for
/// nobody that is known.
#[inline(always)]
pub(super) fn waited() {
    if !is_told() {
        return;
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    if let Some(served) = SERVED.get_ptr_mut(&tid) {
        // SAFETY: as in `moved`.
        unsafe { *served = 0 };
    }
}

/// Tells what a thread serves, in front of its sample of this moment; gives `false` if the ring has no room.
#[inline(always)]
pub(super) fn tell(tid: u32, time_ns: u64) -> bool {
    !is_told() || tell_of(tid, time_ns) != 0
}

/// Not inlined: one piece of code for all samples of a program.
#[inline(never)]
fn tell_of(tid: u32, time_ns: u64) -> u64 {
    let Some(served) = SERVED.get_ptr(&tid) else { return 1 };
    // SAFETY: a map value, one word.
    let connection = unsafe { *served };
    if connection == 0 || tid == bpf_get_current_pid_tgid() as u32 && waits() {
        return 1;
    }
    let Some(mut entry) = RING.reserve::<Served>(0) else { return 0 };
    entry.write(Served { kind: KIND_SERVED, tid, time_ns, connection });
    entry.submit(FLAGS);
    1
}

/// Whether the current thread is in a call that waits for events: it is done with what it served, and the end of the call has not
/// told so yet.
#[inline(always)]
fn waits() -> bool {
    // SAFETY: the current task always has this area; the verifier knows both types.
    let regs = unsafe { &*(bpf_task_pt_regs(bpf_get_current_task_btf().cast()) as *const pt_regs) };
    // An interrupt of user mode leaves -1 in the place of the number; a thread of the kernel was never there.
    regs.cs & 3 == 3 && waits_for_events(regs.orig_rax, regs.rdx)
}
