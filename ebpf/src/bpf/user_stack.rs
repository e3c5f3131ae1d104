//! The user half of a stack: our own walk, in a `bpf_loop`, from the registers that user mode was left with.

use core::hint::black_box;

use abi::{
    fault::Fault,
    limits::MAX_USER_FRAMES,
    mapping::MappingHeader,
    sample::{KIND_USER_STACK, NO_STACK, STACK_HAS_FRAME_POINTER_STEPS, STACK_LEAF_UNKNOWN, StackHeader},
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
    capture,
    code::{Cache, KnownTable, LARGE_TABLE, NO_TABLE, ProcessCode, SMALL_TABLE},
    maps::{LARGE_MAPPINGS, MAPPINGS, Scratch, cache, scratch},
    read::N_REGISTERS,
    submit,
    target::Current,
};

/// Frames of one turn of the loop. Each turn is a call, and where the kernel guards returns
/// (`spec_rstack_overflow`) that shows: one frame a turn 1,670 ns for a stack of 29, eight 1,355 ns, sixteen no less.
const FRAMES_PER_TURN: u32 = 8;

/// `rax` inside a system call: -ENOSYS (`PUSH_AND_CLEAR_REGS` in arch/x86/entry/calling.h).
const NO_RESULT_YET: u64 = -38_i64 as u64;

/// Numbers of the system calls that replace the program (`arch/x86/entry/syscalls/syscall_64.tbl`).
const EXECVE: u64 = 59;
const EXECVEAT: u64 = 322;

/// What the loop's callback needs. It lives on the program's stack, where the verifier keeps the type of each
/// pointer; everything else lives in the scratch space, where it keeps no value, so that one pass over the
/// callback stands for all.
struct Loop {
    scratch: *mut Scratch,
    cache: *mut Cache,
}

/// ID of the user stack, [`NO_STACK`] for a kernel thread, [`submit::NO_ROOM`] if the ring has none. A stack in code that is
/// not known crosses as it is if it `may_capture`: a sample must follow it.
#[inline(always)]
pub(super) fn id(current: &Current, slot: u32, scratch: &mut Scratch, may_capture: bool) -> u64 {
    let Some((registers, is_in_exec)) = user_registers(&mut scratch.memory.registers) else {
        return NO_STACK;
    };
    let ip = registers.ip;
    let table = header_of(current.tgid, current.image_since_ns);
    // SAFETY: a map value, checked where it was looked up.
    let header = if table.header.is_null() { NO_HEADER } else { unsafe { *table.header } };
    scratch.table = KnownTable { tgid: current.tgid.into(), kind: table.kind, header };
    scratch.walk = Walk::new(registers);
    scratch.memory.forget();
    // It finds the scratch space by itself: what is written must be there before, and read only after it.
    let scratch = black_box(&raw mut *scratch);
    brazier_walk(slot.into());
    // SAFETY: the same, and the function has returned.
    let scratch = unsafe { &mut *black_box(scratch) };
    let walk = &scratch.walk;
    let mut fault = walk.fault;
    if !table.header.is_null() && as_of_ns(table.header) != header.as_of_ns {
        fault = Fault::MAPPINGS_CHANGED;
    }
    let is_unknown = fault == Fault::TABLE_PENDING
        || fault == Fault::MAPPINGS_CHANGED
        // A return address that a rule led to is right, and its library was loaded a moment ago; one that a frame
        // pointer led to is more likely misread.
        || fault == Fault::RETURN_UNMAPPED && walk.flags & STACK_HAS_FRAME_POINTER_STEPS == 0
        || walk.flags & STACK_LEAF_UNKNOWN != 0;
    // Past the point of no return of an exec the old stack has gone, and the new one is not there yet.
    if is_in_exec && !fault.is_complete() {
        return NO_STACK;
    }
    if is_unknown && may_capture {
        let id = capture::id(ip, slot, &scratch.memory.registers, &mut scratch.n_stacks);
        if id != NO_STACK {
            return id;
        }
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

/// Walks what the scratch space of a slot has been prepared for. A global function: the verifier goes through it once,
/// and not for each kind of mapping table (81,000 instructions, not 281,000).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn brazier_walk(slot: u64) -> u64 {
    let (Some(scratch), Some(cache)) = (scratch(slot as u32), cache(slot as u32)) else { return 0 };
    let mut state = Loop { scratch, cache };
    // SAFETY: the callback has the signature that `bpf_loop` calls, and `state` outlives the call.
    unsafe {
        bpf_loop(MAX_USER_FRAMES as u32 / FRAMES_PER_TURN, step as *mut c_void, (&raw mut state).cast(), 0);
    }
    1
}

/// The mapping table of a process.
struct FoundTable {
    kind: u64,
    /// Null if there is none.
    header: *const MappingHeader,
}

const NO_HEADER: MappingHeader = MappingHeader { as_of_ns: 0, tgid: 0, flags: 0 };

/// The table that describes the present image.
#[inline(always)]
fn header_of(tgid: u32, image_since_ns: u64) -> FoundTable {
    if let Some(small) = MAPPINGS.get_ptr(&tgid) {
        if as_of_ns(small.cast()) >= image_since_ns {
            return FoundTable { kind: SMALL_TABLE, header: small.cast() };
        }
    }
    if let Some(large) = LARGE_MAPPINGS.get_ptr(&tgid) {
        if as_of_ns(large.cast()) >= image_since_ns {
            return FoundTable { kind: LARGE_TABLE, header: large.cast() };
        }
    }
    FoundTable { kind: NO_TABLE, header: core::ptr::null() }
}

/// The registers with which the thread entered the kernel, also when that was a system call and the sample was
/// taken inside it; all of them into `all`, by DWARF number. And whether an exec is under way. `None` for a kernel thread,
/// which has none.
#[inline(always)]
fn user_registers(all: &mut [u64; N_REGISTERS]) -> Option<(Registers, bool)> {
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
    // An exec that is done has set all registers anew.
    let is_exec = regs.orig_rax == EXECVE || regs.orig_rax == EXECVEAT;
    let is_in_exec = is_exec && regs.rax == NO_RESULT_YET;
    Some((Registers { ip: regs.rip, sp: regs.rsp, bp: regs.rbp }, is_in_exec))
}

/// Reads the time of a table anew: the value may be replaced while we look.
#[inline(always)]
fn as_of_ns(table: *const MappingHeader) -> u64 {
    // SAFETY: a map value, checked where it was looked up.
    unsafe { core::ptr::read_volatile(&raw const (*table).as_of_ns) }
}

/// One turn of the loop. Local linkage (no `no_mangle`): the verifier takes only a static function as callback.
#[inline(never)]
extern "C" fn step(index: u32, state: *mut Loop) -> c_long {
    // SAFETY: `bpf_loop` hands over what `id` gave it; every pointer in it is a live map value or null.
    let (scratch, cache) = unsafe { (&mut *(*state).scratch, &mut *(*state).cache) };
    let Scratch { table, walk, memory, user, .. } = scratch;
    let mut code = ProcessCode::new(table, cache);
    for i in 0..FRAMES_PER_TURN {
        if !walk.step(index * FRAMES_PER_TURN + i, &mut code, memory, &mut user.frames) {
            return 1;
        }
    }
    0
}
