//! Who runs, and whether it is a target: the first thing that every program asks.

use abi::{
    config::{SCOPE_ALL, SCOPE_CGROUP},
    target::TARGET_ACTIVE,
};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, generated::bpf_get_current_ancestor_cgroup_id};

use super::maps::{TARGETS, config, is_sampling};

/// The thread that runs.
pub(super) struct Current {
    pub(super) tgid: u32,
    pub(super) tid: u32,
    pub(super) image_since_ns: u64,
    /// `TARGET_*` bits.
    pub(super) flags: u32,
}

/// The current thread, if it is a target's.
#[inline(always)]
pub(super) fn current() -> Option<Current> {
    let thread = thread()?;
    thread.is_target().then_some(thread)
}

/// The current thread, whosesoever it is; `None` for the idle task, and while no samples are taken.
#[inline(always)]
pub(super) fn thread() -> Option<Current> {
    if !is_sampling() {
        return None;
    }
    let pid_tgid = bpf_get_current_pid_tgid();
    // The idle task is nobody's target.
    if pid_tgid >> 32 == 0 {
        return None;
    }
    Some(of(pid_tgid))
}

/// The current thread, with what is known of its process.
#[inline(always)]
pub(super) fn whoever() -> Current {
    of(bpf_get_current_pid_tgid())
}

#[inline(always)]
fn of(pid_tgid: u64) -> Current {
    let (tgid, tid) = ((pid_tgid >> 32) as u32, pid_tgid as u32);
    // SAFETY: only copied from, and a value replaced meanwhile is still a target's.
    let target = unsafe { TARGETS.get(&tgid) }.copied();
    let (image_since_ns, flags) = target.map_or((0, 0), |target| (target.image_since_ns, target.flags));
    Current { tgid, tid, image_since_ns, flags }
}

/// The current thread, target or not.
#[inline(always)]
pub(super) fn anyone() -> Current {
    let pid_tgid = bpf_get_current_pid_tgid();
    Current { tgid: (pid_tgid >> 32) as u32, tid: pid_tgid as u32, image_since_ns: 0, flags: 0 }
}

impl Current {
    /// Whether it is a target's.
    #[inline(always)]
    pub(super) fn is_target(&self) -> bool {
        let config = config();
        if self.flags & TARGET_ACTIVE != 0 || config.scope & SCOPE_ALL != 0 {
            return true;
        }
        config.scope & SCOPE_CGROUP != 0
            // SAFETY: a helper with an integer argument.
            && unsafe { bpf_get_current_ancestor_cgroup_id(config.cgroup_level as i32) } == config.cgroup_id
    }
}
