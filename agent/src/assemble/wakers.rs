//! On top of a wait: who ended it.

use profile::{FrameHandle, Profile};

use super::frames::Frames;
use crate::aggregate::{Aggregate, Key};

/// The kernel's entries from interrupts (`arch/x86/include/asm/idtentry.h`): whoever had the CPU then did not wake anybody.
const INTERRUPTS: [&str; 2] = ["asm_sysvec_", "asm_common_interrupt"];
/// How the kernel calls a program at a tracepoint (`include/trace/bpf_probe.h`, `DEFINE_TRACE` in `include/linux/tracepoint.h`).
const TRACING: [&str; 3] = ["bpf_trace_run", "__bpf_trace_", "__traceiter_"];

/// Adds who ended the wait, and how: their kernel stack, leaf first, as it goes on from where the wait was ended.
pub(super) fn push(
    path: &mut Vec<FrameHandle>,
    profile: &mut Profile,
    frames: &Frames,
    aggregate: &Aggregate,
    key: &Key,
) {
    let Some(waker) = key.waker.and_then(|index| aggregate.wakers().get(index as usize)) else {
        // A timer, or nobody that was seen.
        return path.push(profile.reason("[woken by: not seen]"));
    };
    let stack = waker.kernel.and_then(|index| aggregate.kernel_stacks().get(index as usize));
    let mut stack: Vec<FrameHandle> =
        stack.into_iter().flat_map(|it| frames.kernel_leaf_to_root(it)).collect();
    // Deeper down may be another program, which an interrupt came into.
    let is_tracing = |frame: &FrameHandle| is_named(profile, *frame, &TRACING);
    let first = stack.iter().position(is_tracing).unwrap_or(0);
    let n_tracing = stack.iter().skip(first).take_while(|frame| is_tracing(frame)).count();
    stack.drain(..first + n_tracing);
    let entry = stack.iter().position(|frame| is_named(profile, *frame, &INTERRUPTS));
    // What was interrupted has nothing to do with it.
    stack.truncate(entry.map_or(usize::MAX, |entry| entry + 1));
    let title = match entry {
        Some(_) => "[woken by an interrupt]".to_owned(),
        None => format!("[woken by {}]", waker.name),
    };
    path.push(profile.reason(&title));
    path.extend(stack);
}

fn is_named(profile: &Profile, frame: FrameHandle, beginnings: &[&str]) -> bool {
    let function = profile.frame_at(frame).and_then(|frame| frame.function);
    function.is_some_and(|name| beginnings.iter().any(|it| profile.text(name).starts_with(it)))
}
