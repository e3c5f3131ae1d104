//! One user frame in one word: `(file, offset)` where the kernel side knew the mapping, an absolute address
//! where it did not. Every frame but the leaf holds its return address minus one: the call, not what follows it.

/// Highest file ID that a frame can carry.
pub const MAX_FILE_ID: u32 = (1 << 23) - 1;
/// Bits of the file offset: files up to 1 TiB.
pub const OFFSET_BITS: u32 = 40;

const ABSOLUTE: u64 = 1 << 63;
const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;

/// A user frame as it stands in a stack record.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PackedFrame(pub u64);

/// A user frame, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Frame {
    /// An instruction of a file.
    File {
        /// The agent's ID of the file.
        file_id: u32,
        /// Byte offset in the file (not a virtual address).
        offset: u64,
    },
    /// An address of the process, in anonymous memory or in a mapping not known yet.
    Absolute(u64),
}

impl PackedFrame {
    /// Packs a place in a file. An offset past the limit cannot be told from another: pack it as absolute.
    #[inline(always)]
    #[must_use]
    pub const fn file(file_id: u32, offset: u64) -> Self {
        Self(((file_id & MAX_FILE_ID) as u64) << OFFSET_BITS | offset & OFFSET_MASK)
    }

    /// Packs an address of the process.
    #[inline(always)]
    #[must_use]
    pub const fn absolute(address: u64) -> Self {
        Self(address | ABSOLUTE)
    }

    /// Unpacks. Total: every word is a frame.
    #[must_use]
    pub const fn unpack(self) -> Frame {
        if self.0 & ABSOLUTE != 0 {
            Frame::Absolute(self.0 & !ABSOLUTE)
        } else {
            Frame::File { file_id: (self.0 >> OFFSET_BITS) as u32, offset: self.0 & OFFSET_MASK }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, MAX_FILE_ID, PackedFrame};

    #[test]
    fn a_frame_survives_packing() {
        for (file_id, offset) in [(1, 0), (1, 0x4a210), (MAX_FILE_ID, (1 << 40) - 1)] {
            assert_eq!(PackedFrame::file(file_id, offset).unpack(), Frame::File { file_id, offset });
        }
        for address in [0, 0x7fff_ffff_f000, 0xff_ffff_ffff_ffff] {
            assert_eq!(PackedFrame::absolute(address).unpack(), Frame::Absolute(address));
        }
    }
}
