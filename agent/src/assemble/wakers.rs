//! On top of a wait: who ended it.

use profile::{FrameHandle, Profile};

use super::frames::Frames;
use crate::aggregate::{Aggregate, Key};

/// The kernel's entries from interrupts (`arch/x86/include/asm/idtentry.h`): whoever had the CPU then did not wake anybody.
const INTERRUPTS: [&str; 2] = ["asm_sysvec_", "asm_common_interrupt"];

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
    let entry = stack.iter().position(|frame| is_interrupt(profile, *frame));
    // What was interrupted has nothing to do with it.
    stack.truncate(entry.map_or(usize::MAX, |entry| entry + 1));
    let title = match entry {
        Some(_) => "[woken by an interrupt]".to_owned(),
        None => format!("[woken by {}]", waker.name),
    };
    path.push(profile.reason(&title));
    path.extend(stack);
}

fn is_interrupt(profile: &Profile, frame: FrameHandle) -> bool {
    let function = profile.frame_at(frame).and_then(|frame| frame.function);
    function.is_some_and(|name| INTERRUPTS.iter().any(|entry| profile.text(name).starts_with(entry)))
}
