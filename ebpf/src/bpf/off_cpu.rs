//! Time off the CPU: `sched_switch`, `sched_waking` and `sys_exit`.
//!
//! How long a thread was away is known when it comes back, but then the memory of another process is still in place, and
//! its user stack cannot be read. What it was in then is a system call, mostly: its stack stays as it is until the call
//! returns or the thread leaves again, whichever is first, and is walked there, and only if the time was long. A thread
//! that left from elsewhere (a page fault, or preempted in user mode) may change its stack once it runs: it is walked as
//! it leaves, which is rare.
//!
//! From when it is woken on, a thread waits for a CPU and nothing else.

use abi::{
    config::{SAMPLE_IDLE, SAMPLE_WAKERS},
    counter::Counter,
    event::Event,
    off_cpu::{BLOCKED, IDLE, N_KINDS, ON_CPU, RUNNABLE, THREAD_WALKED, Thread, UNSEEN},
    sample::{NO_STACK, UNREPEATED_STACK},
};
use aya_ebpf::{
    bindings::{pt_regs, task_struct},
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_task_btf,
        generated::{bpf_ktime_get_ns, bpf_task_pt_regs},
    },
    programs::BtfTracePointContext,
};
use ebpf::off_cpu::{KERNEL_THREAD, Leaving, NO_SYSTEM_CALL};

use super::{
    event_loop, kernel_stack,
    maps::{
        NO_SLOT, THREADS, UNTOLD, claim, count, is_sampling, min_block_ns, off_cpu_flags, release, scratch,
        task_pid_at,
    },
    submit::{self, What},
    target::{self, Current},
    user_stack,
};

/// The thread has ended (`include/linux/sched.h`).
const TASK_DEAD: u32 = 0x80;

/// Arguments of the tracepoint.
const PREEMPT: usize = 0;
const NEXT: usize = 2;
const PREV_STATE: usize = 3;
/// Argument of `sched_waking`.
const WOKEN: usize = 0;

/// A thread leaves this CPU and another comes. No interrupt comes meanwhile.
#[inline(always)]
pub(crate) fn switched(ctx: &BtfTracePointContext) {
    if !is_sampling() {
        return;
    }
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    let is_preempted = ctx.arg::<u64>(PREEMPT) as u8 != 0;
    left(is_preempted, ctx.arg::<u64>(PREV_STATE) as u32, now_ns);
    came(ctx.arg::<u64>(NEXT) as *mut task_struct, now_ns);
}

#[inline(always)]
fn left(is_preempted: bool, state: u32, now_ns: u64) {
    let Some(current) = target::thread() else { return };
    let has_ended = state & TASK_DEAD != 0;
    // Of one that ends, the target may have gone before.
    if !has_ended && !current.is_target() {
        return;
    }
    let thread = match THREADS.get_ptr_mut(&current.tid) {
        Some(thread) => thread,
        None if has_ended => return,
        None => {
            // Nobody knew of it: what it did before does not count.
            insert(current.tid, current.tgid, now_ns, ON_CPU as u32);
            let Some(thread) = THREADS.get_ptr_mut(&current.tid) else { return };
            thread
        }
    };
    // SAFETY: a map value, checked above; only the thread itself and the CPU that it comes to write it.
    let thread = unsafe { &mut *thread };
    if thread.is_untold() {
        set_untold(0);
        tell(&current, thread);
    }
    thread.sums_ns[ON_CPU] += now_ns.saturating_sub(thread.since_ns);
    if has_ended {
        return ended(&current, thread, now_ns);
    }
    leave(&current, thread, is_preempted, state, now_ns);
}

/// Notes why a thread leaves.
#[inline(always)]
fn leave(current: &Current, thread: &mut Thread, is_preempted: bool, state: u32, now_ns: u64) {
    // SAFETY: the current task always has this area; the verifier knows both types.
    let regs = unsafe { &*(bpf_task_pt_regs(bpf_get_current_task_btf().cast()) as *const pt_regs) };
    let (system_call, second) = (system_call_of(regs), regs.rsi);
    let leaving = Leaving { is_preempted, state, system_call, second };
    thread.since_ns = now_ns;
    thread.kind = leaving.kind() as u32;
    thread.flags &= !THREAD_WALKED;
    if system_call == NO_SYSTEM_CALL {
        thread.user_stack = walk(current.tgid, current.image_since_ns, 0);
        thread.flags |= THREAD_WALKED;
    }
}

/// What is left to be told of a thread that has ended. Not inlined, as [`insert`].
#[inline(never)]
fn ended(current: &Current, thread: &Thread, now_ns: u64) {
    const ENDED: [Event; N_KINDS] =
        [Event::ENDED_ON_CPU, Event::ENDED_BLOCKED, Event::ENDED_IDLE, Event::ENDED_RUNNABLE];
    let whose = Current { tgid: thread.tgid, ..*current };
    let mut is_told = true;
    for kind in 0..N_KINDS {
        let weight = thread.sums_ns[kind];
        let what = What {
            event: ENDED[kind],
            time_ns: now_ns,
            user_stack: NO_STACK,
            kernel_stack: NO_STACK,
            weight,
            context: 0,
        };
        is_told &= weight == 0 || submit::write(&whose, &what);
    }
    if !is_told {
        count(Counter::ThreadsUntold);
    }
    let _ = THREADS.remove(&current.tid);
}

/// A thread need not wait any longer: this comes from whoever wakes it, on any CPU.
#[inline(always)]
pub(crate) fn woken(ctx: &BtfTracePointContext) {
    if !is_sampling() {
        return;
    }
    let tid = tid_of(ctx.arg::<u64>(WOKEN) as *mut task_struct);
    let Some(thread) = THREADS.get_ptr_mut(&tid) else { return };
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    // SAFETY: a map value, checked above; nobody else writes this field, and it is one word.
    unsafe { (&raw mut (*thread).woken_ns).write_volatile(now_ns) };
    if off_cpu_flags() & SAMPLE_WAKERS != 0 {
        // SAFETY: as before; what another CPU writes meanwhile is at worst a wait that is not told of.
        let (tgid, kind, since_ns) = unsafe { ((*thread).tgid, (*thread).kind as usize, (*thread).since_ns) };
        let is_told = kind == BLOCKED || kind == IDLE && off_cpu_flags() & SAMPLE_IDLE != 0;
        if is_told && now_ns.saturating_sub(since_ns) >= min_block_ns() {
            tell_waker(tgid, tid, now_ns);
        }
    }
}

/// Tells who ends the wait of a thread, before the thread can run and its wait is told of. A wait without this is shown
/// without it. Not inlined, as [`insert`].
#[inline(never)]
fn tell_waker(tgid: u32, tid: u32, now_ns: u64) -> u64 {
    // SAFETY: a helper without arguments.
    let kernel_stack = kernel_stack_of(unsafe { bpf_get_current_task_btf() }.cast());
    if kernel_stack == submit::NO_ROOM {
        return 0;
    }
    let what = What {
        event: Event::WOKEN,
        time_ns: now_ns,
        user_stack: NO_STACK,
        kernel_stack,
        weight: 0,
        context: bpf_get_current_pid_tgid(),
    };
    submit::write(&Current { tgid, tid, image_since_ns: 0, flags: 0 }, &what).into()
}

#[inline(always)]
fn tid_of(task: *mut task_struct) -> u32 {
    // SAFETY: inside the structure, as the kernel's own description says; the verifier knows its type.
    unsafe { task.byte_add(task_pid_at() as usize).cast::<u32>().read_volatile() }
}

#[inline(always)]
fn came(next: *mut task_struct, now_ns: u64) {
    let tid = tid_of(next);
    if tid == 0 {
        return;
    }
    let Some(thread) = THREADS.get_ptr_mut(&tid) else { return };
    // SAFETY: as in `left`.
    let thread = unsafe { &mut *thread };
    let kind = if thread.kind as usize == UNSEEN { unseen_kind(next) } else { thread.kind as usize };
    let (mut n_ns, mut runnable_ns) = thread.parts_ns(kind, now_ns);
    thread.since_ns = now_ns;
    thread.kind = ON_CPU as u32;
    // Whoever waits for work inside an iteration of its event loop keeps the loop waiting.
    let is_hidden = kind == IDLE && off_cpu_flags() & SAMPLE_IDLE == 0 && event_loop::iteration_of(tid) == 0;
    if n_ns < min_block_ns() || is_hidden || kind == ON_CPU {
        thread.sums_ns[kind & (N_KINDS - 1)] += n_ns;
        n_ns = 0;
    }
    if runnable_ns < min_block_ns() {
        thread.sums_ns[RUNNABLE] += runnable_ns;
        runnable_ns = 0;
    }
    if n_ns | runnable_ns == 0 {
        return;
    }
    thread.kernel_stack = kernel_stack_of(next);
    thread.over_ns = n_ns;
    thread.over_runnable_ns = runnable_ns;
    thread.over_kind = kind as u32;
    if thread.flags & THREAD_WALKED != 0 {
        let whose = Current { tgid: thread.tgid, tid, image_since_ns: 0, flags: 0 };
        return tell_with(&whose, thread, thread.user_stack);
    }
    set_untold(tid.into());
}

/// What a thread does that has not run since the agent looked: it waits, or it would have run.
#[inline(always)]
fn unseen_kind(next: *mut task_struct) -> usize {
    // SAFETY: a task that comes to this CPU has this area; the verifier knows both types.
    let regs = unsafe { &*(bpf_task_pt_regs(next.cast()) as *const pt_regs) };
    let leaving =
        Leaving { is_preempted: false, state: 1, system_call: system_call_of(regs), second: regs.rsi };
    leaving.kind()
}

/// What stands for the system call that a thread is in.
#[inline(always)]
fn system_call_of(regs: &pt_regs) -> u64 {
    // A thread of the kernel never came from user mode.
    if regs.cs & 3 == 3 { regs.orig_rax } else { KERNEL_THREAD }
}

/// A system call is over: if its thread was away for long, its user stack can be walked now.
#[inline(always)]
pub(crate) fn returned() {
    let Some(untold) = UNTOLD.get_ptr_mut(0) else { return };
    // SAFETY: a per-CPU value, checked above; what interrupts this program does not write it.
    let untold = unsafe { &mut *untold };
    if *untold == 0 {
        return;
    }
    let tid = bpf_get_current_pid_tgid() as u32;
    if *untold != u64::from(tid) {
        return;
    }
    *untold = 0;
    let Some(current) = target::thread() else { return };
    let Some(thread) = THREADS.get_ptr_mut(&tid) else { return };
    // SAFETY: as in `left`.
    let thread = unsafe { &mut *thread };
    if thread.is_untold() {
        tell(&current, thread);
    }
}

/// Who runs on this CPU and is to be walked once it can be: 0 if nobody.
#[inline(always)]
fn set_untold(tid: u64) {
    if let Some(untold) = UNTOLD.get_ptr_mut(0) {
        // SAFETY: as in `returned`.
        unsafe { *untold = tid };
    }
}

/// Walks the current thread and tells of the stretch that is over.
#[inline(always)]
fn tell(current: &Current, thread: &mut Thread) {
    let user_stack = walk(current.tgid, current.image_since_ns, 1);
    tell_with(current, thread, user_stack);
}

#[inline(always)]
fn tell_with(whose: &Current, thread: &mut Thread, user_stack: u64) {
    let event = match thread.over_kind as usize {
        IDLE => Event::IDLE,
        RUNNABLE => Event::RUNNABLE,
        _ => Event::BLOCKED,
    };
    let (over_ns, runnable_ns) = (thread.over_ns, thread.over_runnable_ns);
    (thread.over_ns, thread.over_runnable_ns) = (0, 0);
    let kernel_stack = thread.kernel_stack;
    part(whose, event, over_ns, user_stack, kernel_stack);
    // The agent forgets such a stack with its first sample.
    if over_ns != 0 && (user_stack | kernel_stack) & UNREPEATED_STACK != 0 {
        thread.sums_ns[RUNNABLE] += runnable_ns;
    } else {
        part(whose, Event::RUNNABLE, runnable_ns, user_stack, kernel_stack);
    }
}

/// Tells of a part of a stretch, if there is one. One piece of code for both parts.
#[inline(never)]
fn part(whose: &Current, event: Event, weight: u64, user_stack: u64, kernel_stack: u64) -> u64 {
    if weight != 0 {
        count(Counter::Taken);
        // SAFETY: a helper without arguments.
        let time_ns = unsafe { bpf_ktime_get_ns() };
        let context = event_loop::iteration_of(whose.tid);
        submit::sample_with(whose, &What { event, time_ns, user_stack, kernel_stack, weight, context });
    }
    0
}

/// The user stack of the current thread. One piece of code for all who want it.
#[inline(never)]
fn walk(tgid: u32, image_since_ns: u64, may_capture: u64) -> u64 {
    let current = Current { tgid, tid: 0, image_since_ns, flags: 0 };
    let slot = claim();
    if slot == NO_SLOT {
        return submit::NO_ROOM;
    }
    let mut id = submit::NO_ROOM;
    if let Some(scratch) = scratch(slot) {
        id = user_stack::id(&current, slot, scratch, may_capture != 0);
    }
    release(slot);
    id
}

/// The kernel stack of a task: of one that does not run yet, or of the current one.
#[inline(always)]
fn kernel_stack_of(next: *mut task_struct) -> u64 {
    let slot = claim();
    if slot == NO_SLOT {
        return submit::NO_ROOM;
    }
    let mut id = submit::NO_ROOM;
    if let Some(scratch) = scratch(slot) {
        id = kernel_stack::of_task(next, scratch);
    }
    release(slot);
    id
}

/// A thread begins: until it has a CPU, it waits for one.
#[inline(always)]
pub(super) fn born(tgid: u32, tid: u32) {
    // SAFETY: a helper without arguments.
    let now_ns = unsafe { bpf_ktime_get_ns() };
    insert(tid, tgid, now_ns, RUNNABLE as u32);
}

/// A process executes an image: it may not have been a target before. It has one thread now, of its own ID.
#[inline(always)]
pub(super) fn executed(tgid: u32) {
    if THREADS.get_ptr(&tgid).is_none() {
        // SAFETY: a helper without arguments.
        let now_ns = unsafe { bpf_ktime_get_ns() };
        insert(tgid, tgid, now_ns, ON_CPU as u32);
    }
}

/// Not inlined: a thread on the stack of its callers would leave too little of it for the walk.
#[inline(never)]
fn insert(tid: u32, tgid: u32, since_ns: u64, kind: u32) {
    let thread = Thread { kind, ..Thread::unseen(tgid, since_ns) };
    // Whatever stands there belonged to a thread that ended unseen.
    if THREADS.insert(&tid, &thread, 0).is_err() {
        count(Counter::ThreadsFull);
    }
}
