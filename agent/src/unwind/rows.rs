//! From the bytes of a frame section to the rows of all its functions.

use std::collections::HashMap;

use gimli::{
    BaseAddresses, CommonInformationEntry, DebugFrame, EhFrame, EndianSlice, FrameDescriptionEntry,
    LittleEndian, Register, RegisterRule, UnwindContext, UnwindContextStorage, UnwindOffset, UnwindSection,
    UnwindTableRow,
};

use super::{
    entries::{self, Entries, Entry},
    error::UnwindError,
    functions::Functions,
    gathered::Gathered,
    rule::{Unsupported, rule_of},
};
use abi::unwind::{MAX_ROWS_PER_FILE, UnwindRule};

/// Bytes of entries read and run for one file, at most, as a multiple of the section's own. What functions share
/// is run again for each of them, so a small section could ask for much; honest ones stay below twice their size.
const MAX_WORK_FACTOR: usize = 4;
/// And this many bytes more, for sections so small that one shared entry is most of them.
const SPARE_WORK_BYTES: usize = 64 << 10;
/// And whatever its size, at most this: three times what Envoy's section of 10 MiB takes. A single byte can save or
/// restore a state of a kilobyte, and an agent must not be busy for minutes with one file.
const MAX_WORK_BYTES: usize = 64 << 20;
/// Shared entries remembered. Linkers leave one or two dozen.
const MAX_SHARED: usize = 1024;

/// Registers with a rule, at most: 17, and ten more for functions with Windows' calling convention.
const MAX_REGISTERS: usize = 32;
/// States remembered inside one another, at most. Compilers nest one.
const MAX_REMEMBERED: usize = 8;

type Bytes<'section> = EndianSlice<'section, LittleEndian>;

/// Which of the two forms a section has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// `.eh_frame`
    EhFrame,
    /// `.debug_frame`
    DebugFrame,
}

/// A section of call frame information, and the addresses that pointers in it may be relative to.
#[derive(Clone, Copy, Debug)]
pub struct FrameSection<'section> {
    /// Its form.
    pub kind: SectionKind,
    /// All of it.
    pub bytes: &'section [u8],
    /// Its own address.
    pub svma: u64,
    /// Address of `.text`, where there is one.
    pub text_svma: Option<u64>,
    /// Address of `.got`, where there is one.
    pub got_svma: Option<u64>,
}

/// Part of a file that is mapped to be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeSegment {
    /// Where it is in the file.
    pub file_offset: u64,
    /// Its address.
    pub svma: u64,
    /// How much of it the file holds.
    pub size_bytes: u64,
}

/// From `file_offset` to the next row this rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Of the first instruction.
    pub file_offset: u32,
    /// Number of its rule in [`Rows::rules`].
    pub rule: u16,
}

/// What was not understood. Its functions have no rows, or rows that say so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Descriptions that could not be read.
    pub n_unreadable: u32,
    /// Descriptions of code that the file does not map to be executed, or not below 4 GiB.
    pub n_outside_code: u32,
    /// Descriptions that broke in the middle.
    pub n_broken: u32,
    /// Descriptions of a function that another one already describes.
    pub n_duplicate: u32,
    /// The section ends inside an entry.
    pub is_truncated: bool,
}

/// The rows of a file, in ascending order, no two with one offset, no neighbours with one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The last one says "no unwind information".
    pub rows: Vec<Row>,
    /// By number. The first is "no unwind information", the second "over limit".
    pub rules: Vec<UnwindRule>,
    /// Functions described.
    pub n_functions: u32,
    /// Where they are; one for each place.
    pub functions: Functions,
    /// What was not understood.
    pub losses: Losses,
}

/// Runs every description of a section.
pub fn unwind_rows(section: &FrameSection<'_>, code: &[CodeSegment]) -> Result<Rows, UnwindError> {
    let mut gathered = Gathered::new(code);
    add_section(&mut gathered, section)?;
    gathered.finish()
}

/// Runs every description of a section, beside what is gathered already.
pub(super) fn add_section(gathered: &mut Gathered, section: &FrameSection<'_>) -> Result<(), UnwindError> {
    match section.kind {
        SectionKind::EhFrame => {
            let mut parsed = EhFrame::new(section.bytes, LittleEndian);
            parsed.set_address_size(8);
            Collector::new(gathered, parsed, section).collect(section)
        }
        SectionKind::DebugFrame => {
            let mut parsed = DebugFrame::new(section.bytes, LittleEndian);
            parsed.set_address_size(8);
            Collector::new(gathered, parsed, section).collect(section)
        }
    }
}

/// Room for one function's state: the library's own has six times as many registers, all of them copied.
#[derive(Debug)]
struct Storage;

impl UnwindContextStorage<usize> for Storage {
    type Rules = [(Register, RegisterRule<usize>); MAX_REGISTERS];
    type Stack = Box<[UnwindTableRow<usize, Self>; MAX_REMEMBERED]>;
}

struct Collector<'into, 'section, Section> {
    gathered: &'into mut Gathered,
    section: Section,
    bytes: &'section [u8],
    bases: BaseAddresses,
    /// By offset; none where one cannot be read.
    shared: HashMap<usize, Option<CommonInformationEntry<Bytes<'section>>>>,
    /// Bytes of entries read and run.
    work_bytes: usize,
    max_work_bytes: usize,
}

impl<'into, 'section, Section> Collector<'into, 'section, Section>
where
    Section: UnwindSection<Bytes<'section>>,
{
    fn new(gathered: &'into mut Gathered, parsed: Section, section: &FrameSection<'section>) -> Self {
        let mut bases = BaseAddresses::default().set_eh_frame(section.svma);
        if let Some(svma) = section.text_svma {
            bases = bases.set_text(svma);
        }
        if let Some(svma) = section.got_svma {
            bases = bases.set_got(svma);
        }
        Self {
            gathered,
            section: parsed,
            bytes: section.bytes,
            bases,
            shared: HashMap::new(),
            work_bytes: 0,
            max_work_bytes: section
                .bytes
                .len()
                .saturating_mul(MAX_WORK_FACTOR)
                .saturating_add(SPARE_WORK_BYTES)
                .min(MAX_WORK_BYTES),
        }
    }

    fn collect(mut self, section: &FrameSection<'section>) -> Result<(), UnwindError> {
        let mut context = UnwindContext::<usize, Storage>::new_in();
        let mut entries = Entries::new(section.bytes, section.kind);
        for entry in entries.by_ref() {
            self.add_entry(entry, &mut context)?;
        }
        self.gathered.losses.is_truncated |= entries.is_truncated();
        Ok(())
    }

    fn add_entry(
        &mut self,
        entry: Entry,
        context: &mut UnwindContext<usize, Storage>,
    ) -> Result<(), UnwindError> {
        self.work(entry.size_bytes)?;
        let function = self.read(entry);
        // What it shares may have been read for it.
        self.work(0)?;
        let Some(function) = function else {
            self.gathered.losses.n_unreadable = self.gathered.losses.n_unreadable.saturating_add(1);
            return Ok(());
        };
        if function.len() == 0 {
            return Ok(());
        }
        let Some((start, end)) = self.gathered.place(function.initial_address(), function.len()) else {
            self.gathered.losses.n_outside_code = self.gathered.losses.n_outside_code.saturating_add(1);
            return Ok(());
        };
        self.work(function.cie().entry_len())?;
        self.gathered.begin()?;
        self.run(&function, start, end, context);
        self.gathered.end(start, end)
    }

    /// Counts bytes of entries that are about to be read or run.
    fn work(&mut self, n_bytes: usize) -> Result<(), UnwindError> {
        self.work_bytes = self.work_bytes.saturating_add(n_bytes);
        if self.work_bytes > self.max_work_bytes {
            return Err(UnwindError::TooMuchWork { limit_bytes: self.max_work_bytes });
        }
        Ok(())
    }

    fn read(&mut self, entry: Entry) -> Option<FrameDescriptionEntry<Bytes<'section>>> {
        let partial = self.section.partial_fde_from_offset(&self.bases, entry.offset.into()).ok()?;
        let Self { shared, work_bytes, bytes, .. } = self;
        let function = partial.parse(|section, bases, offset| {
            let key = UnwindOffset::into(offset);
            let unreadable = || gimli::Error::NotCieId(key as u64);
            if let Some(known) = shared.get(&key) {
                return known.clone().ok_or_else(unreadable);
            }
            // Reading one can take a look at each of its bytes, also if nothing comes of it.
            *work_bytes = work_bytes.saturating_add(entries::size_at(bytes, key).unwrap_or_default());
            let new = section.cie_from_offset(bases, offset).ok();
            if shared.len() >= MAX_SHARED {
                shared.clear();
            }
            shared.insert(key, new.clone());
            new.ok_or_else(unreadable)
        });
        function.ok().filter(|function| function.cie().address_size() == 8)
    }

    /// Adds the rows of one function: the first at `start`, all of them before `end`. Stops where there are more
    /// than any table can hold.
    fn run(
        &mut self,
        function: &FrameDescriptionEntry<Bytes<'section>>,
        start: u32,
        end: u32,
        context: &mut UnwindContext<usize, Storage>,
    ) {
        let encoding = function.cie().encoding();
        let is_signal = function.is_signal_trampoline();
        let size_bytes = end.saturating_sub(start);
        // Where the next row starts, from the start of the function.
        let mut at: u32 = 0;
        let Ok(mut table) = function.rows(&self.section, &self.bases, context) else {
            return self.broken(start);
        };
        while at < size_bytes && self.gathered.n_run <= MAX_ROWS_PER_FILE {
            self.gathered.n_run = self.gathered.n_run.saturating_add(1);
            let row = match table.next_row() {
                Ok(Some(row)) => row,
                Ok(None) => return,
                Err(_) => return self.broken(start.saturating_add(at)),
            };
            let next = row.end_address().wrapping_sub(function.initial_address());
            if next <= u64::from(at) {
                // An advance of nothing, or a last row that starts past the function's end.
                if row.start_address() == row.end_address() {
                    continue;
                }
                return;
            }
            self.gathered.push(start.saturating_add(at), rule_of(row, &self.section, encoding, is_signal));
            at = u32::try_from(next).unwrap_or(u32::MAX);
        }
    }

    /// Nothing is known from here on to the end of the function.
    fn broken(&mut self, file_offset: u32) {
        self.gathered.losses.n_broken = self.gathered.losses.n_broken.saturating_add(1);
        self.gathered.push(file_offset, Unsupported::BrokenDescription.rule());
    }
}
