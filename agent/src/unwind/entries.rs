//! The entries of a frame section, one after the other.
//!
//! Lengths alone lead from entry to entry, so that one which cannot be understood costs only itself.

use super::rows::SectionKind;

/// Follows in place of a 32-bit length that is no length: 64 bits of it follow.
const LONG_LENGTH: u32 = 0xffff_ffff;

/// A frame description entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it starts in the section.
    pub(super) offset: usize,
    /// How long it is, its length field included.
    pub(super) size_bytes: usize,
}

/// Goes through the frame description entries of a section. What is shared between them
/// (common information entries) is passed over.
#[derive(Clone, Debug)]
pub(super) struct Entries<'section> {
    bytes: &'section [u8],
    kind: SectionKind,
    offset: usize,
}

impl<'section> Entries<'section> {
    pub(super) fn new(bytes: &'section [u8], kind: SectionKind) -> Self {
        Self { bytes, kind, offset: 0 }
    }

    /// Whether the section ends inside an entry.
    pub(super) fn is_truncated(&self) -> bool {
        self.offset < self.bytes.len()
    }

    fn number<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }

    /// The entry at the present place, and whether it describes a function; none if the section ends in it.
    fn entry(&self) -> Option<(Entry, bool)> {
        let offset = self.offset;
        let short = u32::from_le_bytes(self.number(offset)?);
        if short == 0 {
            // The end mark, or padding that a linker left between two inputs: whatever follows is looked at.
            return Some((Entry { offset, size_bytes: 4 }, false));
        }
        let (length, id_at, is_long) = if short == LONG_LENGTH {
            let length = u64::from_le_bytes(self.number(offset.checked_add(4)?)?);
            (usize::try_from(length).ok()?, offset.checked_add(12)?, true)
        } else {
            (usize::try_from(short).ok()?, offset.checked_add(4)?, false)
        };
        let end = id_at.checked_add(length).filter(|&end| end <= self.bytes.len())?;
        let size_bytes = end.checked_sub(offset)?;
        let is_function = match self.kind {
            SectionKind::EhFrame => self.number(id_at).map(u32::from_le_bytes).is_some_and(|id| id != 0),
            SectionKind::DebugFrame if is_long => {
                self.number(id_at).map(u64::from_le_bytes).is_some_and(|id| id != u64::MAX)
            }
            SectionKind::DebugFrame => {
                self.number(id_at).map(u32::from_le_bytes).is_some_and(|id| id != u32::MAX)
            }
        };
        Some((Entry { offset, size_bytes }, is_function))
    }
}

/// Bytes of the entry at `offset`, its length field included; none if the section ends in it.
pub(super) fn size_at(bytes: &[u8], offset: usize) -> Option<usize> {
    // Which entries are functions differs between sections, their lengths do not.
    let entries = Entries { bytes, kind: SectionKind::EhFrame, offset };
    entries.entry().map(|(entry, _)| entry.size_bytes)
}

impl Iterator for Entries<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let (entry, is_function) = self.entry()?;
            // At least four bytes further each time.
            self.offset = self.offset.saturating_add(entry.size_bytes);
            if is_function {
                return Some(entry);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entries, Entry};
    use crate::unwind::SectionKind::{DebugFrame, EhFrame};

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn entries_follow_their_lengths_over_shared_ones_and_end_marks() {
        let bytes = words(&[8, 0, 7, 4, 16, 0, 4, 99, 0xffff_ffff, 8, 0, 5, 6, 0]);
        let mut entries = Entries::new(&bytes, EhFrame);
        let seen: Vec<Entry> = entries.by_ref().collect();
        let expected = [(12, 8), (24, 8), (32, 20)];
        assert_eq!(seen, expected.map(|(offset, size_bytes)| Entry { offset, size_bytes }));
        assert!(!entries.is_truncated(), "{entries:?}");
    }

    #[test]
    fn what_is_shared_has_another_mark_in_each_section() {
        let bytes = words(&[4, 0xffff_ffff, 4, 0]);
        let offsets = |kind| Entries::new(&bytes, kind).map(|entry| entry.offset).collect::<Vec<_>>();
        assert_eq!(offsets(EhFrame), [0]);
        assert_eq!(offsets(DebugFrame), [8]);
    }

    #[test]
    fn a_section_that_ends_inside_an_entry_is_truncated() {
        for bytes in [words(&[4, 1, 8, 1]), words(&[4, 1, 0xffff_ffff, u32::MAX, u32::MAX, 1]), vec![1, 0, 0]]
        {
            let mut entries = Entries::new(&bytes, EhFrame);
            let n = entries.by_ref().count();
            assert!(entries.is_truncated() && n <= 1, "{n} entries, then {entries:?}");
        }
    }
}
