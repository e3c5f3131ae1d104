//! Who is a target, kept in the kernel: a child or a new image is known before its first sample.

use abi::{
    config::{SCOPE_ALL, SCOPE_CGROUP, SCOPE_CHILDREN, SCOPE_COMM},
    counter::Counter,
    limits::COMM_BYTES,
    mapping::MappingTable,
    target::{TARGET_ACTIVE, TARGET_AT_EXEC, TARGET_BORROWS_MEMORY, TARGET_EXECUTED, TARGET_FOLLOW, Target},
};
use aya_ebpf::{
    helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, generated::bpf_ktime_get_ns},
    maps::HashMap,
    programs::TracePointContext,
};

use super::{
    maps::{LARGE_MAPPINGS, MAPPINGS, TARGETS, config, count, min_block_ns},
    off_cpu, target,
};

/// Offsets in `task:task_newtask`; the agent compares them with the kernel's own description before attaching.
const CHILD_PID_AT: usize = 8;
const CLONE_FLAGS_AT: usize = 32;

/// The child has the memory of its parent, not a copy (`include/uapi/linux/sched.h`).
const CLONE_VM: u64 = 0x0000_0100;
/// The child is a thread of its parent.
const CLONE_THREAD: u64 = 0x0001_0000;

/// A child inherits what its parent is, and its mappings, which it has copied.
#[inline(always)]
pub(crate) fn fork(ctx: &TracePointContext) {
    // SAFETY: inside the record, whose layout was checked.
    let (child, clone_flags) =
        unsafe { (ctx.read_at::<u32>(CHILD_PID_AT), ctx.read_at::<u64>(CLONE_FLAGS_AT)) };
    let (Ok(child), Ok(clone_flags)) = (child, clone_flags) else { return };
    let parent = (bpf_get_current_pid_tgid() >> 32) as u32;
    if clone_flags & CLONE_THREAD != 0 {
        if min_block_ns() != 0 && target::whoever().is_target() {
            off_cpu::born(parent, child);
        }
        return;
    }

    // A process ID comes back: what stood under it belonged to another process.
    // SAFETY: only copied from.
    match unsafe { TARGETS.get(&parent) } {
        // Where every process counts, the entry only dates the image, and the child's is its parent's.
        Some(target)
            if target.flags & TARGET_FOLLOW != 0 || config().scope & (SCOPE_ALL | SCOPE_CGROUP) != 0 =>
        {
            set_target(child, &Target { flags: target.flags & !TARGET_EXECUTED, ..*target });
            if min_block_ns() != 0 {
                off_cpu::born(child, child);
            }
        }
        Some(_) if clone_flags & CLONE_VM != 0 && config().is_in_bytes != 0 => {
            set_target(child, &Target { image_since_ns: 0, flags: TARGET_BORROWS_MEMORY, reserved: 0 });
        }
        _ => {
            let _ = TARGETS.remove(&child);
        }
    }
    inherit(&MAPPINGS, parent, child);
    inherit(&LARGE_MAPPINGS, parent, child);
}

#[inline(always)]
fn inherit<const N: usize>(map: &HashMap<u32, MappingTable<N>>, parent: u32, child: u32) {
    // SAFETY: only copied from.
    match unsafe { map.get(&parent) } {
        Some(table) => {
            if map.insert(&child, table, 0).is_err() {
                count(Counter::MappingsFull);
            }
        }
        None => {
            let _ = map.remove(&child);
        }
    }
}

/// The mappings of the old image are void from now on.
#[inline(always)]
pub(crate) fn exec() {
    let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: only copied from.
    let known = unsafe { TARGETS.get(&tgid) }.copied();
    let config = config();
    let flags = match known {
        Some(Target { flags, .. }) if flags & TARGET_AT_EXEC != 0 => flags & !TARGET_AT_EXEC | TARGET_ACTIVE,
        Some(Target { flags, .. }) if flags & TARGET_ACTIVE != 0 => flags,
        _ if config.scope & SCOPE_COMM != 0 && is_current_comm(&config.comm) => {
            TARGET_ACTIVE | if config.scope & SCOPE_CHILDREN != 0 { TARGET_FOLLOW } else { 0 }
        }
        // Not a target by itself, but its image must be dated all the same.
        _ if config.scope & (SCOPE_ALL | SCOPE_CGROUP) != 0 => 0,
        _ => {
            // What it borrowed it has given back.
            if known.is_some() {
                let _ = TARGETS.remove(&tgid);
            }
            return;
        }
    };
    // Where memory is measured in bytes, that of the new image began with none.
    let flags = if config.is_in_bytes == 0 { flags } else { flags | TARGET_EXECUTED };
    // SAFETY: a helper without arguments.
    let image_since_ns = unsafe { bpf_ktime_get_ns() };
    set_target(tgid, &Target { image_since_ns, flags, reserved: 0 });
    if min_block_ns() != 0 && flags & TARGET_ACTIVE != 0 {
        off_cpu::executed(tgid);
    }
}

#[inline(always)]
fn set_target(tgid: u32, target: &Target) {
    if TARGETS.insert(&tgid, target, 0).is_err() {
        count(Counter::TargetsFull);
    }
}

#[inline(always)]
fn is_current_comm(comm: &[u8; COMM_BYTES]) -> bool {
    let Ok(current) = bpf_get_current_comm() else { return false };
    // The kernel pads with NUL (`strscpy_pad` in `__set_task_comm`), and so does the agent.
    u128::from_ne_bytes(current) == u128::from_ne_bytes(*comm)
}
