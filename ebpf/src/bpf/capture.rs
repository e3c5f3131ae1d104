//! A user stack in code that is not known yet crosses as it is, and the agent walks it once it knows the code: a
//! process that has just begun, or loaded a library, has its first samples whole.

use abi::{
    counter::Counter,
    sample::{CaptureHeader, KIND_CAPTURE, NO_STACK},
};
use aya_ebpf::helpers::generated::bpf_probe_read_user;

use super::{
    maps::{capture, count},
    read::N_REGISTERS,
    submit,
};

const PAGE_BYTES: u64 = 4096;

/// Whole pages after the one that the stack pointer is in; [`abi::limits::CAPTURE_BYTES`] has room for one more.
const MORE_PAGES: u64 = 3;

/// DWARF number of the stack pointer.
const RSP: usize = 7;

/// Sends the stack above the stack pointer; gives its ID. [`NO_STACK`] if there is none to be read or no room for it.
#[inline(always)]
pub(super) fn id(ip: u64, slot: u32, registers: &[u64; N_REGISTERS], n_stacks: &mut u64) -> u64 {
    let sp = registers[RSP];
    if sp & 7 != 0 {
        return NO_STACK;
    }
    if !submit::has_spare_room() {
        count(Counter::CapturesSkipped);
        return NO_STACK;
    }
    let Some(capture) = capture(slot) else { return NO_STACK };
    capture.header = CaptureHeader { kind: KIND_CAPTURE, n_words: 0, id: 0, ip, registers: *registers };
    let words: *mut u8 = capture.words.as_mut_ptr().cast();
    // Page by page: where the stack ends, the page after it cannot be read.
    let first_bytes = PAGE_BYTES - (sp & (PAGE_BYTES - 1));
    // SAFETY: at most a page, and there is room for four.
    if unsafe { bpf_probe_read_user(words.cast(), first_bytes as u32, sp as *const _) } != 0 {
        return NO_STACK;
    }
    let mut n_bytes = first_bytes;
    for page in 0..MORE_PAGES {
        let at = first_bytes + page * PAGE_BYTES;
        // SAFETY: the first piece and three pages are four pages at most.
        let read = unsafe {
            bpf_probe_read_user(words.add(at as usize).cast(), PAGE_BYTES as u32, (sp + at) as *const _)
        };
        if read != 0 {
            break;
        }
        n_bytes = at + PAGE_BYTES;
    }
    match submit::capture(capture, n_bytes, n_stacks) {
        // The walked part of it may still fit.
        submit::NO_ROOM => NO_STACK,
        id => id,
    }
}
