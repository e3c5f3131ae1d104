//! The headers of a 64-bit little-endian ELF file: what is where.

use std::fs::File;

use ::object::elf;

use super::read::{ReadError, read_bytes, u16_at, u32_at, u64_at};

const FILE_HEADER_BYTES: u64 = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const SECTION_HEADER_BYTES: usize = 64;
/// Section names are cut here, in bytes; the ones looked for are shorter.
const MAX_SECTION_NAME_BYTES: usize = 64;
/// Largest section name table read, in bytes.
const MAX_NAME_TABLE_BYTES: u64 = 8 * 1024 * 1024;

/// One entry of the program header table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramHeader {
    /// `PT_LOAD`, `PT_NOTE`...
    pub kind: u32,
    /// `PF_X`...
    pub flags: u32,
    /// Where its bytes are in the file.
    pub file_offset: u64,
    /// Its virtual address as the file states it.
    pub svma: u64,
    /// How many bytes the file holds of it.
    pub file_bytes: u64,
    /// How many bytes it takes in memory.
    pub memory_bytes: u64,
}

/// One entry of the section header table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, cut at 64 bytes, bytes that are not UTF-8 replaced.
    pub name: String,
    /// `SHT_PROGBITS`...
    pub kind: u32,
    /// `SHF_COMPRESSED`...
    pub flags: u64,
    /// Its virtual address as the file states it, 0 when it is not loaded.
    pub svma: u64,
    /// Where its bytes are in the file.
    pub file_offset: u64,
    /// How many bytes it has.
    pub size_bytes: u64,
}

/// The headers of an ELF file, read once, and the file they speak of.
#[derive(Debug)]
pub struct Elf<'file> {
    file: &'file File,
    /// `ET_EXEC`, `ET_DYN`...
    pub kind: u16,
    /// `EM_X86_64`...
    pub machine: u16,
    /// Address of the first instruction of a program; 0 in most libraries.
    pub entry_svma: u64,
    /// The program header table.
    pub program_headers: Vec<ProgramHeader>,
    /// The section header table; empty where the file has none.
    pub sections: Vec<Section>,
}

/// Why a file is not readable as ELF.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// It starts with something else.
    #[error("not an ELF file")]
    NotElf,
    /// 32 bits or big-endian.
    #[error("not a 64-bit little-endian ELF file")]
    Unsupported,
    /// A header field contradicts the format or the file.
    #[error("ELF {part} is malformed")]
    Malformed {
        /// Which part.
        part: &'static str,
    },
    /// A part could not be read.
    #[error("cannot read ELF {part}")]
    Read {
        /// Which part.
        part: &'static str,
        /// What went wrong.
        #[source]
        source: ReadError,
    },
}

impl<'file> Elf<'file> {
    /// Reads the headers. At most 65,535 of each kind: the escape for more is for relocatable objects.
    pub fn parse(file: &'file File) -> Result<Self, ElfError> {
        let header = read_part(file, 0, FILE_HEADER_BYTES, "file header").map_err(|error| match error {
            ElfError::Read { source: ReadError::PastEnd { .. }, .. } => ElfError::NotElf,
            other => other,
        })?;
        if !header.starts_with(&elf::ELFMAG) {
            return Err(ElfError::NotElf);
        }
        // Class 2 is 64 bits, data encoding 1 is little-endian.
        if header.get(4..6) != Some(&[2, 1]) {
            return Err(ElfError::Unsupported);
        }
        let short = |at| u16_at(&header, at).ok_or(ElfError::Malformed { part: "file header" });
        let long = |at| u64_at(&header, at).ok_or(ElfError::Malformed { part: "file header" });

        let program_headers = read_table(
            file,
            Table {
                offset: long(32)?,
                count: short(56)?,
                entry_bytes: short(54)?,
                least: PROGRAM_HEADER_BYTES,
            },
            "program headers",
        )?
        .iter()
        .filter_map(|entry| parse_program_header(entry))
        .collect();

        let raw_sections = read_table(
            file,
            Table {
                offset: long(40)?,
                count: short(60)?,
                entry_bytes: short(58)?,
                least: SECTION_HEADER_BYTES,
            },
            "section headers",
        )?;
        let sections = parse_sections(file, &raw_sections, usize::from(short(62)?))?;
        let (kind, machine, entry_svma) = (short(16)?, short(18)?, long(24)?);
        Ok(Self { file, kind, machine, entry_svma, program_headers, sections })
    }

    /// The first section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The bytes of a section as they stand in the file, none for one that takes no place there.
    pub fn section_bytes(&self, section: &Section, limit_bytes: u64) -> Result<Vec<u8>, ReadError> {
        if section.kind == elf::SHT_NOBITS.0 {
            return Ok(Vec::new());
        }
        read_bytes(self.file, section.file_offset, section.size_bytes, limit_bytes)
    }

    /// The file the headers were read from.
    pub fn file(&self) -> &'file File {
        self.file
    }
}

#[derive(Clone, Copy)]
struct Table {
    offset: u64,
    count: u16,
    entry_bytes: u16,
    least: usize,
}

fn read_table(file: &File, table: Table, part: &'static str) -> Result<Vec<Vec<u8>>, ElfError> {
    if table.count == 0 || table.offset == 0 {
        return Ok(Vec::new());
    }
    let entry_bytes = usize::from(table.entry_bytes);
    if entry_bytes < table.least || entry_bytes > 4 * table.least {
        return Err(ElfError::Malformed { part });
    }
    let length = u64::from(table.count).saturating_mul(u64::from(table.entry_bytes));
    let bytes = read_part(file, table.offset, length, part)?;
    Ok(bytes.chunks_exact(entry_bytes).map(<[u8]>::to_vec).collect())
}

fn read_part(file: &File, offset: u64, length: u64, part: &'static str) -> Result<Vec<u8>, ElfError> {
    read_bytes(file, offset, length, length).map_err(|source| ElfError::Read { part, source })
}

fn parse_program_header(entry: &[u8]) -> Option<ProgramHeader> {
    Some(ProgramHeader {
        kind: u32_at(entry, 0)?,
        flags: u32_at(entry, 4)?,
        file_offset: u64_at(entry, 8)?,
        svma: u64_at(entry, 16)?,
        file_bytes: u64_at(entry, 32)?,
        memory_bytes: u64_at(entry, 40)?,
    })
}

fn parse_sections(file: &File, raw: &[Vec<u8>], names_index: usize) -> Result<Vec<Section>, ElfError> {
    let names = match raw.get(names_index) {
        Some(entry) => {
            let place = (u64_at(entry, 24), u64_at(entry, 32));
            let (Some(offset), Some(size)) = place else {
                return Err(ElfError::Malformed { part: "section names" });
            };
            read_bytes(file, offset, size, MAX_NAME_TABLE_BYTES)
                .map_err(|source| ElfError::Read { part: "section names", source })?
        }
        None => Vec::new(),
    };
    Ok(raw.iter().filter_map(|entry| parse_section(entry, &names)).collect())
}

fn parse_section(entry: &[u8], names: &[u8]) -> Option<Section> {
    let name_at = usize::try_from(u32_at(entry, 0)?).ok()?;
    let name = names.get(name_at..).unwrap_or_default();
    // Cut before its end is looked for: 65,535 names without an end must not cost their table each.
    let name = name.get(..MAX_SECTION_NAME_BYTES).unwrap_or(name);
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    Some(Section {
        name: String::from_utf8_lossy(name).into_owned(),
        kind: u32_at(entry, 4)?,
        flags: u64_at(entry, 8)?,
        svma: u64_at(entry, 16)?,
        file_offset: u64_at(entry, 24)?,
        size_bytes: u64_at(entry, 32)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
    use std::io::Write;

    fn file_of(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(bytes).expect("writes");
        file
    }

    fn own_bytes() -> Vec<u8> {
        std::fs::read("/proc/self/exe").expect("own executable")
    }

    #[test]
    fn this_executable_has_text_and_loads() {
        let file = File::open("/proc/self/exe").expect("own executable");
        let elf = Elf::parse(&file).expect("parses");
        let text = elf.section(".text").expect("text section");
        assert!(text.size_bytes > 1000 && text.svma > 0, "{text:?}");
        let loads = elf.program_headers.iter().filter(|header| header.kind == elf::PT_LOAD.0).count();
        assert!(loads >= 2, "{:?}", elf.program_headers);
    }

    #[test]
    fn what_is_not_elf_is_told_apart_from_what_is_not_supported() {
        let mut big_endian = own_bytes().get(..4096).expect("long enough").to_vec();
        *big_endian.get_mut(5).expect("long enough") = 2;
        let seen: Vec<String> = [b"".as_slice(), b"#!/bin/sh", &[0; 200], &big_endian]
            .into_iter()
            .map(|bytes| Elf::parse(&file_of(bytes)).expect_err("refused").to_string())
            .collect();
        let not_elf = "not an ELF file";
        assert_eq!(seen, [not_elf, not_elf, not_elf, "not a 64-bit little-endian ELF file"]);
    }

    #[test]
    fn section_names_without_an_end_are_cut_and_cost_no_more_than_that() {
        // The most sections there can be, all called by the same megabyte. Searched for its end by each of them,
        // it would take a minute.
        let (names_at, names_bytes, n_sections) = (64_u64, 1_u64 << 20, u16::MAX);
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        let mut set = |at: usize, value: &[u8]| {
            bytes.get_mut(at..at + value.len()).expect("header").copy_from_slice(value);
        };
        set(40, &(names_at + names_bytes).to_le_bytes());
        set(58, &64_u16.to_le_bytes());
        set(60, &n_sections.to_le_bytes());
        bytes.resize(64 + (1 << 20), b'n');
        let mut section = [0; 64];
        section[24..32].copy_from_slice(&names_at.to_le_bytes());
        section[32..40].copy_from_slice(&names_bytes.to_le_bytes());
        (0..n_sections).for_each(|_| bytes.extend(section));
        let file = file_of(&bytes);
        let elf = Elf::parse(&file).expect("parses");
        let name = elf.sections.last().map(|section| section.name.clone());
        assert_eq!((elf.sections.len(), name), (65_535, Some("n".repeat(MAX_SECTION_NAME_BYTES))));
    }

    #[test]
    fn a_file_cut_before_its_section_headers_is_an_error() {
        let bytes = own_bytes();
        let half = bytes.get(..bytes.len() / 2).expect("half");
        let file = file_of(half);
        let seen = Elf::parse(&file);
        assert!(matches!(seen, Err(ElfError::Read { part: "section headers", .. })), "{seen:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn no_header_makes_the_parser_panic(patches in proptest::collection::vec((4_usize..1500, any::<u8>()), 0..40)) {
            let own = File::open("/proc/self/exe").expect("own executable");
            let mut bytes = read_bytes(&own, 0, 2048, 2048).expect("long enough");
            // Section headers within the part kept, so that they are read.
            if let Some(offset) = bytes.get_mut(40..48) { offset.copy_from_slice(&512_u64.to_le_bytes()); }
            if let Some(count) = bytes.get_mut(60..62) { count.copy_from_slice(&8_u16.to_le_bytes()); }
            for (at, value) in patches {
                if let Some(byte) = bytes.get_mut(at) { *byte = value; }
            }
            let file = file_of(&bytes);
            if let Ok(elf) = Elf::parse(&file) {
                for section in &elf.sections {
                    let read = elf.section_bytes(section, 4096);
                    prop_assert!(read.map_or(0, |bytes| bytes.len()) <= 4096);
                }
            }
        }
    }
}
