//! What a table is made from, as a name: equal names, equal tables.
//!
//! A build ID does not do for that, as whoever makes a file may write any into it. So the name is a cryptographic
//! hash of everything that [`super::build`] reads, and of the code that makes a table of it.

use std::fmt;

use super::rows::{CodeSegment, FrameSection, SectionKind};

/// The code that makes tables and their stored form (see build.rs).
const SOURCES: &str = env!("BRAZIER_UNWIND_SOURCES");

/// The name of what a table is made from. Shown in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableKey(pub [u8; 32]);

impl TableKey {
    /// The name of a section, of the code that it speaks of, and of where that begins to run.
    #[must_use]
    pub fn of(section: &FrameSection<'_>, code: &[CodeSegment], entry: Option<u32>) -> Self {
        let FrameSection { kind, bytes, svma, text_svma, got_svma } = *section;
        let mut hasher = blake3::Hasher::new();
        let mut add = |bytes: &[u8]| {
            // Length first, so that no two different lists of inputs give the same bytes.
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        add(SOURCES.as_bytes());
        add(&[match kind {
            SectionKind::EhFrame => 0,
            SectionKind::DebugFrame => 1,
        }]);
        for base in [Some(svma), text_svma, got_svma, entry.map(u64::from)] {
            add(base.map(u64::to_le_bytes).as_ref().map_or(&[], |bytes| bytes));
        }
        for CodeSegment { file_offset, svma, size_bytes } in code {
            for number in [file_offset, svma, size_bytes] {
                add(&number.to_le_bytes());
            }
        }
        add(bytes);
        Self(hasher.finalize().into())
    }
}

impl fmt::Display for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::TableKey;
    use crate::unwind::{CodeSegment, FrameSection, SectionKind};

    #[test]
    fn everything_that_a_table_is_made_from_makes_a_name_of_its_own() {
        let section = FrameSection {
            kind: SectionKind::EhFrame,
            bytes: b"0123456789",
            svma: 1,
            text_svma: None,
            got_svma: Some(3),
        };
        let code = [CodeSegment { file_offset: 1, svma: 2, size_bytes: 3 }];
        let others = [
            (FrameSection { kind: SectionKind::DebugFrame, ..section }, code),
            (FrameSection { bytes: b"0123456780", ..section }, code),
            (FrameSection { svma: 2, ..section }, code),
            (FrameSection { text_svma: Some(3), got_svma: None, ..section }, code),
            (section, [CodeSegment { size_bytes: 4, ..code[0] }]),
        ];
        let mut keys: Vec<TableKey> =
            others.iter().map(|(section, code)| TableKey::of(section, code, None)).collect();
        keys.push(TableKey::of(&section, &code, None));
        keys.push(TableKey::of(&section, &[], None));
        keys.push(TableKey::of(&section, &code, Some(9)));
        for (i, key) in keys.iter().enumerate() {
            assert!(!keys[..i].contains(key), "{i} of {keys:?}");
        }
        assert_eq!(TableKey::of(&section, &code, None), keys[others.len()]);
    }
}
