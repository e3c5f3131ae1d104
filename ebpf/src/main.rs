//! The kernel programs: entry points only. What they do stands in `bpf/` and in the library.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod bpf;

#[cfg(target_arch = "bpf")]
mod programs {
    use core::ffi::c_void;

    use aya_ebpf::{
        macros::{btf_tracepoint, perf_event, raw_tracepoint, tracepoint, uprobe, uretprobe},
        programs::{
            BtfTracePointContext, PerfEventContext, ProbeContext, RawTracePointContext, RetProbeContext,
            TracePointContext,
        },
    };

    use crate::bpf::{alloc, cpu, event_loop, follow, off_cpu, requests, resident};

    /// From a session's entry: its return is left alone.
    const ENTRY_ONLY: u32 = 1;

    /// One CPU sample.
    #[perf_event]
    pub(crate) fn brazier_cpu(ctx: PerfEventContext) -> u32 {
        cpu::sample(&ctx);
        0
    }

    /// `kmem:rss_stat`: resident memory has changed.
    #[tracepoint]
    pub(crate) fn brazier_resident(ctx: TracePointContext) -> u32 {
        resident::changed(&ctx);
        0
    }

    /// An allocator is entered, or what it gave is freed.
    #[uprobe]
    pub(crate) fn brazier_alloc(ctx: ProbeContext) -> u32 {
        alloc::entered(&ctx);
        0
    }

    /// An allocator returns.
    #[uretprobe]
    pub(crate) fn brazier_allocated(ctx: RetProbeContext) -> u32 {
        alloc::returned(ctx.regs);
        0
    }

    /// The two above in a session, which is run at the return as well where it gave 0 at the entry. Without the macro,
    /// which would have it give 0 always.
    #[unsafe(link_section = "uprobe")]
    #[unsafe(no_mangle)]
    extern "C" fn brazier_heap(ctx: *mut c_void) -> u32 {
        let ctx = ProbeContext::new(ctx);
        if !alloc::is_entry(&ctx) {
            alloc::returned(ctx.regs);
        } else if !alloc::entered(&ctx) {
            return ENTRY_ONLY;
        }
        0
    }

    /// `task:task_newtask`: a target's child is a target before it runs.
    #[tracepoint]
    pub(crate) fn brazier_fork(ctx: TracePointContext) -> u32 {
        follow::fork(&ctx);
        0
    }

    /// `sched_process_exec`: a new image starts.
    #[raw_tracepoint(tracepoint = "sched_process_exec")]
    pub(crate) fn brazier_exec(_ctx: RawTracePointContext) -> i32 {
        follow::exec();
        0
    }

    /// `sched_switch`: a thread leaves its CPU, and another comes.
    #[btf_tracepoint(function = "sched_switch")]
    pub(crate) fn brazier_switch(ctx: BtfTracePointContext) -> i32 {
        off_cpu::switched(&ctx);
        0
    }

    /// `sched_waking`: a thread need not wait any longer.
    #[btf_tracepoint(function = "sched_waking")]
    pub(crate) fn brazier_woken(ctx: BtfTracePointContext) -> i32 {
        off_cpu::woken(&ctx);
        0
    }

    /// `sys_exit`: a system call is over.
    #[raw_tracepoint(tracepoint = "sys_exit")]
    pub(crate) fn brazier_sys_exit(_ctx: RawTracePointContext) -> i32 {
        off_cpu::returned();
        0
    }

    /// `sys_enter`: a system call begins.
    #[btf_tracepoint(function = "sys_enter")]
    pub(crate) fn brazier_wait(ctx: BtfTracePointContext) -> i32 {
        event_loop::entered(&ctx);
        0
    }

    /// `sys_exit`: a system call is over.
    #[btf_tracepoint(function = "sys_exit")]
    pub(crate) fn brazier_waited(ctx: BtfTracePointContext) -> i32 {
        event_loop::left(&ctx);
        0
    }

    /// `sys_exit`: a call on a connection is over.
    #[btf_tracepoint(function = "sys_exit")]
    pub(crate) fn brazier_request(ctx: BtfTracePointContext) -> i32 {
        requests::left(&ctx);
        0
    }

    /// A function of a library for TLS is entered.
    #[uprobe]
    pub(crate) fn brazier_tls(ctx: ProbeContext) -> u32 {
        requests::entered_tls(&ctx);
        0
    }

    /// It returns.
    #[uretprobe]
    pub(crate) fn brazier_tls_done(ctx: RetProbeContext) -> u32 {
        requests::left_tls(ctx.regs);
        0
    }

    /// It is about to return.
    #[uprobe]
    pub(crate) fn brazier_tls_passed(ctx: ProbeContext) -> u32 {
        requests::left_tls(ctx.regs);
        0
    }

    // SAFETY: the kernel reads the licence from the section of this name.
    #[unsafe(link_section = "license")]
    #[unsafe(no_mangle)]
    static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

    /// Loops, so that the verifier refuses a program in which a panic can be reached.
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {}
    }
}

/// On the host there is nothing to run: the programs exist for the `bpf` target alone.
#[cfg(not(target_arch = "bpf"))]
fn main() {}
