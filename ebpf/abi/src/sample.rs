//! The records that cross the ring. The first word of each says which it is.

use crate::{
    event::Event,
    fault::Fault,
    frame::PackedFrame,
    limits::{CAPTURE_BYTES, MAX_KERNEL_FRAMES, MAX_USER_FRAMES},
};

/// [`Sample`].
pub const KIND_SAMPLE: u32 = 1;
/// [`StackHeader`], then `n_frames` words: [`PackedFrame`]s of a user stack, leaf first.
pub const KIND_USER_STACK: u32 = 2;
/// [`StackHeader`], then `n_frames` words: absolute addresses of a kernel stack, leaf first.
pub const KIND_KERNEL_STACK: u32 = 3;

/// [`CaptureHeader`], then `n_words` words of stack: a user stack that the kernel side could not walk, for code that it
/// does not know yet. The agent walks it.
pub const KIND_CAPTURE: u32 = 4;

/// [`crate::request::Message`], then the path of a request.
pub const KIND_MESSAGE: u32 = 5;

/// [`Served`]: the sample of the same thread and time follows it.
pub const KIND_SERVED: u32 = 6;

/// Bit of [`StackHeader::flags`]: some frames had no unwind information and were left by their frame pointer.
pub const STACK_HAS_FRAME_POINTER_STEPS: u32 = 1 << 0;

/// Bit of [`StackHeader::flags`]: the leaf lies in a mapping that was not known.
pub const STACK_LEAF_UNKNOWN: u32 = 1 << 1;

/// Bit of a sample's stack ID: the stack could not be remembered as sent, and no other sample will refer to it.
pub const UNREPEATED_STACK: u64 = 1 << 63;

/// Stack ID of a sample that has no such stack.
pub const NO_STACK: u64 = 0;

/// One sample: small, fixed, written into the ring in place.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// [`KIND_SAMPLE`].
    pub kind: u32,
    /// CPU it was taken on.
    pub cpu: u16,
    /// What it is a sample of.
    pub event: Event,
    /// When (CLOCK_MONOTONIC).
    pub time_ns: u64,
    /// Process ID, in the initial PID namespace.
    pub tgid: u32,
    /// Thread ID, in the initial PID namespace.
    pub tid: u32,
    /// ID of the user stack, or [`NO_STACK`].
    pub user_stack: u64,
    /// ID of the kernel stack, or [`NO_STACK`].
    pub kernel_stack: u64,
    /// In the unit of its event: 1 for a CPU sample.
    pub weight: u64,
    /// What its event says it is, or 0; of CPU time where event loops are looked at, when the iteration began.
    pub context: u64,
}

/// Which connection the thread of a sample serves. A record of its own: a sample has no room for it, and most recordings do
/// not ask.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// [`KIND_SERVED`].
    pub kind: u32,
    /// As in the sample.
    pub tid: u32,
    /// As in the sample.
    pub time_ns: u64,
    /// [`crate::request::Connection::id`].
    pub connection: u64,
}

/// Precedes the frames of a stack, which crosses once: before the first sample that refers to it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackHeader {
    /// [`KIND_USER_STACK`] or [`KIND_KERNEL_STACK`].
    pub kind: u32,
    /// Words that follow.
    pub n_frames: u32,
    /// What samples call it. Never reused in one run, never [`NO_STACK`].
    pub id: u64,
    /// Why it ends where it ends.
    pub fault: u32,
    /// `STACK_*` bits.
    pub flags: u32,
}

/// Precedes the words of a stack that was not walked.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CaptureHeader {
    /// [`KIND_CAPTURE`].
    pub kind: u32,
    /// Words that follow, from the stack pointer upwards.
    pub n_words: u32,
    /// As in [`StackHeader`]; only one sample refers to it.
    pub id: u64,
    /// Instruction pointer.
    pub ip: u64,
    /// General registers, by their DWARF number.
    pub registers: [u64; 16],
}

/// A stack that was not walked, as the kernel side builds it.
#[repr(C)]
pub struct Capture {
    /// See [`CaptureHeader`].
    pub header: CaptureHeader,
    /// From the stack pointer upwards.
    pub words: [u64; CAPTURE_BYTES / 8],
}

/// A user stack as the kernel side builds it: header and frames in one piece.
#[repr(C)]
pub struct UserStack {
    /// See [`StackHeader`].
    pub header: StackHeader,
    /// Leaf first.
    pub frames: [PackedFrame; MAX_USER_FRAMES],
}

/// A kernel stack as the kernel side builds it.
#[repr(C)]
pub struct KernelStack {
    /// See [`StackHeader`].
    pub header: StackHeader,
    /// Leaf first.
    pub frames: [u64; MAX_KERNEL_FRAMES],
}

const _: () = assert!(size_of::<Sample>() == 56);
const _: () = assert!(size_of::<Served>() == 24);
const _: () = assert!(size_of::<StackHeader>() == 24);
const _: () = assert!(size_of::<CaptureHeader>() == 152);
const _: () = assert!(size_of::<Capture>() == 152 + CAPTURE_BYTES);
const _: () = assert!(size_of::<UserStack>() == 24 + 8 * MAX_USER_FRAMES);
const _: () = assert!(size_of::<KernelStack>() == 24 + 8 * MAX_KERNEL_FRAMES);

/// Splits the next word off `bytes`. The ring is aligned to 8, but nothing here depends on it.
fn word<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn u16_of(bytes: &mut &[u8]) -> Option<u16> {
    word(bytes).map(u16::from_ne_bytes)
}

fn u32_of(bytes: &mut &[u8]) -> Option<u32> {
    word(bytes).map(u32::from_ne_bytes)
}

fn u64_of(bytes: &mut &[u8]) -> Option<u64> {
    word(bytes).map(u64::from_ne_bytes)
}

impl Sample {
    /// Reads a record; `None` if it is shorter than a sample.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let b = &mut bytes;
        Some(Self {
            kind: u32_of(b)?,
            cpu: u16_of(b)?,
            event: Event(u16_of(b)?),
            time_ns: u64_of(b)?,
            tgid: u32_of(b)?,
            tid: u32_of(b)?,
            user_stack: u64_of(b)?,
            kernel_stack: u64_of(b)?,
            weight: u64_of(b)?,
            context: u64_of(b)?,
        })
    }
}

impl Served {
    /// Reads a record; `None` if it is shorter than that.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Self> {
        let b = &mut bytes;
        Some(Self { kind: u32_of(b)?, tid: u32_of(b)?, time_ns: u64_of(b)?, connection: u64_of(b)? })
    }
}

impl CaptureHeader {
    /// Reads a header and gives what follows it; `None` if the record is shorter than a header.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<(Self, &[u8])> {
        let b = &mut bytes;
        let mut header = Self {
            kind: u32_of(b)?,
            n_words: u32_of(b)?,
            id: u64_of(b)?,
            ip: u64_of(b)?,
            registers: [0; 16],
        };
        for register in &mut header.registers {
            *register = u64_of(b)?;
        }
        Some((header, bytes))
    }
}

impl StackHeader {
    /// Reads a header and gives what follows it; `None` if the record is shorter than a header.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<(Self, &[u8])> {
        let b = &mut bytes;
        let header = Self {
            kind: u32_of(b)?,
            n_frames: u32_of(b)?,
            id: u64_of(b)?,
            fault: u32_of(b)?,
            flags: u32_of(b)?,
        };
        Some((header, bytes))
    }

    /// Why the stack ends where it ends.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault(self.fault)
    }
}
