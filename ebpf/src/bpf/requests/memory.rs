//! The memory of a target that a call has read or written.

use core::hint::black_box;

use abi::limits::WINDOW_BYTES;
use aya_ebpf::{
    cty::{c_long, c_void},
    helpers::generated::{bpf_ktime_get_ns, bpf_loop, bpf_probe_read_user},
};
use ebpf::{
    flow::{Io, LAST_CHUNK_BYTES},
    head::is_known_beginning,
};

use super::super::{maps::IO, swap::swap};

/// More than the kernel takes (`UIO_MAXIOV`) is never needed: what is sent in more pieces is not looked at whole.
const MAX_VECTORS: u32 = 64;

/// Entries of a vector that are read at once: an answer has a handful, and each reading costs more than they do.
const ENTRIES_AT_ONCE: usize = 8;
const ENTRY_BYTES: u64 = 16;

/// So much of a vector is enough for a window.
const ENOUGH_BYTES: u64 = 64;

/// Bytes of a word.
pub(super) const WORD_BYTES: u64 = 8;

/// The memory that a call has read or written.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Memory {
    /// Where it is, or where the vector is that says so.
    pub(super) base: u64,
    /// Entries of the vector; 0 if there is none.
    pub(super) n_vectors: u64,
    /// Bytes of it that the call has moved.
    pub(super) n_bytes: u64,
    /// Nothing of it can be read: it went from file to socket.
    pub(super) is_elsewhere: u64,
}

/// What a piece of it is looked for.
#[repr(C)]
pub(super) struct Gather {
    /// Bytes still to be skipped.
    skip: u64,
    /// Bytes still to be read.
    want: u64,
    /// Where in the window they go.
    to: u64,
    /// Bytes read.
    pub(super) n_read: u64,
    /// Bytes that the call has moved and that are in vectors not seen yet.
    left: u64,
    /// The last bytes.
    pub(super) tail: u64,
    /// Where those entries of the vector begin that were read last, and how long they are.
    entries: [[u64; 2]; ENTRIES_AT_ONCE],
    /// One more than the number of the first of them; 0 if none has been read.
    pub(super) entries_from: u64,
}

/// What does not fit on the stack of a program.
#[repr(C)]
pub(in crate::bpf) struct Room {
    /// Whether it is claimed.
    busy: u64,
    pub(super) io: Io,
    pub(super) memory: Memory,
    pub(super) gather: Gather,
}

/// The room of the program for system calls.
pub(super) const OF_CALLS: u32 = 0;

/// That room, or one that was claimed.
#[inline(always)]
pub(super) fn room(number: u32) -> Option<&'static mut Room> {
    // SAFETY: a per-CPU value. The first is used by one program, which is not preempted and does not nest; others are claimed.
    Some(unsafe { &mut *IO.get_ptr_mut(number)? })
}

/// In place of a room: all are taken.
pub(super) const NO_ROOM: u32 = u32::MAX;

/// Claims a room for a program that can be preempted, but not moved to another CPU.
#[inline(always)]
pub(super) fn claim() -> u32 {
    brazier_claim_room() as u32
}

/// Global, as [`super::super::maps::claim`] has it: of its result the verifier knows nothing.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn brazier_claim_room() -> u64 {
    let number = if try_claim(1) {
        1
    } else if try_claim(2) {
        2
    } else {
        NO_ROOM
    };
    number.into()
}

#[inline(always)]
fn try_claim(number: u32) -> bool {
    // Whoever else runs on this CPU writes the word in one step, too.
    room(number).is_some_and(|room| swap(&mut room.busy, 1) == 0)
}

/// Gives a room back.
#[inline(always)]
pub(super) fn release(number: u32) {
    if let Some(room) = room(number) {
        swap(&mut room.busy, 0);
    }
}

#[inline(always)]
pub(super) fn prepare(room: &mut Room, tgid: u32, tid: u32, direction: u64, n_bytes: u64) {
    // SAFETY: a helper without arguments.
    room.io.time_ns = unsafe { bpf_ktime_get_ns() };
    room.io.tgid = tgid;
    room.io.tid = tid;
    room.io.direction = direction;
    room.io.n_bytes = n_bytes;
    room.io.left = n_bytes;
}

/// Two words of the target's.
#[inline(always)]
pub(super) fn read_pair(address: u64) -> Option<[u64; 2]> {
    let mut pair = [0_u64; 2];
    // SAFETY: as many bytes as there is room for; the helper checks the address.
    let read = unsafe { bpf_probe_read_user((&raw mut pair).cast(), 16, address as *const _) };
    (read == 0).then_some(pair)
}

/// Whether what was moved begins a message.
#[inline(always)]
pub(super) fn is_connection(memory: &Memory) -> bool {
    if memory.is_elsewhere != 0 || memory.n_bytes < WORD_BYTES {
        return false;
    }
    let base = if memory.n_vectors == 0 {
        memory.base
    } else {
        match read_pair(memory.base) {
            Some([base, n_bytes]) if n_bytes >= WORD_BYTES => base,
            _ => return false,
        }
    };
    let mut word = 0_u64;
    // SAFETY: as many bytes as there is room for; the helper checks the address.
    let read = unsafe { bpf_probe_read_user((&raw mut word).cast(), 8, base as *const _) };
    read == 0 && is_known_beginning(word) != 0
}

/// Copies bytes of the target into the window.
#[inline(always)]
pub(super) fn copy(room: &mut Room, from: u64, n_bytes: u64, to: u64) {
    // The compiler knows the bounds; the verifier does not.
    let n_bytes = black_box(n_bytes) & (2 * WINDOW_BYTES as u64 - 1);
    let n_bytes = if n_bytes > WINDOW_BYTES as u64 { WINDOW_BYTES as u64 } else { n_bytes };
    let to = black_box(to) & (WINDOW_BYTES as u64 - 1);
    if n_bytes == 0 {
        return;
    }
    let window = room.io.scan.window.as_mut_ptr();
    // SAFETY: behind any place in the first half of the window there is room for all.
    if unsafe { bpf_probe_read_user(window.add(to as usize).cast(), n_bytes as u32, from as *const _) } == 0 {
        room.gather.n_read += n_bytes;
    }
}

/// Puts the last bytes of a piece behind those before it, eight at most.
#[inline(always)]
pub(super) fn tail(room: &mut Room, base: u64, n_bytes: u64) {
    let n = if n_bytes < WORD_BYTES { n_bytes } else { WORD_BYTES };
    if n == 0 {
        return;
    }
    let mut word = 0_u64;
    // In front of the piece may be nothing to read: byte for byte would cost more than two ways.
    // SAFETY: as many bytes as there is room for; the helper checks the address.
    let read = unsafe {
        if n == WORD_BYTES {
            bpf_probe_read_user((&raw mut word).cast(), 8, (base + n_bytes - WORD_BYTES) as *const _)
        } else {
            let n = (black_box(n) & 7) as u32;
            bpf_probe_read_user((&raw mut word).cast(), n, base as *const _)
        }
    };
    if read != 0 {
        return;
    }
    let word = word.swap_bytes();
    room.gather.tail =
        if n == WORD_BYTES { word } else { room.gather.tail << (8 * n) | word >> (64 - 8 * n) };
}

/// Goes through the vector of a call: reads `want` bytes from `skip` on, and the last.
#[inline(always)]
pub(super) fn gather(room: &mut Room, skip: u64, want: u64, to: u64) {
    room.gather.skip = skip;
    room.gather.want = want;
    room.gather.to = to;
    room.gather.n_read = 0;
    room.gather.left = room.memory.n_bytes;
    room.gather.tail = 0;
    let mut room: *mut Room = room;
    // SAFETY: as in `run`.
    unsafe { bpf_loop(MAX_VECTORS, vector as *mut c_void, (&raw mut room).cast(), 0) };
}

/// An entry of the vector, of which those before it have been read.
#[inline(always)]
fn entry(room: &mut Room, index: u64) -> Option<[u64; 2]> {
    const MAX_BYTES: u64 = ENTRY_BYTES * ENTRIES_AT_ONCE as u64;
    let place = index as usize % ENTRIES_AT_ONCE;
    if place == 0 && room.gather.entries_from != index + 1 {
        let n_bytes = (room.memory.n_vectors - index) * ENTRY_BYTES;
        // The compiler knows the bound; the verifier does not.
        let n_bytes = if n_bytes < MAX_BYTES { black_box(n_bytes) & (2 * MAX_BYTES - 1) } else { MAX_BYTES };
        let n_bytes = if n_bytes > MAX_BYTES { MAX_BYTES } else { n_bytes } as u32;
        let from = room.memory.base + index * ENTRY_BYTES;
        let to = room.gather.entries.as_mut_ptr();
        // SAFETY: at most as many bytes as there is room for; the helper checks the address.
        if unsafe { bpf_probe_read_user(to.cast(), n_bytes, from as *const _) } != 0 {
            return None;
        }
        room.gather.entries_from = index + 1;
    }
    Some(room.gather.entries[black_box(place) % ENTRIES_AT_ONCE])
}

/// One entry of a vector.
#[inline(never)]
extern "C" fn vector(index: u32, state: *mut *mut Room) -> c_long {
    // SAFETY: as in `window`.
    let room = unsafe { &mut **state };
    if u64::from(index) >= room.memory.n_vectors || room.gather.left == 0 {
        return 1;
    }
    let Some([base, n_bytes]) = entry(room, index.into()) else { return 1 };
    let n_bytes = if n_bytes < room.gather.left { n_bytes } else { room.gather.left };
    room.gather.left -= n_bytes;
    if room.gather.want == 0 {
        // Only the end is wanted.
        if room.gather.left < LAST_CHUNK_BYTES {
            tail(room, base, n_bytes);
        }
        return 0;
    }
    if n_bytes <= room.gather.skip {
        room.gather.skip -= n_bytes;
        return 0;
    }
    let from = base + room.gather.skip;
    let n = n_bytes - room.gather.skip;
    room.gather.skip = 0;
    let n = if n < room.gather.want { n } else { room.gather.want };
    let before = room.gather.n_read;
    let to = room.gather.to;
    copy(room, from, n, to);
    if room.gather.n_read == before {
        return 1;
    }
    room.gather.to += n;
    room.gather.want -= n;
    // A head is in the first piece, mostly, and its body in the others: if it is not, there is another window.
    (room.gather.want == 0 || room.gather.n_read >= ENOUGH_BYTES) as c_long
}
