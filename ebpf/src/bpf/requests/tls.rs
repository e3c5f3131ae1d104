//! What libraries for TLS are given to send and give as received: read where their functions return.
//!
//! Which connection that is, is known by the descriptor that the thread reads or writes within such a call; a library that is
//! handed the encrypted bytes by its caller has connections of its own.

use abi::{
    config::FOLLOW_TLS,
    counter::Counter,
    request::{
        Connection, FLOW_FOREIGN, FLOW_IDLE, INCOMING, MESSAGE_APART, MESSAGE_TLS, OUTGOING, ROLE_UNKNOWN,
    },
    tls::{
        NO_DESCRIPTOR, TLS_COUNTS_THROUGH_3, TLS_FREES, TLS_IS_NEW, TLS_SENDS, TLS_SENDS_FILE,
        TLS_SHAKES_HANDS, TlsCall,
    },
};
use aya_ebpf::{
    EbpfContext as _,
    bindings::pt_regs,
    helpers::{bpf_get_current_pid_tgid, bpf_probe_read_user, generated::bpf_get_attach_cookie},
    programs::ProbeContext,
};

use super::{
    super::{
        maps::{TLS_CALLS, TLS_CONNECTIONS, count, request_flags},
        serving,
        target::{self, Current},
    },
    connection::{add, close_in, connection, key},
    memory::{Memory, NO_ROOM, claim, is_connection, prepare, release, room},
    moved::run,
};

/// Multiplier of a hash, odd and with bits everywhere.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Set in keys of connections that have no descriptor: those that have one do not set it.
const IS_APART: u64 = 1 << 63;

/// A function is entered.
#[inline(always)]
pub(crate) fn entered(ctx: &ProbeContext) {
    let Some(current) = target::current() else { return };
    // SAFETY: the context of a running program.
    let (what, regs) = unsafe { (bpf_get_attach_cookie(ctx.as_ptr()), &*ctx.regs) };
    if what & TLS_FREES != 0 {
        freed(&current, regs.rdi);
        return;
    }
    let call =
        TlsCall { connection: regs.rdi, buffer: regs.rsi, count: regs.rcx, what, descriptor: NO_DESCRIPTOR };
    // A function within another takes its place: what is moved is counted once.
    if TLS_CALLS.insert(&bpf_get_current_pid_tgid(), &call, 0).is_err() {
        count(Counter::TlsCallsMissed);
    }
}

/// A system call has moved bytes: if that was within a function, it says which descriptor is meant.
#[inline(always)]
pub(super) fn note(fd: u64, direction: u64, is_connection: bool) {
    if request_flags() & FOLLOW_TLS == 0 {
        return;
    }
    let Some(call) = TLS_CALLS.get_ptr_mut(&bpf_get_current_pid_tgid()) else { return };
    // SAFETY: a map value that only this thread writes.
    let call = unsafe { &mut *call };
    // Within a handshake something else may be written: keys, for example.
    let is_meant = call.what & TLS_SHAKES_HANDS == 0 && call.what & TLS_SENDS == direction;
    if is_meant || is_connection {
        call.descriptor = fd & NO_DESCRIPTOR;
    }
}

/// A function returns, or has its result where it will be.
#[inline(always)]
pub(crate) fn left(regs: *const pt_regs) {
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: only copied from, and only this thread writes it.
    let Some(call) = unsafe { TLS_CALLS.get(&thread) }.copied() else { return };
    let _ = TLS_CALLS.remove(&thread);
    let Some(current) = target::current() else { return };
    let apart = key_apart(&current, call.connection);
    // SAFETY: a word.
    let known = unsafe { TLS_CONNECTIONS.get(&apart) }.copied().unwrap_or(NO_DESCRIPTOR);
    let mut state = known;
    if call.descriptor != NO_DESCRIPTOR {
        state = state & !NO_DESCRIPTOR | call.descriptor;
    }
    if call.what & TLS_SHAKES_HANDS != 0 {
        state |= TLS_IS_NEW;
    }
    if state != known {
        let _ = TLS_CONNECTIONS.insert(&apart, &state, 0);
    }
    // SAFETY: the context of a running program.
    let result = unsafe { (*regs).rax };
    let n_bytes = n_bytes(&call, result);
    if n_bytes == 0 {
        return;
    }
    let is_elsewhere = u64::from(call.what & TLS_SENDS_FILE != 0);
    let memory = Memory { base: call.buffer, n_vectors: 0, n_bytes, is_elsewhere };
    let direction = call.what & TLS_SENDS;
    let fd = state & NO_DESCRIPTOR;
    let (key, flags) = if fd == NO_DESCRIPTOR {
        (apart, MESSAGE_TLS | MESSAGE_APART)
    } else {
        (key(&current, fd), MESSAGE_TLS)
    };
    let it = match connection(&key) {
        Some(it) if it.flags & MESSAGE_TLS != 0 => it,
        found => {
            // In the middle of what nobody has seen begin, nothing can be told.
            if state & TLS_IS_NEW == 0 && !is_connection(&memory) {
                return;
            }
            let it = match found {
                Some(it) => it,
                None => match add(&key, ROLE_UNKNOWN) {
                    Some(it) => it,
                    None => return,
                },
            };
            it.flags |= flags;
            set_state(it, FLOW_IDLE);
            it
        }
    };
    look(&current, it, direction, memory);
}

/// Goes through what was moved.
#[inline(always)]
fn look(current: &Current, it: &mut Connection, direction: u64, memory: Memory) {
    let number = claim();
    if number == NO_ROOM {
        count(Counter::TlsCallsMissed);
        set_state(it, FLOW_FOREIGN);
        return;
    }
    if let Some(room) = room(number) {
        prepare(room, current.tgid, current.tid, direction, memory.n_bytes);
        room.memory = memory;
        run(room, it);
    }
    serving::moved(current.tid, it);
    release(number);
}

#[inline(always)]
fn set_state(it: &mut Connection, state: u32) {
    it.flows[INCOMING].state = state;
    it.flows[OUTGOING].state = state;
}

/// How many bytes of what is said a call has moved.
#[inline(always)]
fn n_bytes(call: &TlsCall, result: u64) -> u64 {
    let what = call.what;
    if what & TLS_SHAKES_HANDS != 0 {
        return 0;
    }
    if what & TLS_COUNTS_THROUGH_3 != 0 {
        if result as u32 != 1 {
            return 0;
        }
        // SAFETY: the helper checks that it may read there.
        return unsafe { bpf_probe_read_user(call.count as *const u64) }.unwrap_or(0);
    }
    if what & TLS_SENDS_FILE != 0 {
        return if (result as i64) < 0 { 0 } else { result };
    }
    // An `int`.
    if (result as i32) < 0 { 0 } else { u64::from(result as u32) }
}

/// A connection of the library's is given back.
#[inline(always)]
fn freed(current: &Current, at: u64) {
    let apart = key_apart(current, at);
    let _ = TLS_CONNECTIONS.remove(&apart);
    if connection(&apart).is_none() {
        return;
    }
    let number = claim();
    if number == NO_ROOM {
        count(Counter::TlsCallsMissed);
        return;
    }
    close_in(current, &apart, number);
    release(number);
}

/// The key of a connection as the library has it.
#[inline(always)]
fn key_apart(current: &Current, at: u64) -> u64 {
    let mixed = (at ^ u64::from(current.tgid) << 42).wrapping_mul(MIX);
    mixed ^ mixed >> 29 | IS_APART
}
