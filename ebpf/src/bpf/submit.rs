//! The only way out: a stack once, a sample each time, or a counter.

use abi::{
    counter::Counter,
    sample::{Sample, StackHeader, UNREPEATED_STACK},
};
use aya_ebpf::{
    bindings::BPF_RB_NO_WAKEUP,
    helpers::{bpf_get_smp_processor_id, generated::bpf_ringbuf_output},
};

use super::maps::{RING, SEEN, count};

/// The agent reads the ring on a timer: waking it for each record would cost more than the record.
const FLAGS: u64 = BPF_RB_NO_WAKEUP as u64;

/// Writes one sample.
#[inline(always)]
pub(super) fn sample(sample: &Sample) {
    let Some(mut entry) = RING.reserve::<Sample>(0) else { return count(Counter::RingFull) };
    entry.write(*sample);
    entry.submit(FLAGS);
}

/// In place of a stack ID: the ring has no room. A plain number, because LLVM spills the undefined half of an
/// `Option` that is `None`, which the verifier refuses to store.
pub(super) const NO_ROOM: u64 = u64::MAX;

/// The ID under which a stack has crossed; sends it if it has not. [`NO_ROOM`] if it cannot.
///
/// `header` is followed in memory by its frames, `n_bytes` of header and frames in all; `n_stacks` numbers the
/// stacks of this CPU.
#[inline(always)]
pub(super) fn stack_id(key: &[u64; 2], header: &mut StackHeader, n_bytes: u64, n_stacks: &mut u64) -> u64 {
    // SAFETY: an ID is one word, whoever replaces it.
    if let Some(id) = unsafe { SEEN.get(key) } {
        return *id;
    }
    *n_stacks += 1;
    // SAFETY: a helper without arguments.
    header.id = u64::from(unsafe { bpf_get_smp_processor_id() }) << 48 | *n_stacks;
    // Sent before it is remembered: whoever finds the ID in the table writes its sample behind the stack.
    // SAFETY: the caller vouches for `n_bytes` behind the header.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const RING).cast_mut().cast(),
            (header as *mut StackHeader).cast(),
            n_bytes,
            FLAGS,
        )
    };
    if sent != 0 {
        return NO_ROOM;
    }
    if SEEN.insert(key, &header.id, 0).is_err() {
        count(Counter::StackResent);
        return header.id | UNREPEATED_STACK;
    }
    header.id
}
