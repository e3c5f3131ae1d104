//! The kernel programs: entry points only. What they do stands in `bpf/` and in the library.
#![cfg_attr(target_arch = "bpf", no_std, no_main, feature(asm_experimental_arch))]

#[cfg(target_arch = "bpf")]
mod bpf;

#[cfg(target_arch = "bpf")]
mod programs {
    use aya_ebpf::{
        macros::{perf_event, raw_tracepoint, tracepoint, uprobe},
        programs::{PerfEventContext, ProbeContext, RawTracePointContext, TracePointContext},
    };

    use crate::bpf::{alloc, cpu, follow, resident};

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

    /// An allocator is entered.
    #[uprobe]
    pub(crate) fn brazier_alloc(ctx: ProbeContext) -> u32 {
        alloc::requested(&ctx);
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
