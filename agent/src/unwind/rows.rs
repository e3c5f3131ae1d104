//! From the bytes of a frame section to the rows of all its functions.

use std::collections::HashMap;

use gimli::{
    BaseAddresses, CommonInformationEntry, DebugFrame, EhFrame, EndianSlice, FrameDescriptionEntry,
    LittleEndian, Register, RegisterRule, UnwindContext, UnwindContextStorage, UnwindOffset, UnwindSection,
    UnwindTableRow,
};

use super::{
    dictionary::Dictionary,
    entries::{Entries, Entry},
    error::UnwindError,
    functions::Functions,
    order::{self, Function},
    rule::{Unsupported, rule_of},
};
use abi::unwind::{MAX_ROWS_PER_FILE, UnwindRule};

/// Functions of a file, at most. Envoy has 240,267.
const MAX_FUNCTIONS: usize = 1 << 22;
/// Bytes of entries run for one file, at most, as a multiple of the section's own. What functions share is run
/// again for each of them, so a small section could ask for much; honest ones stay below twice their size.
const MAX_WORK_FACTOR: usize = 4;
/// And this many bytes more, for sections so small that one shared entry is most of them.
const SPARE_WORK_BYTES: usize = 64 << 10;
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
    match section.kind {
        SectionKind::EhFrame => {
            let mut parsed = EhFrame::new(section.bytes, LittleEndian);
            parsed.set_address_size(8);
            Collector::new(parsed, section, code).collect(section)
        }
        SectionKind::DebugFrame => {
            let mut parsed = DebugFrame::new(section.bytes, LittleEndian);
            parsed.set_address_size(8);
            Collector::new(parsed, section, code).collect(section)
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

struct Collector<'section, Section> {
    section: Section,
    bases: BaseAddresses,
    /// By address.
    code: Vec<CodeSegment>,
    shared: HashMap<usize, CommonInformationEntry<Bytes<'section>>>,
    work_bytes: usize,
    max_work_bytes: usize,
    dictionary: Dictionary,
    functions: Vec<Function>,
    rows: Vec<Row>,
    /// Rows that the descriptions have gone through so far.
    n_run: usize,
    losses: Losses,
}

impl<'section, Section> Collector<'section, Section>
where
    Section: UnwindSection<Bytes<'section>>,
{
    fn new(parsed: Section, section: &FrameSection<'section>, code: &[CodeSegment]) -> Self {
        let mut bases = BaseAddresses::default().set_eh_frame(section.svma);
        if let Some(svma) = section.text_svma {
            bases = bases.set_text(svma);
        }
        if let Some(svma) = section.got_svma {
            bases = bases.set_got(svma);
        }
        let mut code = code.to_vec();
        code.sort_by_key(|segment| segment.svma);
        Self {
            section: parsed,
            bases,
            code,
            shared: HashMap::new(),
            work_bytes: 0,
            max_work_bytes: section
                .bytes
                .len()
                .saturating_mul(MAX_WORK_FACTOR)
                .saturating_add(SPARE_WORK_BYTES),
            dictionary: Dictionary::new(),
            functions: Vec::new(),
            rows: Vec::new(),
            n_run: 0,
            losses: Losses::default(),
        }
    }

    fn collect(mut self, section: &FrameSection<'section>) -> Result<Rows, UnwindError> {
        let mut context = UnwindContext::<usize, Storage>::new_in();
        let mut entries = Entries::new(section.bytes, section.kind);
        for entry in entries.by_ref() {
            self.add_entry(entry, &mut context)?;
        }
        self.losses.is_truncated = entries.is_truncated();
        let n_functions = self.functions.len();
        let (rows, n_duplicate) = order::one_list(&mut self.functions, &self.rows);
        if rows.len() > MAX_ROWS_PER_FILE {
            return Err(UnwindError::TooManyRows { limit: MAX_ROWS_PER_FILE });
        }
        self.losses.n_duplicate = n_duplicate;
        Ok(Rows {
            rows,
            rules: self.dictionary.into_rules(),
            n_functions: u32::try_from(n_functions).unwrap_or(u32::MAX),
            functions: Functions::new(self.functions.iter().map(|function| function.start..function.end)),
            losses: self.losses,
        })
    }

    fn add_entry(
        &mut self,
        entry: Entry,
        context: &mut UnwindContext<usize, Storage>,
    ) -> Result<(), UnwindError> {
        let Some(function) = self.read(entry) else {
            self.losses.n_unreadable = self.losses.n_unreadable.saturating_add(1);
            return Ok(());
        };
        if function.len() == 0 {
            return Ok(());
        }
        let Some((start, end)) = self.place(function.initial_address(), function.len()) else {
            self.losses.n_outside_code = self.losses.n_outside_code.saturating_add(1);
            return Ok(());
        };
        let work_bytes = entry.size_bytes.saturating_add(function.cie().entry_len());
        self.work_bytes = self.work_bytes.saturating_add(work_bytes);
        if self.work_bytes > self.max_work_bytes {
            return Err(UnwindError::TooMuchWork { limit_bytes: self.max_work_bytes });
        }
        if self.functions.len() >= MAX_FUNCTIONS {
            return Err(UnwindError::TooManyFunctions { limit: MAX_FUNCTIONS });
        }
        let first_row = self.rows.len();
        self.run(&function, start, end, context);
        if self.n_run > MAX_ROWS_PER_FILE {
            return Err(UnwindError::TooManyRows { limit: MAX_ROWS_PER_FILE });
        }
        self.functions.push(Function {
            start,
            end,
            first_row: u32::try_from(first_row).unwrap_or(u32::MAX),
            n_rows: u32::try_from(self.rows.len().saturating_sub(first_row)).unwrap_or(u32::MAX),
        });
        Ok(())
    }

    fn read(&mut self, entry: Entry) -> Option<FrameDescriptionEntry<Bytes<'section>>> {
        let partial = self.section.partial_fde_from_offset(&self.bases, entry.offset.into()).ok()?;
        let shared = &mut self.shared;
        let function = partial.parse(|section, bases, offset| {
            let key = UnwindOffset::into(offset);
            if let Some(known) = shared.get(&key) {
                return Ok(known.clone());
            }
            let new = section.cie_from_offset(bases, offset)?;
            if shared.len() >= MAX_SHARED {
                shared.clear();
            }
            shared.insert(key, new.clone());
            Ok(new)
        });
        function.ok().filter(|function| function.cie().address_size() == 8)
    }

    /// Where in the file a function starts and ends, cut where its segment does.
    fn place(&self, svma: u64, size_bytes: u64) -> Option<(u32, u32)> {
        let after = self.code.partition_point(|segment| segment.svma <= svma);
        let segment = self.code.get(after.checked_sub(1)?)?;
        let within = svma.checked_sub(segment.svma)?;
        let room_bytes = segment.size_bytes.checked_sub(within).filter(|&bytes| bytes > 0)?;
        let start = segment.file_offset.checked_add(within)?;
        let end = start.checked_add(size_bytes.min(room_bytes))?.min(u32::MAX.into());
        let (start, end) = (u32::try_from(start).ok()?, u32::try_from(end).ok()?);
        (start < end).then_some((start, end))
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
        let mut rule_before = None;
        let Ok(mut table) = function.rows(&self.section, &self.bases, context) else {
            return self.broken(start);
        };
        while at < size_bytes && self.n_run <= MAX_ROWS_PER_FILE {
            self.n_run = self.n_run.saturating_add(1);
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
            let rule = self.dictionary.number_of(rule_of(row, &self.section, encoding, is_signal));
            if rule_before.replace(rule) != Some(rule) {
                self.rows.push(Row { file_offset: start.saturating_add(at), rule });
            }
            at = u32::try_from(next).unwrap_or(u32::MAX);
        }
    }

    /// Nothing is known from here on to the end of the function.
    fn broken(&mut self, file_offset: u32) {
        self.losses.n_broken = self.losses.n_broken.saturating_add(1);
        let rule = self.dictionary.number_of(Unsupported::BrokenDescription.rule());
        self.rows.push(Row { file_offset, rule });
    }
}
