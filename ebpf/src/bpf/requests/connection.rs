//! Connections: when they begin and end, and what is said of them.

use core::hint::black_box;

use abi::{
    config::HIDE_PATHS,
    counter::Counter,
    request::{
        Connection, INCOMING, MAX_PATH_BYTES, MESSAGE_CLOSED, MESSAGE_NO_DELAY, MESSAGE_OPENED, Message,
        MessageWithPath, OUTGOING, ROLE_CLIENT, ROLE_UNKNOWN,
    },
};
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use ebpf::flow::Sink;

use super::{
    super::{
        maps::{CONNECTIONS, NEW_CONNECTION, count, request_flags},
        submit,
        target::Current,
    },
    memory::{OF_CALLS, WORD_BYTES, prepare, read_pair, room},
};

/// Sends what becomes of messages.
pub(super) struct Ring;

impl Sink for Ring {
    #[inline(always)]
    fn put(&mut self, message: &mut MessageWithPath) {
        count(Counter::MessagesTaken);
        if request_flags() & HIDE_PATHS != 0 {
            message.message.n_path = 0;
        }
        let n_words = (u64::from(message.message.n_path) + WORD_BYTES - 1) / WORD_BYTES;
        // The compiler knows the bound; the verifier does not.
        let n_path = (black_box(n_words) * WORD_BYTES) & (2 * MAX_PATH_BYTES as u64 - 1);
        let n_path = if n_path > MAX_PATH_BYTES as u64 { MAX_PATH_BYTES as u64 } else { n_path };
        if !submit::message(message, size_of::<Message>() as u64 + n_path) {
            count(Counter::MessagesLost);
        }
    }
}

#[inline(always)]
pub(super) fn key(current: &Current, fd: u64) -> u64 {
    u64::from(current.tgid) << 32 | fd & 0xffff_ffff
}

#[inline(always)]
pub(super) fn connection(key: &u64) -> Option<&'static mut Connection> {
    // SAFETY: a map value; two threads that use one connection at the same moment would garble its state, not memory.
    Some(unsafe { &mut *CONNECTIONS.get_ptr_mut(key)? })
}

/// A key stands for a new connection.
#[inline(always)]
pub(super) fn add(key: &u64, role: u32) -> Option<&'static mut Connection> {
    // A connection is too large for the stack of a program: it begins as a copy.
    if CONNECTIONS.insert(key, NEW_CONNECTION.get(0)?, 0).is_err() {
        count(Counter::ConnectionsFull);
        return None;
    }
    let it = connection(key)?;
    // SAFETY: helpers without arguments.
    let (now_ns, cpu) = unsafe { (bpf_ktime_get_ns(), bpf_get_smp_processor_id()) };
    it.id = now_ns << 8 | u64::from(cpu & 0xff);
    it.role = role;
    Some(it)
}

#[inline(always)]
pub(super) fn open(current: &Current, fd: u64, role: u32) {
    let key = key(current, fd);
    let flags = match connection(&key) {
        // Options are set before it is opened.
        Some(it) if role == ROLE_CLIENT && it.role == ROLE_UNKNOWN => it.flags & MESSAGE_NO_DELAY,
        _ => 0,
    };
    let Some(it) = add(&key, role) else { return };
    it.flags = flags;
    tell(current, it, MESSAGE_OPENED);
}

/// Not inlined: one piece of code for all who want it.
#[inline(never)]
fn tell_of(tgid: u32, tid: u32, it: &mut Connection, flags: u32, number: u32) {
    let Some(room) = room(number) else { return };
    prepare(room, tgid, tid, 0, 0);
    room.io.tell(it, flags, &mut Ring);
}

#[inline(always)]
fn tell(current: &Current, it: &mut Connection, flags: u32) {
    tell_of(current.tgid, current.tid, it, flags, OF_CALLS);
}

#[inline(always)]
pub(super) fn close(current: &Current, fd: u64) {
    close_in(current, &key(current, fd), OF_CALLS);
}

/// The connection of a key is over, which is told of by way of a room.
#[inline(always)]
pub(super) fn close_in(current: &Current, key: &u64, number: u32) {
    let Some(it) = connection(key) else { return };
    end_of(current.tgid, current.tid, it, INCOMING as u64, number);
    end_of(current.tgid, current.tid, it, OUTGOING as u64, number);
    if it.role != ROLE_UNKNOWN {
        tell_of(current.tgid, current.tid, it, MESSAGE_CLOSED, number);
    }
    let _ = CONNECTIONS.remove(key);
}

/// Nothing more comes in this direction.
#[inline(always)]
pub(super) fn ended(current: &Current, fd: u64, direction: u64) {
    if let Some(it) = connection(&key(current, fd)) {
        end_of(current.tgid, current.tid, it, direction, OF_CALLS);
    }
}

#[inline(never)]
fn end_of(tgid: u32, tid: u32, it: &mut Connection, direction: u64, number: u32) {
    let Some(room) = room(number) else { return };
    prepare(room, tgid, tid, direction, 0);
    room.io.close(it, &mut Ring);
}

/// The target says whether small writes wait.
#[inline(always)]
pub(super) fn no_delay(current: &Current, fd: u64, value: u64) {
    let Some([value, _]) = read_pair(value) else { return };
    let key = key(current, fd);
    let it = match connection(&key) {
        Some(it) => it,
        None => match add(&key, ROLE_UNKNOWN) {
            Some(it) => it,
            None => return,
        },
    };
    let no_delay = if value as u32 != 0 { MESSAGE_NO_DELAY } else { 0 };
    it.flags = it.flags & !MESSAGE_NO_DELAY | no_delay;
}
