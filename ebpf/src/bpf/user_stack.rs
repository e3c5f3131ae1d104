//! The user half of a stack: our own walk, in a `bpf_loop`, from the registers that user mode was left with.

use abi::{
    fault::Fault,
    limits::MAX_USER_FRAMES,
    mapping::MappingTable,
    sample::{KIND_USER_STACK, NO_STACK, StackHeader},
};
use aya_ebpf::{
    bindings::pt_regs,
    cty::{c_long, c_void},
    helpers::{
        bpf_get_current_task_btf,
        generated::{bpf_loop, bpf_task_pt_regs},
    },
};
use ebpf::{unwind::Registers, walk::Walk};

use super::{
    code::{Cache, ProcessCode},
    maps::{MAPPINGS, Scratch, cache},
    read::N_REGISTERS,
    submit,
};

/// Frames of one turn of the loop. Each turn is a call, and where the kernel guards returns
/// (`spec_rstack_overflow`) that shows: one frame a turn 1,670 ns for a stack of 29, eight 1,355 ns, sixteen no less.
const FRAMES_PER_TURN: u32 = 8;

/// What the loop's callback needs. It lives on the program's stack, where the verifier keeps the type of each
/// pointer; everything else lives in the scratch space, where it keeps no value, so that one pass over the
/// callback stands for all.
struct Loop {
    table: *const MappingTable,
    scratch: *mut Scratch,
    cache: *mut Cache,
}

/// ID of the user stack, [`NO_STACK`] for a kernel thread, [`submit::NO_ROOM`] if the ring has none.
#[inline(always)]
pub(super) fn id(tgid: u32, image_since_ns: u64, scratch: &mut Scratch) -> u64 {
    let Some(registers) = user_registers(&mut scratch.memory.registers) else { return NO_STACK };
    let table = MAPPINGS.get_ptr(&tgid).filter(|table| as_of_ns(*table) >= image_since_ns);
    let as_of = table.map_or(0, as_of_ns);
    scratch.walk = Walk::new(registers);
    scratch.memory.forget();
    let Some(cache) = cache() else { return NO_STACK };
    let mut state = Loop { table: table.unwrap_or(core::ptr::null()), scratch, cache };
    // SAFETY: the callback has the signature that `bpf_loop` calls, and `state` outlives the call.
    unsafe {
        bpf_loop(MAX_USER_FRAMES as u32 / FRAMES_PER_TURN, step as *mut c_void, (&raw mut state).cast(), 0);
    }
    let walk = &scratch.walk;
    let mut fault = walk.fault;
    if table.is_some_and(|table| as_of_ns(table) != as_of) {
        fault = Fault::MAPPINGS_CHANGED;
    }
    let n_frames = (walk.n_frames as usize).min(MAX_USER_FRAMES);
    let key = walk.hash.finish(n_frames as u32, fault.0);
    let header = &mut scratch.user.header;
    *header = StackHeader {
        kind: KIND_USER_STACK,
        n_frames: n_frames as u32,
        id: 0,
        fault: fault.0,
        flags: walk.flags,
    };
    submit::stack_id(&key, header, (size_of::<StackHeader>() + n_frames * 8) as u64, &mut scratch.n_stacks)
}

/// The registers with which the thread entered the kernel, also when that was a system call and the sample was
/// taken inside it; all of them into `all`, by DWARF number. `None` for a kernel thread, which has none.
#[inline(always)]
fn user_registers(all: &mut [u64; N_REGISTERS]) -> Option<Registers> {
    // SAFETY: the current task always has this area at the top of its kernel stack (`task_pt_regs`,
    // arch/x86/include/asm/processor.h); the verifier knows both types.
    let regs = unsafe { &*(bpf_task_pt_regs(bpf_get_current_task_btf().cast()) as *const pt_regs) };
    if regs.cs & 3 != 3 {
        return None;
    }
    *all = [
        regs.rax, regs.rdx, regs.rcx, regs.rbx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8, regs.r9,
        regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
    ];
    Some(Registers { ip: regs.rip, sp: regs.rsp, bp: regs.rbp })
}

/// Reads the time of a table anew: the value may be replaced while we look.
#[inline(always)]
fn as_of_ns(table: *const MappingTable) -> u64 {
    // SAFETY: a map value, checked where it was looked up.
    unsafe { core::ptr::read_volatile(&raw const (*table).as_of_ns) }
}

/// One turn of the loop. Local linkage (no `no_mangle`): the verifier takes only a static function as callback.
#[inline(never)]
extern "C" fn step(index: u32, state: *mut Loop) -> c_long {
    // SAFETY: `bpf_loop` hands over what `id` gave it; every pointer in it is a live map value or null.
    let (table, scratch, cache) =
        unsafe { ((*state).table.as_ref(), &mut *(*state).scratch, &mut *(*state).cache) };
    let Scratch { walk, memory, user, .. } = scratch;
    let mut code = ProcessCode::new(table, cache);
    for i in 0..FRAMES_PER_TURN {
        if !walk.step(index * FRAMES_PER_TURN + i, &mut code, memory, &mut user.frames) {
            return 1;
        }
    }
    0
}
