//! A private, bounded, unchangeable copy of the parts of an ELF file that name its functions.
//!
//! blazesym maps the files it reads. A target that shrinks its own executable at that moment would end the
//! agent with SIGBUS, and one that edits it would change it under the parser's hands. So the parser never sees
//! the target's file: symbol and string tables, and debug information if wanted, are copied with bounded reads into
//! a sealed file in memory, as a new ELF file that holds nothing else. That also keeps away what it would otherwise
//! act on without a limit: section compression is undone here, with one; relocations, supplementary files and links
//! to separate debug information are left out.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use ::object::elf;
use flate2::bufread::ZlibDecoder;

use super::selected::Selection;
use crate::object::elf::Section;
use crate::object::{Elf, ReadError, memory_file, read_bytes};

/// Most bytes of symbol and string tables copied: the largest proxies have some tens of megabytes.
const MAX_SYMBOL_BYTES: u64 = 256 * 1024 * 1024;
/// Most bytes of debug information copied, uncompressed. A file with more is named by its symbol table alone.
const MAX_DEBUG_BYTES: u64 = 512 * 1024 * 1024;
/// Copying goes in steps of this size, in bytes.
const STEP_BYTES: u64 = 4 * 1024 * 1024;
const HEADER_BYTES: u64 = 64;
/// Every section starts at a multiple of this, in bytes: symbol tables are read in place.
const ALIGNMENT_BYTES: u64 = 16;
const COMPRESSION_HEADER_BYTES: usize = 24;

/// Symbol tables, each with its names.
const SYMBOL_SECTIONS: [[&str; 2]; 2] = [[".symtab", ".strtab"], [".dynsym", ".dynstr"]];
const DEBUG_SECTIONS: [&str; 13] = [
    ".debug_abbrev",
    ".debug_addr",
    ".debug_aranges",
    ".debug_info",
    ".debug_line",
    ".debug_line_str",
    ".debug_loc",
    ".debug_loclists",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
    ".debug_types",
];

/// The copy.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Sealed.
    pub(super) file: File,
    /// There is a symbol table in it.
    pub(super) has_symbols: bool,
    /// There is debug information in it.
    pub(super) has_debug: bool,
    /// What it takes in memory.
    pub(super) size_bytes: u64,
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    /// A section of the file could not be read.
    #[error("cannot read section {name}")]
    Section {
        /// Which.
        name: String,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// The symbol tables are larger than the limit.
    #[error("symbol tables have more than {MAX_SYMBOL_BYTES} bytes")]
    TooLarge,
    /// The copy could not be made.
    #[error("cannot write a copy in memory")]
    Write {
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

struct Copy {
    name: &'static str,
    kind: u32,
    offset: u64,
    size_bytes: u64,
}

/// Copies what names functions, or of that what names some addresses, and debug information too if it is wanted and fits.
pub(super) fn take(elf: &Elf<'_>, want_debug: bool, only: Option<&[u64]>) -> Result<Snapshot, SnapshotError> {
    let write_error = |source| SnapshotError::Write { source };
    let mut writer =
        Writer { file: memory_file::create(c"symbols").map_err(write_error)?, end: HEADER_BYTES };
    let mut copies = Vec::new();

    let symbols: Vec<_> = find(elf, SYMBOL_SECTIONS.as_flattened());
    let symbol_bytes = symbols.iter().fold(0_u64, |sum, (_, section)| sum.saturating_add(section.size_bytes));
    if symbol_bytes > MAX_SYMBOL_BYTES {
        return Err(SnapshotError::TooLarge);
    }
    let has_symbols = symbols.iter().any(|(name, section)| {
        matches!(*name, ".symtab" | ".dynsym") && section.kind != elf::SHT_NOBITS.0 && section.size_bytes > 0
    });
    match only {
        None => {
            for (name, section) in symbols {
                copies.push(writer.copy(elf.file(), name, section)?);
            }
        }
        Some(addresses) => {
            for names in SYMBOL_SECTIONS {
                copies.extend(writer.copy_selected(elf, names, addresses)?.into_iter().flatten());
            }
        }
    }

    let mut has_debug = false;
    if want_debug {
        let end_without_debug = writer.end;
        if let Some(debug) = writer.copy_debug(elf) {
            has_debug = debug.iter().any(|copy| copy.name == ".debug_info");
            copies.extend(debug);
        } else {
            writer.file.set_len(end_without_debug).map_err(write_error)?;
            writer.end = end_without_debug;
        }
    }
    writer.finish(elf, &copies).map_err(write_error)?;
    Ok(Snapshot { file: writer.file, has_symbols, has_debug, size_bytes: writer.end })
}

fn find<'elf>(elf: &'elf Elf<'_>, names: &[&'static str]) -> Vec<(&'static str, &'elf Section)> {
    names.iter().filter_map(|&name| Some((name, elf.section(name)?))).collect()
}

struct Writer {
    file: File,
    end: u64,
}

impl Writer {
    fn place(&mut self, bytes: &[u8]) -> io::Result<(u64, u64)> {
        let offset = self.end.next_multiple_of(ALIGNMENT_BYTES);
        self.file.write_all_at(bytes, offset)?;
        let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.end = offset.saturating_add(size_bytes);
        Ok((offset, size_bytes))
    }

    fn copy(&mut self, from: &File, name: &'static str, section: &Section) -> Result<Copy, SnapshotError> {
        let offset = self.end.next_multiple_of(ALIGNMENT_BYTES);
        // A section that takes no place in the file stays one: files of debug information have such.
        let size_bytes = if section.kind == elf::SHT_NOBITS.0 { 0 } else { section.size_bytes };
        let mut done = 0_u64;
        while done < size_bytes {
            let step = STEP_BYTES.min(size_bytes - done);
            let bytes = read_bytes(from, section.file_offset.saturating_add(done), step, STEP_BYTES)
                .map_err(|source| SnapshotError::Section { name: name.to_owned(), source })?;
            self.file
                .write_all_at(&bytes, offset.saturating_add(done))
                .map_err(|source| SnapshotError::Write { source })?;
            done = done.saturating_add(step);
        }
        self.end = offset.saturating_add(size_bytes);
        Ok(Copy { name, kind: section.kind, offset, size_bytes })
    }

    /// Of a symbol table and its names those that could name some addresses.
    fn copy_selected(
        &mut self,
        elf: &Elf<'_>,
        names: [&'static str; 2],
        addresses: &[u64],
    ) -> Result<Option<[Copy; 2]>, SnapshotError> {
        let [Some(table), Some(strings)] = names.map(|name| elf.section(name)) else { return Ok(None) };
        let read = |section: &Section, name: &str, at: u64, n_bytes| {
            let offset = section.file_offset.saturating_add(at);
            read_bytes(elf.file(), offset, n_bytes, STEP_BYTES)
                .map_err(|source| SnapshotError::Section { name: name.to_owned(), source })
        };
        let bytes_of = |section: &Section| match section.kind {
            kind if kind == elf::SHT_NOBITS.0 => 0,
            _ => section.size_bytes,
        };
        let [table_name, strings_name] = names;
        let mut selection = Selection::of(addresses);
        selection.read(bytes_of(table), &mut |at, n_bytes| read(table, table_name, at, n_bytes))?;
        let (table_bytes, strings_bytes) = selection
            .into_tables(bytes_of(strings), &mut |at, n_bytes| read(strings, strings_name, at, n_bytes))?;
        let mut place = |name, section: &Section, bytes: &[u8]| {
            let (offset, size_bytes) = self.place(bytes).map_err(|source| SnapshotError::Write { source })?;
            Ok(Copy { name, kind: section.kind, offset, size_bytes })
        };
        Ok(Some([place(table_name, table, &table_bytes)?, place(strings_name, strings, &strings_bytes)?]))
    }

    /// All debug sections or none: half of them would be an error to the parser.
    fn copy_debug(&mut self, elf: &Elf<'_>) -> Option<Vec<Copy>> {
        let mut left = MAX_DEBUG_BYTES;
        let mut copies = Vec::new();
        for (name, section) in find(elf, &DEBUG_SECTIONS) {
            let copy = if section.flags & elf::SHF_COMPRESSED.0 == 0 {
                if section.size_bytes > left {
                    return None;
                }
                self.copy(elf.file(), name, section).ok()?
            } else {
                let bytes = decompress(&elf.section_bytes(section, left).ok()?, left)?;
                let (offset, size_bytes) = self.place(&bytes).ok()?;
                Copy { name, kind: section.kind, offset, size_bytes }
            };
            left = left.checked_sub(copy.size_bytes)?;
            copies.push(copy);
        }
        Some(copies)
    }

    /// Writes names, section headers and the file header, and seals the file.
    fn finish(&mut self, elf: &Elf<'_>, copies: &[Copy]) -> io::Result<()> {
        // An empty name for the empty section that every file starts with.
        let mut names = vec![0_u8];
        let mut headers = section_header(0, 0, 0, 0);
        let mut add_name = |name: &str| {
            let at = u32::try_from(names.len()).unwrap_or(0);
            names.extend(name.as_bytes());
            names.push(0);
            at
        };
        for copy in copies {
            headers.extend(section_header(add_name(copy.name), copy.kind, copy.offset, copy.size_bytes));
        }
        let own_name = add_name(".shstrtab");
        let (names_offset, names_bytes) = self.place(&names)?;
        headers.extend(section_header(own_name, elf::SHT_STRTAB.0, names_offset, names_bytes));
        let (headers_offset, _) = self.place(&headers)?;

        let n_copies = u16::try_from(copies.len()).map_err(io::Error::other)?;
        let mut header = Vec::new();
        header.extend(elf::ELFMAG);
        header.extend([2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        // Never a relocatable object, whatever the original says: it is linked.
        header.extend(elf::ET_DYN.0.to_le_bytes());
        header.extend(elf.machine.to_le_bytes());
        header.extend(1_u32.to_le_bytes());
        header.extend([0; 16]);
        header.extend(headers_offset.to_le_bytes());
        header.extend([0; 4]);
        for field in [64, 56, 0, 64, n_copies.saturating_add(2), n_copies.saturating_add(1)] {
            header.extend(u16::to_le_bytes(field));
        }
        self.file.write_all_at(&header, 0)?;
        memory_file::seal(&self.file)
    }
}

fn section_header(name: u32, kind: u32, offset: u64, size_bytes: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend(name.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend([0; 16]);
    bytes.extend(offset.to_le_bytes());
    bytes.extend(size_bytes.to_le_bytes());
    bytes.resize(64, 0);
    bytes
}

/// Undoes zlib compression; none for another kind, or for a section that is larger than it may be.
fn decompress(section: &[u8], limit_bytes: u64) -> Option<Vec<u8>> {
    let (header, data) = section.split_at_checked(COMPRESSION_HEADER_BYTES)?;
    let kind = header.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))?;
    if kind != elf::ELFCOMPRESS_ZLIB.0 {
        return None;
    }
    let mut bytes = Vec::new();
    ZlibDecoder::new(data).take(limit_bytes.checked_add(1)?).read_to_end(&mut bytes).ok()?;
    (u64::try_from(bytes.len()).ok()? <= limit_bytes).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn compressed(kind: u32, plain: &[u8]) -> Vec<u8> {
        let mut section = kind.to_le_bytes().to_vec();
        section.resize(COMPRESSION_HEADER_BYTES, 0);
        let mut encoder = flate2::write::ZlibEncoder::new(section, flate2::Compression::fast());
        encoder.write_all(plain).expect("compresses");
        encoder.finish().expect("compresses")
    }

    #[test]
    fn compression_is_undone_up_to_the_limit() {
        let plain = vec![7_u8; 100_000];
        let section = compressed(elf::ELFCOMPRESS_ZLIB.0, &plain);
        assert!(section.len() < 2000, "{} bytes", section.len());
        assert_eq!(decompress(&section, 100_000).as_ref(), Some(&plain));
        assert_eq!(decompress(&section, 99_999), None, "a bomb is not unpacked");
        assert_eq!(decompress(&compressed(elf::ELFCOMPRESS_ZSTD.0, &plain), 100_000), None);
        assert_eq!(decompress(b"short", 100), None);
    }

    #[test]
    fn the_copy_of_this_executable_has_the_same_symbol_table_and_nothing_that_runs() {
        let own = File::open("/proc/self/exe").expect("own executable");
        let elf = Elf::parse(&own).expect("parses");
        let snapshot = take(&elf, false, None).expect("copies");
        assert!(snapshot.has_symbols && !snapshot.has_debug, "{snapshot:?}");
        let copy = Elf::parse(&snapshot.file).expect("the copy parses");
        for name in [".symtab", ".strtab"] {
            let bytes = |elf: &Elf<'_>| {
                elf.section_bytes(elf.section(name).expect(name), MAX_SYMBOL_BYTES).expect(name)
            };
            assert!(bytes(&elf) == bytes(&copy), "{name} differs");
        }
        let names: Vec<_> = copy.sections.iter().map(|section| section.name.as_str()).collect();
        assert!(!names.contains(&".text") && !names.contains(&".debug_info"), "{names:?}");
        let refused = snapshot.file.set_len(0);
        assert!(refused.is_err(), "the copy can be cut: {refused:?}");
    }

    #[test]
    fn a_file_that_shrinks_meanwhile_is_an_error() {
        let bytes = std::fs::read("/proc/self/exe").expect("own executable");
        let file = tempfile::tempfile().expect("temporary file");
        file.write_all_at(&bytes, 0).expect("writes");
        let elf = Elf::parse(&file).expect("parses");
        let table = elf.section(".symtab").expect("symbols").file_offset;
        file.set_len(table + 100).expect("cuts");
        let seen = take(&elf, true, None);
        assert!(matches!(seen, Err(SnapshotError::Section { .. })), "{seen:?}");
    }
}
