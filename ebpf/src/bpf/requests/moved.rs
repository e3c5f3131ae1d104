//! Bytes that a call has moved on a connection, from window to window.

use abi::{
    counter::Counter,
    limits::{MAX_FRAME_WINDOWS, MAX_WINDOWS, WINDOW_BYTES},
    request::{Connection, FLOW_FOREIGN, HEAD_STARTED, MESSAGE_TLS, ROLE_UNKNOWN},
};
use aya_ebpf::{
    cty::{c_long, c_void},
    helpers::generated::bpf_loop,
};

use super::{
    super::{maps::count, serving, target::Current},
    connection::{Ring, add, connection, key},
    memory::{Memory, OF_CALLS, Room, copy, gather, is_connection, prepare, room, tail},
    tls,
};

/// More turns than any window has bytes.
const MAX_TURNS: u32 = 2 * WINDOW_BYTES as u32;

/// What the callbacks need; see `user_stack::Loop`.
struct Loop {
    room: *mut Room,
    connection: *mut Connection,
}

/// Bytes have been moved.
#[inline(always)]
pub(super) fn moved(current: &Current, fd: u64, direction: u64, memory: Memory) {
    let key = key(current, fd);
    let found = connection(&key);
    if !found.as_ref().is_some_and(|it| is_in_clear(it)) {
        tls::note(fd, direction, found.is_some());
    }
    let it = match found {
        // What it says is read in clear, elsewhere.
        Some(it) if it.flags & MESSAGE_TLS != 0 => return,
        Some(it) => it,
        // Opened before anybody looked, if it is a connection.
        None if is_connection(&memory) => match add(&key, ROLE_UNKNOWN) {
            Some(it) => it,
            None => return,
        },
        None => return,
    };
    let Some(room) = room(OF_CALLS) else { return };
    prepare(room, current.tgid, current.tid, direction, memory.n_bytes);
    room.memory = memory;
    run(room, it);
    serving::moved(current.tid, it);
}

/// Whether a head has been read on it that nobody had to decrypt, and nothing else since: no library for TLS is about it.
#[inline(always)]
fn is_in_clear(it: &Connection) -> bool {
    let [incoming, outgoing] = &it.flows;
    it.flags & MESSAGE_TLS == 0
        && incoming.state != FLOW_FOREIGN
        && (incoming.head.flags | outgoing.head.flags) & HEAD_STARTED != 0
}

/// Goes through the bytes of a call. Not inlined: the verifier goes through it once.
#[inline(never)]
pub(super) fn run(room: &mut Room, it: &mut Connection) {
    room.gather.entries_from = 0;
    room.io.begin(it, &mut Ring);
    if room.io.wants_window(it) {
        if room.memory.is_elsewhere != 0 {
            count(Counter::HeadsUnread);
            room.io.give_up(it, &mut Ring);
            return;
        }
        let mut state = Loop { room: &raw mut *room, connection: &raw mut *it };
        // SAFETY: the callback has the signature that `bpf_loop` calls, and `state` outlives the call.
        unsafe { bpf_loop(MAX_FRAME_WINDOWS, window as *mut c_void, (&raw mut state).cast(), 0) };
        if room.io.wants_window(it) {
            count(Counter::HeadsUnread);
            room.io.give_up(it, &mut Ring);
        }
    }
    if room.io.is_chunked(it) {
        let n_bytes = room.memory.n_bytes;
        if room.memory.is_elsewhere != 0 {
            room.gather.tail = 0;
        } else if room.memory.n_vectors == 0 {
            room.gather.tail = 0;
            tail(room, room.memory.base, n_bytes);
        } else {
            gather(room, n_bytes, 0, 0);
        }
        let tail = room.gather.tail;
        room.io.finish(it, tail, &mut Ring);
    }
}

/// One window of a call.
#[inline(never)]
extern "C" fn window(index: u32, state: *mut Loop) -> c_long {
    // SAFETY: `bpf_loop` hands over what `run` gave it; every pointer in it is a live map value.
    let (room, it) = unsafe { (&mut *(*state).room, &mut *(*state).connection) };
    if !room.io.wants_window(it) || index >= MAX_WINDOWS && !room.io.has_frames(it) {
        return 1;
    }
    let to = room.io.open_window(it);
    let n_done = room.memory.n_bytes - room.io.left;
    let n_wanted = if room.io.left < WINDOW_BYTES as u64 { room.io.left } else { WINDOW_BYTES as u64 };
    if room.memory.n_vectors == 0 {
        room.gather.n_read = 0;
        copy(room, room.memory.base + n_done, n_wanted, to);
    } else {
        gather(room, n_done, n_wanted, to);
    }
    let n_read = room.gather.n_read;
    if n_read == 0 {
        // What cannot be read is not looked at: it is given up after the last window.
        return 1;
    }
    room.io.fill_window(n_read);
    // SAFETY: as in `run`.
    unsafe { bpf_loop(MAX_TURNS, turn as *mut c_void, state.cast(), 0) };
    room.io.close_window(it, &mut Ring);
    0
}

/// One step within a window.
#[inline(never)]
extern "C" fn turn(_index: u32, state: *mut Loop) -> c_long {
    // SAFETY: as in `window`.
    let (room, it) = unsafe { (&mut *(*state).room, &mut *(*state).connection) };
    if room.io.turn(it, &mut Ring) { 0 } else { 1 }
}
