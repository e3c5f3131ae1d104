//! The GNU build ID: the name of a build, whatever the file is called and wherever it lies.

use std::fmt;

use ::object::elf;

use super::elf::Elf;
use super::read::{read_bytes, u32_at};

/// Longest build ID taken, in bytes: SHA-1 has 20, the longest hash that a linker offers 32.
pub const MAX_BUILD_ID_BYTES: usize = 64;
/// Largest note segment or section searched, in bytes.
const MAX_NOTES_BYTES: u64 = 1024 * 1024;

/// A build ID. Shown in hexadecimal.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId(Vec<u8>);

impl BuildId {
    /// A build ID of these bytes; none when there are none or too many.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=MAX_BUILD_ID_BYTES).contains(&bytes.len()).then(|| Self(bytes.to_vec()))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Finds the build ID of a file: in its note segments, which stripping leaves alone, else in the section
    /// that linkers name after it.
    pub fn of(elf: &Elf<'_>) -> Option<Self> {
        let segments = elf.program_headers.iter().filter(|header| header.kind == elf::PT_NOTE.0);
        let section = elf.section(".note.gnu.build-id");
        let places = segments
            .map(|header| (header.file_offset, header.file_bytes))
            .chain(section.map(|section| (section.file_offset, section.size_bytes)));
        // A file with many overlapping segments must not cost more than one with few.
        places.take(16).find_map(|(offset, length)| {
            let notes = read_bytes(elf.file(), offset, length, MAX_NOTES_BYTES).ok()?;
            find_in_notes(&notes)
        })
    }
}

impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

/// Walks notes: length of name, length of description, type, name and description, each padded to 4 bytes.
fn find_in_notes(notes: &[u8]) -> Option<BuildId> {
    let mut rest = notes;
    loop {
        let name_bytes = usize::try_from(u32_at(rest, 0)?).ok()?;
        let description_bytes = usize::try_from(u32_at(rest, 4)?).ok()?;
        let kind = u32_at(rest, 8)?;
        let after_header = rest.get(12..)?;
        let name = after_header.get(..name_bytes)?;
        let after_name = after_header.get(name_bytes.checked_next_multiple_of(4)?..)?;
        let description = after_name.get(..description_bytes)?;
        if kind == elf::NT_GNU_BUILD_ID.0 && name == b"GNU\0" {
            return BuildId::new(description);
        }
        rest = after_name.get(description_bytes.checked_next_multiple_of(4)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    fn note(name: &[u8], kind: u32, description: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(u32::try_from(name.len()).expect("short").to_le_bytes());
        bytes.extend(u32::try_from(description.len()).expect("short").to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        for part in [name, description] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let mut notes = note(b"stapsdt\0", 3, b"probe");
        notes.extend(note(b"GNU\0", 1, &[0; 16]));
        notes.extend(note(b"GNU\0", elf::NT_GNU_BUILD_ID.0, &[0xab, 0xcd, 0x01]));
        let seen = find_in_notes(&notes).map(|id| id.to_string());
        assert_eq!(seen.as_deref(), Some("abcd01"));
    }

    #[test]
    fn empty_overlong_and_cut_build_ids_are_none() {
        for description in [[].as_slice(), &[7; 65]] {
            let seen = find_in_notes(&note(b"GNU\0", elf::NT_GNU_BUILD_ID.0, description));
            assert_eq!(seen, None, "{description:?}");
        }
        let mut cut = note(b"GNU\0", elf::NT_GNU_BUILD_ID.0, &[7; 20]);
        cut.truncate(30);
        assert_eq!(find_in_notes(&cut), None);
        assert_eq!(find_in_notes(&[0xff; 40]), None);
    }

    #[test]
    fn readelf_agrees_about_this_executable() {
        let path = std::env::current_exe().expect("own path");
        let Ok(output) = std::process::Command::new("readelf").arg("-n").arg(&path).output() else {
            println!("no readelf here: nothing to compare with");
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let expected = text.lines().find_map(|line| line.trim().strip_prefix("Build ID: "));
        let file = std::fs::File::open(&path).expect("own executable");
        let seen = BuildId::of(&Elf::parse(&file).expect("parses")).map(|id| id.to_string());
        assert_eq!(seen.as_deref(), expected, "{text}");
    }

    proptest! {
        #[test]
        fn no_notes_make_the_search_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let seen = find_in_notes(&bytes);
            prop_assert!(seen.is_none_or(|id| id.as_bytes().len() <= MAX_BUILD_ID_BYTES));
        }
    }
}
