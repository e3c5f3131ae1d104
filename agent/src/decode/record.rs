//! Records of the ring: samples and stacks.

use abi::{
    fault::Fault,
    frame::{Frame, PackedFrame},
    request::Message,
    sample::{
        CaptureHeader, KIND_CAPTURE, KIND_KERNEL_STACK, KIND_MESSAGE, KIND_SAMPLE, KIND_SERVED,
        KIND_USER_STACK, STACK_HAS_FRAME_POINTER_STEPS, Sample, Served, StackHeader,
    },
};
use thiserror::Error;

/// One record of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A sample, referring to stacks that crossed before it.
    Sample(Sample),
    /// A user stack; its words are [`abi::frame::PackedFrame`]s.
    UserStack(RawStack),
    /// A kernel stack; its words are absolute addresses.
    KernelStack(RawStack),
    /// A user stack that was not walked.
    Capture(Capture),
    /// Something became of a message of HTTP.
    Message(MessageEvent),
    /// Which connection the thread of a sample serves that follows.
    Served(Served),
}

/// Something became of a message of HTTP: what, and the path of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageEvent {
    /// What.
    pub message: Message,
    /// The beginning of the path, if it crossed.
    pub path: Vec<u8>,
}

/// Registers and stack of a thread in code that the kernel side did not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// What its sample calls it.
    pub id: u64,
    /// Instruction pointer.
    pub ip: u64,
    /// General registers, by their DWARF number.
    pub registers: [u64; 16],
    /// The stack, from the stack pointer upwards.
    pub words: Vec<u64>,
}

/// A stack as it crossed, leaf first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawStack {
    /// What samples call it.
    pub id: u64,
    /// Why it ends where it ends.
    pub fault: Fault,
    /// Some frames were left by their frame pointer, for want of unwind information.
    pub has_frame_pointer_steps: bool,
    /// Its frames.
    pub words: Vec<u64>,
}

impl RawStack {
    /// Whether it means the same in every process: all frames are in files.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        self.words.iter().all(|word| matches!(PackedFrame(*word).unpack(), Frame::File { .. }))
    }
}

/// Why a record could not be read: the object and the agent do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Shorter than its kind.
    #[error("record of {n_bytes} bytes is cut short")]
    Short {
        /// Its length.
        n_bytes: usize,
    },
    /// A kind that this agent does not have.
    #[error("record of unknown kind {kind}")]
    UnknownKind {
        /// The first word.
        kind: u32,
    },
}

/// Reads one record.
///
/// # Errors
/// If the record is shorter than its kind says or of a kind that is not known.
pub fn record(bytes: &[u8]) -> Result<Record, DecodeError> {
    let short = DecodeError::Short { n_bytes: bytes.len() };
    let kind = u32::from_ne_bytes(*bytes.first_chunk().ok_or(short)?);
    match kind {
        KIND_SAMPLE => Sample::decode(bytes).map(Record::Sample).ok_or(short),
        KIND_USER_STACK => stack(bytes).map(Record::UserStack).ok_or(short),
        KIND_KERNEL_STACK => stack(bytes).map(Record::KernelStack).ok_or(short),
        KIND_CAPTURE => capture(bytes).map(Record::Capture).ok_or(short),
        KIND_MESSAGE => message(bytes).map(Record::Message).ok_or(short),
        KIND_SERVED => Served::decode(bytes).map(Record::Served).ok_or(short),
        kind => Err(DecodeError::UnknownKind { kind }),
    }
}

fn message(bytes: &[u8]) -> Option<MessageEvent> {
    let (message, path) = Message::decode(bytes)?;
    Some(MessageEvent { message, path: path.to_vec() })
}

fn capture(bytes: &[u8]) -> Option<Capture> {
    let (CaptureHeader { n_words, id, ip, registers, .. }, words) = CaptureHeader::decode(bytes)?;
    Some(Capture { id, ip, registers, words: words_of(words, n_words)? })
}

fn words_of(bytes: &[u8], n_words: u32) -> Option<Vec<u64>> {
    let bytes = bytes.get(..(n_words as usize).checked_mul(8)?)?;
    Some(bytes.as_chunks().0.iter().map(|word| u64::from_ne_bytes(*word)).collect())
}

fn stack(bytes: &[u8]) -> Option<RawStack> {
    let (header, frames) = StackHeader::decode(bytes)?;
    let words = words_of(frames, header.n_frames)?;
    let has_frame_pointer_steps = header.flags & STACK_HAS_FRAME_POINTER_STEPS != 0;
    Some(RawStack { id: header.id, fault: header.fault(), has_frame_pointer_steps, words })
}

#[cfg(test)]
mod tests {
    use super::{DecodeError, MessageEvent, Record, record};

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn a_stack_is_read_back() {
        let bytes = words(&[2 << 32 | 2, 77, 1, 10, 11]);
        let Ok(Record::UserStack(stack)) = record(&bytes) else { panic!("{:?}", record(&bytes)) };
        assert_eq!((stack.id, stack.fault.0, stack.words), (77, 1, vec![10, 11]));
    }

    #[test]
    fn a_stack_that_was_not_walked_is_read_back_and_no_cut_of_it_panics() {
        let mut all = vec![2 << 32 | 4, 77, 0x401000];
        all.extend(0..16);
        all.extend([10, 11]);
        let bytes = words(&all);
        let Ok(Record::Capture(capture)) = record(&bytes) else { panic!("{:?}", record(&bytes)) };
        assert_eq!((capture.id, capture.ip, capture.registers[7]), (77, 0x401000, 7));
        assert_eq!(capture.words, [10, 11]);
        for n_bytes in 0..bytes.len() {
            assert_eq!(record(&bytes[..n_bytes]), Err(DecodeError::Short { n_bytes }));
        }
    }

    #[test]
    fn a_message_is_read_back_and_no_cut_of_it_panics() {
        let last = 3 << 32 | 5 << 24 | 1 << 16 | 404;
        let bytes = words(&[8 << 32 | 5, 100, 7, 12 << 32 | 11, 64, 0xabc, 2 << 32 | 3, last, 0x62_61_2f]);
        let Ok(Record::Message(MessageEvent { message, path })) = record(&bytes) else {
            panic!("{:?}", record(&bytes))
        };
        assert_eq!((message.flags, message.time_ns, message.connection), (8, 100, 7));
        assert_eq!((message.tgid, message.tid, message.n_bytes, message.path_hash), (11, 12, 64, 0xabc));
        assert_eq!((message.n_calls, message.n_small, message.status), (3, 2, 404));
        assert_eq!((message.method, message.content, path.as_slice()), (1, 5, &b"/ab"[..]));
        for n_bytes in 0..67 {
            assert_eq!(record(&bytes[..n_bytes]), Err(DecodeError::Short { n_bytes }));
        }
    }

    #[test]
    fn what_a_thread_serves_is_read_back_and_no_cut_of_it_panics() {
        let bytes = words(&[12 << 32 | 6, 100, 7]);
        let Ok(Record::Served(served)) = record(&bytes) else { panic!("{:?}", record(&bytes)) };
        assert_eq!((served.tid, served.time_ns, served.connection), (12, 100, 7));
        for n_bytes in 0..bytes.len() {
            assert_eq!(record(&bytes[..n_bytes]), Err(DecodeError::Short { n_bytes }));
        }
    }

    #[test]
    fn every_cut_of_a_record_is_an_error_and_never_a_panic() {
        for kind in [1, 2, 3] {
            let whole = words(&[9 << 32 | kind, 1, 2, 3, 4, 5, 6]);
            for n_bytes in 0..whole.len() {
                let read = record(&whole[..n_bytes]);
                assert_eq!(read, Err(DecodeError::Short { n_bytes }), "kind {kind}");
            }
        }
        assert_eq!(record(&words(&[99])), Err(DecodeError::UnknownKind { kind: 99 }));
    }
}
