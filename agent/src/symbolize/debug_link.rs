//! `.gnu_debuglink`: the name of the file with the rest of the symbols, and the checksum of that file.

use std::fs::File;

use flate2::Crc;

use crate::object::{Elf, read_bytes};

/// Longest link, in bytes: a file name, padding and a checksum.
const MAX_LINK_BYTES: u64 = 512;
/// Largest file whose checksum is computed, in bytes: about a second of work.
const MAX_CHECKED_BYTES: u64 = 1024 * 1024 * 1024;
/// Bytes of all files whose checksums one run computes. What links name is up to the targets, and each may name six
/// files.
const MAX_CHECKED_BYTES_OF_RUN: u64 = 2 * MAX_CHECKED_BYTES;
const STEP_BYTES: u64 = 1024 * 1024;

/// What is left for checksums in one run.
#[derive(Debug)]
pub struct CheckBudget {
    left_bytes: u64,
    /// Files that were not checked for want of it, or for their size.
    pub(super) n_unchecked: u64,
}

impl Default for CheckBudget {
    fn default() -> Self {
        Self { left_bytes: MAX_CHECKED_BYTES_OF_RUN, n_unchecked: 0 }
    }
}

impl CheckBudget {
    fn take(&mut self, n_bytes: u64) -> bool {
        match self.left_bytes.checked_sub(n_bytes).filter(|_| n_bytes <= MAX_CHECKED_BYTES) {
            Some(left_bytes) => {
                self.left_bytes = left_bytes;
                true
            }
            None => {
                self.n_unchecked = self.n_unchecked.saturating_add(1);
                false
            }
        }
    }
}

/// What a file says of its debug file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DebugLink {
    /// A file name without a directory.
    pub(super) name: String,
    pub(super) crc: u32,
}

impl DebugLink {
    /// The link of a file, if it has one that is a plain file name, such as distributions write: with a slash it
    /// could lead anywhere.
    pub(super) fn of(elf: &Elf<'_>) -> Option<Self> {
        parse(&elf.section_bytes(elf.section(".gnu_debuglink")?, MAX_LINK_BYTES).ok()?)
    }

    /// Whether a file has the checksum that the link promises; not if that would cost too much to say.
    pub(super) fn fits(&self, file: &File, size_bytes: u64, budget: &mut CheckBudget) -> bool {
        budget.take(size_bytes) && checksum(file, size_bytes) == Some(self.crc)
    }
}

/// A name, a zero, padding to four bytes, and the checksum.
fn parse(section: &[u8]) -> Option<DebugLink> {
    let length = section.iter().position(|&byte| byte == 0)?;
    let name = str::from_utf8(section.get(..length)?).ok()?;
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        return None;
    }
    let crc = section.get(length.checked_add(1)?.checked_next_multiple_of(4)?..)?.first_chunk()?;
    Some(DebugLink { name: name.to_owned(), crc: u32::from_le_bytes(*crc) })
}

fn checksum(file: &File, size_bytes: u64) -> Option<u32> {
    let mut crc = Crc::new();
    let mut done = 0_u64;
    while done < size_bytes {
        let step = STEP_BYTES.min(size_bytes - done);
        crc.update(&read_bytes(file, done, step, STEP_BYTES).ok()?);
        done = done.saturating_add(step);
    }
    Some(crc.sum())
}

#[cfg(test)]
mod tests {
    use super::{CheckBudget, DebugLink, parse};
    use std::io::Write as _;

    #[test]
    fn a_link_is_a_file_name_and_a_checksum() {
        let expected = DebugLink { name: "nginx.debug".into(), crc: 0x0403_0201 };
        assert_eq!(parse(b"nginx.debug\0\x01\x02\x03\x04"), Some(expected));
        for section in [
            b"".as_slice(),
            b"\0\0\0\0\x01\x02\x03\x04",
            b"../x.debug\0\0\x01\x02\x03\x04",
            b"/etc/passwd\0\x01\x02\x03\x04",
            b"..\0\0\x01\x02\x03\x04",
            b"x.debug\0\x01\x02\x03",
            b"unended",
            b"\xff\xfe\xfd\0\x01\x02\x03\x04",
        ] {
            assert_eq!(parse(section), None, "{section:?}");
        }
    }

    #[test]
    fn past_the_budget_of_a_run_nothing_is_checked_and_that_is_counted() {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(b"123456789").expect("writes");
        let link = DebugLink { name: "x".into(), crc: 0xcbf4_3926 };
        let mut budget = CheckBudget { left_bytes: 20, n_unchecked: 0 };
        let fitting = [(); 4].map(|()| link.fits(&file, 9, &mut budget));
        assert_eq!((fitting, budget.n_unchecked), ([true, true, false, false], 2));
    }

    #[test]
    fn the_checksum_is_of_the_whole_file() {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(b"123456789").expect("writes");
        // The check value of CRC-32 (ISO-HDLC) for these nine bytes.
        let link = DebugLink { name: "x".into(), crc: 0xcbf4_3926 };
        let mut budget = CheckBudget::default();
        let mut fits = |size_bytes| link.fits(&file, size_bytes, &mut budget);
        assert!(fits(9));
        assert!(!fits(8) && !fits(10) && !fits(u64::MAX));
        assert_eq!(budget.n_unchecked, 1);
    }
}
