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
/// The part of a header that recognises it: magic, two zeros, instruction quantum, pointer size.
const RECOGNISED_BYTES: usize = 8;
const POINTER_BYTES: u64 = 8;

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
            .with_text(|| text_from_relocation(elf, header_svma))?
            .with_text(|| Some(elf.section(".text")?.svma))
    }

    /// In a position-independent program the address of the code is filled in by the loader: take it from
    /// elsewhere where the table has none.
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

/// File offsets at which a header may start. Few: eight fixed bytes rarely stand anywhere else.
fn find_header(file: &File, start: u64, size_bytes: u64) -> Vec<u64> {
    let mut found = Vec::new();
    let size_bytes = size_bytes.min(MAX_TABLE_BYTES);
    let mut done = 0;
    while done < size_bytes && found.len() < 16 {
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
    found
}

/// What the loader would write into the header's address of the code, of a table whose header is at `svma`.
fn text_from_relocation(elf: &Elf<'_>, header_svma: u64) -> Option<u64> {
    let place = header_svma.checked_add(8 + 2 * POINTER_BYTES)?;
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
mod tests {
    use super::*;
    use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
    use std::io::Write;

    const TEXT: u64 = 0x40_1000;
    const NAMES: [&str; 3] = ["runtime.main", "main.(*Server).handle[...]", "runtime.mallocgc"];

    /// A table of three functions of 0x100 bytes each, in any layout.
    fn synthesize(magic: u32) -> Vec<u8> {
        let wide = magic >= 0xffff_fffa;
        let (old, header_words) = match magic {
            0xffff_fffb => (true, 1),
            0xffff_fffa => (false, 7),
            _ => (false, 8),
        };
        let field = if wide { 8 } else { 4 };
        let list_at = 8 + header_words * 8;
        let list_bytes = (2 * NAMES.len() + 1) * field;
        let record_bytes = 16;
        let records_at = list_at + list_bytes;
        let names_at = records_at + NAMES.len() * record_bytes;
        let origin = if old { 0 } else { list_at };

        let mut table = magic.to_le_bytes().to_vec();
        table.extend([0, 0, 1, 8]);
        let words: Vec<usize> = match header_words {
            1 => vec![NAMES.len()],
            7 => vec![NAMES.len(), 1, names_at, 0, 0, 0, list_at],
            _ => vec![NAMES.len(), 1, usize::try_from(TEXT).expect("fits"), names_at, 0, 0, 0, list_at],
        };
        words.iter().for_each(|word| table.extend((*word as u64).to_le_bytes()));
        let number = |table: &mut Vec<u8>, value: u64| {
            table.extend(value.to_le_bytes().get(..field).expect("4 or 8 bytes"));
        };
        let base = if wide { TEXT } else { 0 };
        for index in 0..NAMES.len() {
            number(&mut table, base + 0x100 * index as u64);
            number(&mut table, (records_at + index * record_bytes - origin) as u64);
        }
        number(&mut table, base + 0x300);
        let mut name_at = if old { names_at } else { 0 };
        for (index, name) in NAMES.iter().enumerate() {
            let start = table.len();
            number(&mut table, base + 0x100 * index as u64);
            table.extend(u32::try_from(name_at).expect("small").to_le_bytes());
            table.resize(start + record_bytes, 0);
            name_at += name.len() + 1;
        }
        for name in NAMES {
            table.extend(name.as_bytes());
            table.push(0);
        }
        table
    }

    fn parse(bytes: &[u8]) -> (File, Option<GoTable>) {
        let mut file = tempfile::tempfile().expect("temporary file");
        file.write_all(bytes).expect("writes");
        let table = GoTable::parse(&file, 0, bytes.len() as u64);
        (file, table)
    }

    #[test]
    fn every_layout_names_its_functions_and_nothing_outside_them() {
        for magic in [0xffff_fffb, 0xffff_fffa, 0xffff_fff0, 0xffff_fff1_u32] {
            let (file, table) = parse(&synthesize(magic));
            let table = table.unwrap_or_else(|| panic!("{magic:#x} parses"));
            let seen: Vec<_> = [0, 0xff, 0x100, 0x2ff, 0x300]
                .iter()
                .map(|at| table.lookup(&file, TEXT + at))
                .chain([table.lookup(&file, TEXT - 1), table.lookup(&file, u64::MAX)])
                .collect();
            let seen: Vec<_> = seen.iter().map(Option::as_deref).collect();
            let [main, handle, malloc] = NAMES.map(Some);
            assert_eq!(seen, [main, main, handle, malloc, None, None, None], "{magic:#x}");
        }
    }

    #[test]
    fn a_table_inside_another_section_is_found() {
        let mut bytes = vec![0xfb; usize::try_from(SCAN_STEP_BYTES).expect("fits") + 64];
        let at = bytes.len() as u64;
        bytes.extend(synthesize(0xffff_fff1));
        let (file, _) = parse(&bytes);
        assert_eq!(find_header(&file, 0, bytes.len() as u64), [at]);
    }

    #[test]
    fn tables_that_promise_more_than_there_is_are_refused() {
        let whole = synthesize(0xffff_fff1);
        let mut many = whole.clone();
        many.get_mut(8..16).expect("count").copy_from_slice(&u64::MAX.to_le_bytes());
        let mut far = whole.clone();
        far.get_mut(64..72).expect("list offset").copy_from_slice(&(1_u64 << 40).to_le_bytes());
        let cut = whole.get(..100).expect("long enough").to_vec();
        for (what, bytes) in [("count", many), ("offset", far), ("cut", cut), ("empty", Vec::new())] {
            let (_, table) = parse(&bytes);
            assert!(table.is_none(), "{what}: {table:?}");
        }
    }

    #[test]
    fn a_stripped_go_program_names_its_runtime_and_stays_inside_its_code() {
        let Ok(file) = File::open("/usr/bin/caddy") else {
            println!("no stripped Go program here: the synthesized tables stand in for it");
            return;
        };
        let elf = Elf::parse(&file).expect("parses");
        let table = GoTable::of(&elf).expect("has a table");
        let functions: Vec<(u64, String)> = (0..table.n_functions)
            .filter_map(|index| Some((table.start_svma(index)?, table.name(&file, index)?)))
            .collect();
        assert_eq!(functions.len(), table.n_functions, "every function has a name");
        for wanted in ["runtime.main", "runtime.mallocgc"] {
            let start = functions.iter().find(|(_, name)| name == wanted).map(|(start, _)| *start);
            let start = start.unwrap_or_else(|| panic!("{wanted} among {}", functions.len()));
            assert_eq!(table.lookup(&file, start + 5).as_deref(), Some(wanted));
        }
        // Checked against what the table does not say: where the code is.
        let text = elf.section(".text").expect("text");
        let inside = functions.iter().filter(|(start, _)| start.wrapping_sub(text.svma) < text.size_bytes);
        assert_eq!(inside.count(), functions.len(), "functions outside {text:x?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn no_table_makes_the_lookup_panic(
            magic in 0xffff_fff0_u32..=0xffff_fffb,
            patches in proptest::collection::vec((8_usize..260, any::<u8>()), 0..12),
            svma in any::<u64>(),
        ) {
            let mut bytes = synthesize(magic);
            for (at, value) in patches {
                if let Some(byte) = bytes.get_mut(at) { *byte = value; }
            }
            let (file, table) = parse(&bytes);
            if let Some(table) = table {
                for at in [svma, TEXT, TEXT + 0x123] {
                    let name = table.lookup(&file, at);
                    prop_assert!(name.as_ref().is_none_or(|name| name.len() <= 3 * MAX_NAME_BYTES), "{:?}", name);
                }
                let frames = table.frames(&file).expect("the file has it all");
                let n_steps: usize = frames.functions().map(|function| function.steps().count()).sum();
                // A step takes two bytes, and two functions may share theirs.
                prop_assert!(n_steps <= NAMES.len() * bytes.len() / 2, "{} steps", n_steps);
            }
        }
    }
}
