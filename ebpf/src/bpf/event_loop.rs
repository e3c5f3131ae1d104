//! The event loop: `sys_enter` and `sys_exit` of the calls that wait for events.
//!
//! An iteration is what a thread does from the end of one wait to the beginning of the next.

use core::hint::black_box;

use abi::{
    counter::Counter,
    event::Event,
    event_loop::{N_BUCKETS, WAITS, WORKS, Worker, bucket},
    sample::NO_STACK,
};
use aya_ebpf::{bindings::pt_regs, helpers::generated::bpf_ktime_get_ns, programs::BtfTracePointContext};
use ebpf::off_cpu::waits_for_events;

use super::{
    maps::{NEW_WORKER, WORKERS, count, stall_ns},
    submit::{self, What},
    target::{self, Current},
};

/// A system call begins: if it is a wait, an iteration is over.
#[inline(always)]
pub(crate) fn entered(ctx: &BtfTracePointContext) {
    // SAFETY: the tracepoint's first argument; the verifier knows its type.
    let regs = unsafe { &*(ctx.arg::<u64>(0) as *const pt_regs) };
    if !waits_for_events(regs.orig_rax, regs.rdx) {
        return;
    }
    let Some(current) = target::current() else { return };
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let Some(worker) = worker(&current).or_else(|| begin(&current)) else {
        return count(Counter::WorkersFull);
    };
    if worker.state == WORKS {
        let n_ns = now_ns.saturating_sub(worker.since_ns);
        worker.n_iterations += 1;
        worker.busy_ns += n_ns;
        worker.max_ns = worker.max_ns.max(n_ns);
        // The compiler knows that it is in range and would leave the bound out; the verifier does not.
        worker.buckets[black_box(bucket(n_ns)) & (N_BUCKETS - 1)] += 1;
        if n_ns >= stall_ns() {
            worker.n_stalls += 1;
            worker.stalled_ns += n_ns;
            tell(&current, worker.since_ns, n_ns, now_ns);
        }
    }
    worker.since_ns = now_ns;
    worker.state = WAITS;
}

/// A system call is over: if it was a wait, an iteration begins.
#[inline(always)]
pub(crate) fn left(ctx: &BtfTracePointContext) {
    // SAFETY: as in `entered`.
    let regs = unsafe { &*(ctx.arg::<u64>(0) as *const pt_regs) };
    if !waits_for_events(regs.orig_rax, regs.rdx) {
        return;
    }
    let Some(current) = target::current() else { return };
    let Some(worker) = worker(&current) else { return };
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    if worker.state == WAITS {
        worker.waiting_ns += now_ns.saturating_sub(worker.since_ns);
    }
    worker.since_ns = now_ns;
    worker.state = WORKS;
}

/// When the iteration began that a thread is in; 0 if it is in none.
#[inline(always)]
pub(super) fn iteration_of(tid: u32) -> u64 {
    if stall_ns() == 0 {
        return 0;
    }
    // SAFETY: only copied from.
    unsafe { WORKERS.get(&tid) }.map_or(0, |it| if it.state == WORKS { it.since_ns } else { 0 })
}

#[inline(always)]
fn worker(current: &Current) -> Option<&'static mut Worker> {
    // SAFETY: a map value; only the thread itself writes it.
    let worker = unsafe { &mut *WORKERS.get_ptr_mut(&current.tid)? };
    // Another thread had this ID, and what it did is not lost.
    worker.tgid = current.tgid;
    Some(worker)
}

/// A thread waits for the first time. A worker is too large for the stack of a program: it begins as a copy.
#[inline(always)]
fn begin(current: &Current) -> Option<&'static mut Worker> {
    WORKERS.insert(&current.tid, NEW_WORKER.get(0)?, 0).ok()?;
    worker(current)
}

/// Tells of an iteration that took long: the samples taken within it carry its beginning.
#[inline(always)]
fn tell(current: &Current, began_ns: u64, n_ns: u64, now_ns: u64) {
    let what = What {
        event: Event::STALLED,
        time_ns: now_ns,
        user_stack: NO_STACK,
        kernel_stack: NO_STACK,
        weight: n_ns,
        context: began_ns,
    };
    if !submit::write(current, &what) {
        count(Counter::StallsUntold);
    }
}
