//! Bounded reading at an offset, and little-endian numbers out of what was read.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Memory is taken in steps of this size, in bytes: a header that promises more than the file holds costs no more.
const STEP_BYTES: u64 = 4 * 1024 * 1024;

/// Why a piece of a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The piece is larger than the reader's limit.
    #[error("{length_bytes} bytes at offset {offset} are more than the limit of {limit_bytes}")]
    TooLarge {
        /// Where it starts.
        offset: u64,
        /// How long it is said to be.
        length_bytes: u64,
        /// What is allowed.
        limit_bytes: u64,
    },
    /// The file ends before the piece does.
    #[error("the file ends inside {length_bytes} bytes at offset {offset}")]
    PastEnd {
        /// Where it starts.
        offset: u64,
        /// How long it is said to be.
        length_bytes: u64,
    },
    /// The read failed.
    #[error("cannot read {length_bytes} bytes at offset {offset}")]
    Read {
        /// Where it starts.
        offset: u64,
        /// How long it is said to be.
        length_bytes: u64,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

/// Reads exactly `length_bytes` at `offset`, if that is within `limit_bytes`.
pub fn read_bytes(
    file: &File,
    offset: u64,
    length_bytes: u64,
    limit_bytes: u64,
) -> Result<Vec<u8>, ReadError> {
    if length_bytes > limit_bytes {
        return Err(ReadError::TooLarge { offset, length_bytes, limit_bytes });
    }
    let past_end = || ReadError::PastEnd { offset, length_bytes };
    offset.checked_add(length_bytes).ok_or_else(past_end)?;
    let mut bytes = Vec::new();
    let mut done: u64 = 0;
    while done < length_bytes {
        let step = (length_bytes - done).min(STEP_BYTES);
        let filled = bytes.len();
        bytes.resize(filled.saturating_add(usize::try_from(step).map_err(|_| past_end())?), 0);
        let Some(piece) = bytes.get_mut(filled..) else { return Err(past_end()) };
        file.read_exact_at(piece, offset.saturating_add(done)).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => past_end(),
            _ => ReadError::Read { offset, length_bytes, source },
        })?;
        done = done.saturating_add(step);
    }
    Ok(bytes)
}

/// Reads up to `limit_bytes` at `offset`, less where the file ends.
pub(crate) fn read_some(file: &File, offset: u64, limit_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; limit_bytes];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(u64::try_from(filled).unwrap_or(u64::MAX));
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// The little-endian number of two bytes at `at`.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

/// The little-endian number of four bytes at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

/// The little-endian number of eight bytes at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_promise_larger_than_the_file_is_refused_and_a_true_one_is_kept() {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(b"0123456789").expect("writes");
        assert_eq!(read_bytes(&file, 3, 4, 4).expect("within"), b"3456");
        assert_eq!(read_bytes(&file, 10, 0, 4).expect("nothing"), b"");
        let cases =
            [(3, 5, 4, "limit"), (8, 4, 9, "ends"), (u64::MAX, 2, 9, "ends"), (0, 1 << 62, u64::MAX, "ends")];
        for (offset, length, limit, expected) in cases {
            let seen = read_bytes(&file, offset, length, limit).map_err(|error| error.to_string());
            assert!(seen.as_ref().is_err_and(|e| e.contains(expected)), "{offset}+{length}: {seen:?}");
        }
        assert_eq!(read_some(&file, 8, 100).expect("reads"), b"89");
    }
}
