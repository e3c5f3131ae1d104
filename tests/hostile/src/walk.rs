//! Any process, walked as the kernel side walks it; then once more with a read that fails.

use abi::{
    fault::Fault,
    frame::PackedFrame,
    limits::MAX_USER_FRAMES,
    sample::{KIND_USER_STACK, STACK_HAS_FRAME_POINTER_STEPS, STACK_LEAF_UNKNOWN},
};
use ebpf::{hash::StackHash, walk::Walk};

use crate::world::World;

/// Words that one step reads, at most: three out of a signal frame; frame pointer, return address and up to two to
/// find the CFA elsewhere.
const MAX_READS_PER_STEP: u64 = 6;

#[derive(Debug)]
struct Walked {
    frames: Vec<PackedFrame>,
    fault: Fault,
    n_reads: u64,
}

pub(crate) fn body(bytes: &[u8]) {
    let Ok(world) = World::of(bytes) else { return };
    let whole = walk(&world, None);
    if whole.n_reads == 0 {
        return;
    }
    let failing = u64::from(world.failing_read) % whole.n_reads;
    let cut = walk(&world, Some(failing));
    assert_eq!(
        (cut.fault, cut.n_reads),
        (Fault::STACK_UNREADABLE, failing + 1),
        "read {failing} of {whole:?}"
    );
    assert!(
        whole.frames.starts_with(&cut.frames),
        "another chain: {cut:?} after read {failing} of {whole:?}"
    );
}

fn walk(world: &World, failing_read: Option<u64>) -> Walked {
    let mut memory = world.memory(failing_read);
    let mut code = world;
    let mut walk = Walk::new(world.registers);
    let mut frames = Box::new([PackedFrame(0); MAX_USER_FRAMES]);
    let mut n_steps = 0;
    let mut has_ended = false;
    while n_steps < MAX_USER_FRAMES as u32 && !has_ended {
        let n_reads = memory.n_reads;
        has_ended = !walk.step(n_steps, &mut code, &mut memory, &mut frames);
        n_steps += 1;
        assert!(memory.n_reads - n_reads <= MAX_READS_PER_STEP, "{} reads", memory.n_reads - n_reads);
    }
    assert_eq!(has_ended, walk.fault != Fault::FRAME_LIMIT, "{:?} after {n_steps} steps", walk.fault);
    assert!(Fault::ALL.contains(&walk.fault), "{:?}", walk.fault);
    assert_eq!(memory.has_failed, walk.fault == Fault::STACK_UNREADABLE, "{:?}", walk.fault);
    assert_eq!(walk.flags & !(STACK_HAS_FRAME_POINTER_STEPS | STACK_LEAF_UNKNOWN), 0);
    // The leaf always counts; a frame outside code does not.
    let n_frames = n_steps - u32::from(walk.fault == Fault::RETURN_UNMAPPED);
    assert_eq!(walk.n_frames, n_frames.max(1), "{:?} after {n_steps} steps", walk.fault);
    let frames: Vec<PackedFrame> = frames.iter().copied().take(walk.n_frames as usize).collect();
    let mut hash = StackHash::new(KIND_USER_STACK);
    frames.iter().for_each(|frame| hash.push(frame.0));
    assert_eq!(hash, walk.hash, "{frames:x?}");
    Walked { frames, fault: walk.fault, n_reads: memory.n_reads }
}
