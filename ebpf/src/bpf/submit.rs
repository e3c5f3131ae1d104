//! The only way out: a stack once, a sample each time, or a counter.

use abi::{
    counter::Counter,
    event::Event,
    limits::{CAPTURE_BYTES, CAPTURE_RING_SHARE},
    request::MessageWithPath,
    sample::{Capture, CaptureHeader, KIND_SAMPLE, Sample, StackHeader, UNREPEATED_STACK},
};
use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_NO_WAKEUP, BPF_RB_RING_SIZE},
    helpers::{
        bpf_get_smp_processor_id,
        generated::{bpf_ktime_get_ns, bpf_ringbuf_output, bpf_ringbuf_query},
    },
};

use super::{
    maps::{RING, SEEN, count},
    serving,
    target::Current,
};

/// The agent reads the ring on a timer: waking it for each record would cost more than the record.
pub(super) const FLAGS: u64 = BPF_RB_NO_WAKEUP as u64;

/// Writes one sample of now; without room for one of its stacks, it is lost.
#[inline(always)]
pub(super) fn sample(
    current: &Current,
    event: Event,
    weight: u64,
    user_stack: u64,
    kernel_stack: u64,
    context: u64,
) {
    // SAFETY: a helper without arguments.
    let time_ns = unsafe { bpf_ktime_get_ns() };
    sample_with(current, &What { event, time_ns, user_stack, kernel_stack, weight, context });
}

/// The same, of a moment that the caller knows.
#[inline(always)]
pub(super) fn sample_with(current: &Current, what: &What) {
    let is_lost = what.user_stack == NO_ROOM || what.kernel_stack == NO_ROOM;
    if is_lost || !write(current, what) {
        count(Counter::RingFull);
    }
}

/// The part of a sample that is not the same for all on this CPU.
pub(super) struct What {
    pub(super) event: Event,
    pub(super) time_ns: u64,
    pub(super) user_stack: u64,
    pub(super) kernel_stack: u64,
    pub(super) weight: u64,
    pub(super) context: u64,
}

/// Writes one sample; gives `false` if the ring has no room.
#[inline(always)]
pub(super) fn write(current: &Current, what: &What) -> bool {
    if !serving::tell(current.tid, what.time_ns) {
        return false;
    }
    let Some(mut entry) = RING.reserve::<Sample>(0) else { return false };
    entry.write(Sample {
        kind: KIND_SAMPLE,
        // SAFETY: a helper without arguments.
        cpu: unsafe { bpf_get_smp_processor_id() } as u16,
        event: what.event,
        time_ns: what.time_ns,
        tgid: current.tgid,
        tid: current.tid,
        user_stack: what.user_stack,
        kernel_stack: what.kernel_stack,
        weight: what.weight,
        context: what.context,
    });
    entry.submit(FLAGS);
    true
}

/// Writes what became of a message, of so many bytes; gives `false` if the ring has no room.
#[inline(always)]
pub(super) fn message(message: &mut MessageWithPath, n_bytes: u64) -> bool {
    // SAFETY: the caller vouches for the bytes.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const RING).cast_mut().cast(),
            (message as *mut MessageWithPath).cast(),
            n_bytes,
            FLAGS,
        )
    };
    sent == 0
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
    header.id = new_id(n_stacks);
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

/// Sends a stack that was not walked, of `n_bytes` behind its header; gives its ID, [`NO_ROOM`] if the ring has none.
#[inline(always)]
pub(super) fn capture(capture: &mut Capture, n_bytes: u64, n_stacks: &mut u64) -> u64 {
    let id = new_id(n_stacks);
    capture.header.id = id;
    let n_bytes = n_bytes.min(CAPTURE_BYTES as u64);
    capture.header.n_words = (n_bytes / 8) as u32;
    // SAFETY: header and words are one piece, and `n_bytes` is inside it.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const RING).cast_mut().cast(),
            (capture as *mut Capture).cast(),
            size_of::<CaptureHeader>() as u64 + n_bytes,
            FLAGS,
        )
    };
    if sent != 0 { NO_ROOM } else { id | UNREPEATED_STACK }
}

/// Whether the ring has room for more than samples and stacks.
#[inline(always)]
pub(super) fn has_spare_room() -> bool {
    let ring = (&raw const RING).cast_mut().cast();
    // SAFETY: a map and a flag.
    let (used, size) = unsafe {
        (bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA.into()), bpf_ringbuf_query(ring, BPF_RB_RING_SIZE.into()))
    };
    used < size / CAPTURE_RING_SHARE
}

/// Numbers the stacks of this CPU, so that none has the ID of another.
#[inline(always)]
fn new_id(n_stacks: &mut u64) -> u64 {
    *n_stacks += 1;
    // SAFETY: a helper without arguments.
    u64::from(unsafe { bpf_get_smp_processor_id() }) << 48 | *n_stacks
}
