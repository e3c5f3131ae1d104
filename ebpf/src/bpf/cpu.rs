//! A CPU sample: filter, kernel stack, user stack, one record.

use abi::{
    config::{Config, SCOPE_ALL, SCOPE_CGROUP},
    counter::Counter,
    sample::{KIND_SAMPLE, Sample},
    target::TARGET_ACTIVE,
};
use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_smp_processor_id,
        generated::{bpf_get_current_ancestor_cgroup_id, bpf_ktime_get_ns},
    },
    programs::PerfEventContext,
};

use super::{
    kernel_stack,
    maps::{TARGETS, config, count, scratch},
    submit, user_stack,
};

#[inline(always)]
pub(crate) fn sample(ctx: &PerfEventContext) {
    let pid_tgid = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((pid_tgid >> 32) as u32, pid_tgid as u32);
    // Before anything is walked. The idle task is nobody's target.
    if tgid == 0 {
        return;
    }
    // SAFETY: only copied from, and a value replaced meanwhile is still a target's.
    let target = unsafe { TARGETS.get(&tgid) }.copied();
    if !is_wanted(&config(), target.map_or(0, |target| target.flags)) {
        return;
    }
    count(Counter::Taken);
    let Some(scratch) = scratch() else { return };

    let kernel_stack = kernel_stack::id(ctx, scratch);
    let image_since_ns = target.map_or(0, |target| target.image_since_ns);
    let user_stack = user_stack::id(tgid, image_since_ns, scratch);
    if kernel_stack == submit::NO_ROOM || user_stack == submit::NO_ROOM {
        return count(Counter::RingFull);
    }
    submit::sample(&Sample {
        kind: KIND_SAMPLE,
        // SAFETY: helpers without arguments.
        cpu: unsafe { bpf_get_smp_processor_id() },
        // SAFETY: as above.
        time_ns: unsafe { bpf_ktime_get_ns() },
        tgid,
        tid,
        user_stack,
        kernel_stack,
        weight: 1,
        context: 0,
    });
}

#[inline(always)]
fn is_wanted(config: &Config, flags: u32) -> bool {
    if flags & TARGET_ACTIVE != 0 || config.scope & SCOPE_ALL != 0 {
        return true;
    }
    config.scope & SCOPE_CGROUP != 0
        // SAFETY: a helper with an integer argument.
        && unsafe { bpf_get_current_ancestor_cgroup_id(config.cgroup_level as i32) } == config.cgroup_id
}
