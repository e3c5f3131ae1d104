//! The kernel half of a stack: the kernel's own walk of its own frames.

use abi::{
    counter::Counter,
    fault::Fault,
    limits::MAX_KERNEL_FRAMES,
    sample::{KIND_KERNEL_STACK, NO_STACK, StackHeader},
};
use aya_ebpf::{
    EbpfContext as _,
    bindings::task_struct,
    cty::{c_long, c_void},
    helpers::generated::{bpf_get_stack, bpf_get_task_stack, bpf_loop},
    programs::PerfEventContext,
};
use ebpf::hash::StackHash;

use super::{
    maps::{Scratch, count},
    submit,
};

/// What the loop's callback needs.
struct Hashing {
    hash: StackHash,
    frames: *const [u64; MAX_KERNEL_FRAMES],
}

/// ID of the kernel stack, [`NO_STACK`] for a sample in user mode, [`submit::NO_ROOM`] if the ring has none.
#[inline(always)]
pub(super) fn id(ctx: &PerfEventContext, scratch: &mut Scratch) -> u64 {
    // SAFETY: the context of a running program.
    let cs = unsafe { (*ctx.ctx).regs.cs };
    if cs & 3 == 3 {
        return NO_STACK;
    }
    // SAFETY: the buffer is as long as said.
    let n_bytes = unsafe {
        let frames = scratch.kernel.frames.as_mut_ptr();
        bpf_get_stack(ctx.as_ptr(), frames.cast(), (MAX_KERNEL_FRAMES * 8) as u32, 0)
    };
    finish(n_bytes, scratch)
}

/// The same of a task that does not run, from where it was left.
#[inline(always)]
pub(super) fn of_task(task: *mut task_struct, scratch: &mut Scratch) -> u64 {
    // SAFETY: the buffer is as long as said.
    let n_bytes = unsafe {
        let frames = scratch.kernel.frames.as_mut_ptr();
        bpf_get_task_stack(task.cast(), frames.cast(), (MAX_KERNEL_FRAMES * 8) as u32, 0)
    };
    finish(n_bytes, scratch)
}

/// Sends what was read, if it has not crossed before.
#[inline(always)]
fn finish(n_bytes: c_long, scratch: &mut Scratch) -> u64 {
    let Scratch { kernel, n_stacks, .. } = scratch;
    if n_bytes <= 0 {
        count(Counter::KernelStackFailed);
        return NO_STACK;
    }
    let n_frames = (n_bytes as usize / 8).min(MAX_KERNEL_FRAMES);
    let mut hashing = Hashing { hash: StackHash::new(KIND_KERNEL_STACK), frames: &raw const kernel.frames };
    // SAFETY: the callback has the signature that `bpf_loop` calls, and `hashing` outlives the call.
    unsafe {
        bpf_loop(n_frames as u32, hash_frame as *mut c_void, (&raw mut hashing).cast(), 0);
    }
    let fault = if n_frames == MAX_KERNEL_FRAMES { Fault::FRAME_LIMIT } else { Fault::COMPLETE };
    kernel.header =
        StackHeader { kind: KIND_KERNEL_STACK, n_frames: n_frames as u32, id: 0, fault: fault.0, flags: 0 };
    let n_bytes = (size_of::<StackHeader>() + n_frames * 8) as u64;
    submit::stack_id(&hashing.hash.finish(n_frames as u32, fault.0), &mut kernel.header, n_bytes, n_stacks)
}

/// One turn of the loop: a counted loop here would be verified once for each of the 127 ways to leave it.
#[inline(never)]
extern "C" fn hash_frame(index: u32, state: *mut Hashing) -> c_long {
    // SAFETY: `bpf_loop` hands over what `id` gave it.
    let (hash, frames) = unsafe { (&mut (*state).hash, &*(*state).frames) };
    let Some(frame) = frames.get(index as usize) else { return 1 };
    hash.push(*frame);
    0
}
