//! Function names of Go programs, which keep them in a table of their own even when they are stripped.
//!
//! The runtime needs the table for its stack traces, so that it is always there. Four layouts exist, told apart
//! by their first word: Go 1.2, 1.16, 1.18 and 1.20. The functions' start addresses are kept in memory, names
//! are read from the file when they are asked for. [`frames`] goes through what the runtime unwinds by.

mod frames;

use std::fs::File;

use ::object::elf;

use super::elf::{Elf, Section};
use super::read::{read_bytes, read_some, u32_at, u64_at};

pub use frames::{GoFrames, GoFunction, GoKind, Step, Steps};

/// Largest table accepted, in bytes: the largest Go programs have some tens of megabytes.
const MAX_TABLE_BYTES: u64 = 256 * 1024 * 1024;
/// Largest list of functions kept in memory, in bytes: eight million functions of the current layout.
const MAX_FUNCTION_LIST_BYTES: u64 = 64 * 1024 * 1024;
/// Longest name read, in bytes; generic functions have long ones.
const MAX_NAME_BYTES: usize = 4096;
/// Largest relocation section searched for the address of the code, in bytes.
const MAX_RELOCATION_BYTES: u64 = 64 * 1024 * 1024;
/// A section is searched for the table in steps of this size, in bytes.
const SCAN_STEP_BYTES: u64 = 1024 * 1024;
/// Places in one section that are tried as the table's start.
const MAX_CANDIDATES: usize = 16;
/// The part of a header that recognises it: magic, two zeros, instruction quantum, pointer size.
const RECOGNISED_BYTES: usize = 8;
const POINTER_BYTES: u64 = 8;
/// Where `runtime.moduledata` has the address of the code: after a pointer, six slices and three more pointers.
const MODULE_TEXT_OFFSET: u64 = (1 + 6 * 3 + 3) * POINTER_BYTES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Go1_2,
    Go1_16,
    Go1_18,
    Go1_20,
}

/// The table of one file.
#[derive(Debug)]
pub struct GoTable {
    layout: Layout,
    /// Address that the start addresses are relative to.
    text_svma: u64,
    /// Pairs of start address and offset of the function's record, and at the end one more address.
    functions: Vec<u8>,
    n_functions: usize,
    /// The unit of lengths of code.
    quantum_bytes: u8,
    /// Where the table starts.
    table_file_offset: u64,
    /// File offset that the offsets of frame sizes are relative to.
    steps_file_offset: u64,
    /// File offset that the records' offsets are relative to.
    records_file_offset: u64,
    /// File offset that the names' offsets are relative to.
    names_file_offset: u64,
    /// First file offset past the table.
    end_file_offset: u64,
}

impl GoTable {
    /// Finds and reads the table of a file; none where the file is not of Go or the table does not hold water.
    pub fn of(elf: &Elf<'_>) -> Option<Self> {
        let named = [".gopclntab", ".data.rel.ro.gopclntab"].iter().find_map(|name| elf.section(name));
        if let Some(section) = named {
            return Self::in_section(elf, section, section.file_offset);
        }
        // Externally linked, position-independent programs may have it inside another section.
        [".go.buildinfo", ".note.go.buildid"].iter().find_map(|name| elf.section(name))?;
        [".data.rel.ro", ".rodata"].iter().filter_map(|name| elf.section(name)).find_map(|section| {
            let candidates = find_header(elf.file(), section.file_offset, section.size_bytes);
            candidates.into_iter().find_map(|offset| Self::in_section(elf, section, offset))
        })
    }

    /// The function that the instruction at `svma` belongs to.
    pub fn lookup(&self, file: &File, svma: u64) -> Option<String> {
        // The last function whose start is not past the address...
        let (mut low, mut high) = (0_usize, self.n_functions);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.start_svma(middle)? <= svma { low = middle + 1 } else { high = middle }
        }
        let index = low.checked_sub(1)?;
        // ...which ends where the next one starts; behind the last there is one more address for this.
        if svma >= self.start_svma(low)? {
            return None;
        }
        self.name(file, index)
    }

    fn in_section(elf: &Elf<'_>, section: &Section, file_offset: u64) -> Option<Self> {
        let end = section.file_offset.checked_add(section.size_bytes)?;
        let header_svma = section.svma.checked_add(file_offset.checked_sub(section.file_offset)?)?;
        let table = Self::parse(elf.file(), file_offset, end.checked_sub(file_offset)?)?;
        table
            .with_text(|| relocated(elf, header_svma.checked_add(8 + 2 * POINTER_BYTES)?))?
            .with_text(|| text_from_module(elf))?
            .with_text(|| Some(elf.section(".text")?.svma))
    }

    /// In a position-independent program the address of the code is filled in by the loader, and since Go 1.26 the
    /// table has none: take it from elsewhere. C code may come first in `.text`, so that is the last resort.
    fn with_text(mut self, find: impl FnOnce() -> Option<u64>) -> Option<Self> {
        if self.layout.is_relative() && self.text_svma == 0 {
            self.text_svma = find().unwrap_or(0);
        }
        Some(self)
    }

    fn parse(file: &File, table_offset: u64, size_bytes: u64) -> Option<Self> {
        let header = read_some(file, table_offset, 80).ok()?;
        let layout = recognise(&header)?;
        if size_bytes > MAX_TABLE_BYTES {
            return None;
        }
        let word = |index: usize| u64_at(&header, RECOGNISED_BYTES.checked_add(index.checked_mul(8)?)?);
        let n_functions = word(0)?;
        // From the table's start: names, frame sizes, list of functions, and what the list's record offsets count
        // from.
        let (names, steps, list, records) = match layout {
            Layout::Go1_2 => (0, 0, 16, 0),
            Layout::Go1_16 => (word(2)?, word(5)?, word(6)?, word(6)?),
            Layout::Go1_18 | Layout::Go1_20 => (word(3)?, word(6)?, word(7)?, word(7)?),
        };
        let list_bytes =
            n_functions.checked_mul(2)?.checked_add(1)?.checked_mul(layout.list_field_bytes())?;
        let fits = |start: u64, length: u64| start.checked_add(length).is_some_and(|end| end <= size_bytes);
        if n_functions == 0 || !fits(list, list_bytes) || !fits(names, 0) {
            return None;
        }
        let functions =
            read_bytes(file, table_offset.checked_add(list)?, list_bytes, MAX_FUNCTION_LIST_BYTES).ok()?;
        Some(Self {
            layout,
            text_svma: if layout.is_relative() { word(2)? } else { 0 },
            functions,
            n_functions: usize::try_from(n_functions).ok()?,
            quantum_bytes: header.get(6).copied()?,
            table_file_offset: table_offset,
            steps_file_offset: table_offset.checked_add(steps)?,
            records_file_offset: table_offset.checked_add(records)?,
            names_file_offset: table_offset.checked_add(names)?,
            end_file_offset: table_offset.checked_add(size_bytes)?,
        })
    }

    /// The start of a function; of one past the last, the end of the code.
    fn start_svma(&self, index: usize) -> Option<u64> {
        self.text_svma.checked_add(self.list_field(index.checked_mul(2)?)?)
    }

    fn list_field(&self, index: usize) -> Option<u64> {
        match self.layout {
            Layout::Go1_18 | Layout::Go1_20 => u32_at(&self.functions, index.checked_mul(4)?).map(u64::from),
            Layout::Go1_2 | Layout::Go1_16 => u64_at(&self.functions, index.checked_mul(8)?),
        }
    }

    fn name(&self, file: &File, index: usize) -> Option<String> {
        let record = self.list_field(index.checked_mul(2)?.checked_add(1)?)?;
        // A record starts with the function's address and the offset of its name, a signed number.
        let name_field = self
            .records_file_offset
            .checked_add(record)?
            .checked_add(if self.layout.is_relative() { 4 } else { POINTER_BYTES })?;
        let name = u32_at(&self.read(file, name_field, 4)?, 0)?;
        let name = u64::from(u32::try_from(name.cast_signed()).ok()?);
        let bytes = self.read(file, self.names_file_offset.checked_add(name)?, MAX_NAME_BYTES)?;
        let bytes = bytes.split(|&byte| byte == 0).next().filter(|bytes| !bytes.is_empty())?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    }

    /// Reads within the table, less at its end.
    fn read(&self, file: &File, file_offset: u64, limit_bytes: usize) -> Option<Vec<u8>> {
        let left = usize::try_from(self.end_file_offset.checked_sub(file_offset)?).ok()?;
        read_some(file, file_offset, limit_bytes.min(left)).ok()
    }
}

impl Layout {
    /// Whether functions are listed by their offsets in the code, not by their addresses.
    fn is_relative(self) -> bool {
        matches!(self, Self::Go1_18 | Self::Go1_20)
    }

    fn list_field_bytes(self) -> u64 {
        if self.is_relative() { 4 } else { POINTER_BYTES }
    }
}

fn recognise(header: &[u8]) -> Option<Layout> {
    let layout = match u32_at(header, 0)? {
        0xffff_fffb => Layout::Go1_2,
        0xffff_fffa => Layout::Go1_16,
        0xffff_fff0 => Layout::Go1_18,
        0xffff_fff1 => Layout::Go1_20,
        _ => return None,
    };
    match header.get(4..RECOGNISED_BYTES)? {
        [0, 0, 1 | 2 | 4, 8] => Some(layout),
        _ => None,
    }
}

/// File offsets at which a header may start. Few: eight fixed bytes rarely stand anywhere else, and to try one can
/// take as much as reading the largest list.
fn find_header(file: &File, start: u64, size_bytes: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let size_bytes = size_bytes.min(MAX_TABLE_BYTES);
    let mut done = 0;
    while done < size_bytes && found.len() < MAX_CANDIDATES {
        let step = usize::try_from(SCAN_STEP_BYTES.min(size_bytes - done)).unwrap_or(0);
        let Some(at) = start.checked_add(done) else { break };
        let Ok(bytes) = read_some(file, at, step) else { break };
        let headers = bytes.chunks_exact(RECOGNISED_BYTES).zip(0_u64..);
        found.extend(
            headers
                .filter(|(chunk, _)| recognise(chunk).is_some())
                .filter_map(|(_, index)| at.checked_add(index.checked_mul(8)?)),
        );
        if bytes.len() < step {
            break;
        }
        done = done.saturating_add(SCAN_STEP_BYTES);
    }
    found.truncate(MAX_CANDIDATES);
    found
}

/// Since Go 1.26, where the runtime itself looks: in what it knows of the program, which has a section of its own.
fn text_from_module(elf: &Elf<'_>) -> Option<u64> {
    let section = elf.section(".go.module")?;
    let field = read_bytes(elf.file(), section.file_offset.checked_add(MODULE_TEXT_OFFSET)?, 8, 8).ok()?;
    match u64_at(&field, 0)? {
        0 => relocated(elf, section.svma.checked_add(MODULE_TEXT_OFFSET)?),
        text => Some(text),
    }
}

/// What the loader would write to this address of a position-independent program.
fn relocated(elf: &Elf<'_>, place: u64) -> Option<u64> {
    let relocations = elf.section_bytes(elf.section(".rela.dyn")?, MAX_RELOCATION_BYTES).ok()?;
    let relative = match elf.machine {
        machine if machine == elf::EM_X86_64.0 => elf::R_X86_64_RELATIVE.0,
        machine if machine == elf::EM_AARCH64.0 => elf::R_AARCH64_RELATIVE.0,
        _ => return None,
    };
    relocations.chunks_exact(24).find_map(|entry| {
        let kind = u32_at(entry, 8)?;
        (u64_at(entry, 0)? == place && kind == relative).then(|| u64_at(entry, 16))?
    })
}

#[cfg(test)]
mod tests;
