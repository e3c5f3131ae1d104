//! A process made out of a fuzzer's bytes: registers, stack memory, mappings, unwind tables, rules.
//!
//! Words are spelt by a kind and a small number, so that one changed byte leads to another frame more often than
//! out of the process; every value can be spelt all the same.

use abi::{
    frame::{Frame, PackedFrame},
    mapping::{FILE_ANONYMOUS, LargeTable, MappingEntry, TABLE_INCOMPLETE},
    unwind::{FileTable, IndexEntry, ROWS_PER_LINE, UnwindLine, UnwindRule},
};
use arbitrary::{Result, Unstructured};
use ebpf::{
    lookup,
    rows::{self, Rows},
    unwind::{ReadUser, Registers},
    walk::Code,
};

/// Where the stack starts.
const STACK: u64 = 0x7ffc_0000_0000;
/// Where code starts.
const CODE: u64 = 0x40_0000;
/// Distance of one mapping from the next.
const MAPPING_STRIDE: u64 = 0x1_0000;

const MAX_STACK_WORDS: usize = 1200;
const MAX_MAPPINGS: usize = 8;
const MAX_RULES: usize = 32;
const MAX_LINES: usize = 4;
const MAX_INDEX: usize = 8;

/// A process.
pub(crate) struct World {
    pub(crate) registers: Registers,
    others: [u64; 16],
    /// None if nothing is known of the process yet.
    table: Option<Box<LargeTable>>,
    /// Files with an even number have these rules, one for each 64 bytes, over and over.
    rules: Vec<UnwindRule>,
    /// The others have this table, for what it is worth.
    file: FileTable,
    arrays: Arrays,
    words: Vec<u64>,
    /// Number of the read that fails in the second walk.
    pub(crate) failing_read: u16,
}

/// The three arrays of all files.
struct Arrays {
    lines: Vec<UnwindLine>,
    index: Vec<IndexEntry>,
    rules: Vec<UnwindRule>,
}

impl Rows for Arrays {
    fn line(&self, number: u32) -> Option<&UnwindLine> {
        self.lines.get(number as usize)
    }

    fn index(&self, number: u32) -> Option<IndexEntry> {
        self.index.get(number as usize).copied()
    }

    fn rule(&self, number: u32) -> Option<UnwindRule> {
        self.rules.get(number as usize).copied()
    }
}

impl World {
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let u = &mut Unstructured::new(bytes);
        let failing_read = u.arbitrary()?;
        let registers = Registers { ip: word(u)?, sp: word(u)?, bp: word(u)? };
        let mut others = [0; 16];
        for other in &mut others {
            *other = word(u)?;
        }
        let table = table(u)?;
        let rules = (0..u.int_in_range(1..=MAX_RULES)?).map(|_| rule(u)).collect::<Result<_>>()?;
        let (file, arrays) = arrays(u)?;
        let mut words = Vec::new();
        while !u.is_empty() && words.len() < MAX_STACK_WORDS {
            words.push(word(u)?);
        }
        Ok(Self { registers, others, table, rules, file, arrays, words, failing_read })
    }

    /// Its stack, of which the read of this number fails.
    pub(crate) fn memory(&self, failing_read: Option<u64>) -> Memory<'_> {
        Memory { world: self, failing_read, n_reads: 0, has_failed: false }
    }
}

/// Where the words are spelt: nothing, any word, a place in the stack or in the code, near either.
fn word(u: &mut Unstructured<'_>) -> Result<u64> {
    let kind: u8 = u.arbitrary()?;
    Ok(match kind & 7 {
        0 => 0,
        1 => u.arbitrary()?,
        2 => STACK + u64::from(u.arbitrary::<u16>()?),
        3 | 4 => STACK + 8 * u64::from(u.arbitrary::<u8>()?),
        5 => CODE + u64::from(u.arbitrary::<u16>()?) + MAPPING_STRIDE * u64::from(kind >> 5),
        6 => CODE + 64 * u64::from(u.arbitrary::<u8>()?) + MAPPING_STRIDE * u64::from(kind >> 5),
        _ => u64::MAX - u64::from(u.arbitrary::<u8>()?),
    })
}

fn table(u: &mut Unstructured<'_>) -> Result<Option<Box<LargeTable>>> {
    let how: u8 = u.arbitrary()?;
    if how == 0 {
        return Ok(None);
    }
    let mut table = Box::new(LargeTable::EMPTY);
    table.header.flags = if how & 1 != 0 { TABLE_INCOMPLETE } else { 0 };
    for i in 0..usize::from(how >> 4).min(MAX_MAPPINGS) {
        let start = CODE + i as u64 * MAPPING_STRIDE;
        let kind: u8 = u.arbitrary()?;
        let entry = if kind < 200 {
            MappingEntry { bias: start, n_pages: 16, file_id: u32::from(kind >> 4) }
        } else {
            MappingEntry { bias: u.arbitrary()?, n_pages: u.arbitrary()?, file_id: u.arbitrary()? }
        };
        // Out of order, too: the search must end all the same.
        table.starts[i] = if kind & 15 == 15 { u.arbitrary()? } else { start };
        table.entries[i] = entry;
    }
    Ok(Some(table))
}

/// As any bytes, or as what is usual with small numbers.
fn rule(u: &mut Unstructured<'_>) -> Result<UnwindRule> {
    let (cfa, registers): (u8, u8) = (u.arbitrary()?, u.arbitrary()?);
    let [rbp, a, b]: [i8; 3] = u.arbitrary()?;
    let eightfold = |n: i8| i16::from(n) * 8;
    Ok(if registers & 0x40 != 0 {
        UnwindRule { cfa, registers, rbp_offset: u.arbitrary()?, offset: u.arbitrary()? }
    } else {
        let is_one_number = b == 0;
        let offset =
            if is_one_number { eightfold(a).into() } else { UnwindRule::halves(eightfold(a), eightfold(b)) };
        UnwindRule { cfa, registers, rbp_offset: eightfold(rbp), offset }
    })
}

fn arrays(u: &mut Unstructured<'_>) -> Result<(FileTable, Arrays)> {
    let mut lines = Vec::new();
    for _ in 0..u.int_in_range(0..=MAX_LINES)? {
        let mut line = UnwindLine::EMPTY;
        // A few rows, and the last one repeated.
        let n: u8 = u.arbitrary()?;
        let mut row = (0, 0);
        for i in 0..ROWS_PER_LINE {
            if i < usize::from(n) {
                row = u.arbitrary()?;
            }
            (line.pc_low[i], line.rule[i]) = row;
        }
        lines.push(line);
    }
    let index =
        (0..u.int_in_range(0..=MAX_INDEX)?).map(|_| u.arbitrary().map(IndexEntry)).collect::<Result<_>>()?;
    let rules = (0..u.int_in_range(0..=MAX_RULES)?).map(|_| rule(u)).collect::<Result<_>>()?;
    let wild: u8 = u.arbitrary()?;
    let mut file = FileTable { n_pages: 64, ..FileTable::default() };
    if wild & 1 != 0 {
        file.first_page = u.arbitrary()?;
        file.n_pages = u.arbitrary()?;
        file.first_index = u.arbitrary()?;
        file.first_line = u.arbitrary()?;
        file.first_rule = u.arbitrary()?;
    }
    Ok((file, Arrays { lines, index, rules }))
}

/// The stack of a process, with a read that fails.
pub(crate) struct Memory<'world> {
    world: &'world World,
    failing_read: Option<u64>,
    /// Reads so far.
    pub(crate) n_reads: u64,
    /// A read found nothing, by intent or because nothing is there.
    pub(crate) has_failed: bool,
}

impl ReadUser for Memory<'_> {
    fn word(&mut self, address: u64) -> Option<u64> {
        assert!(!self.has_failed, "{address:#x} is read after a read that failed");
        let number = self.n_reads;
        self.n_reads += 1;
        let at = address.wrapping_sub(STACK);
        let word = usize::try_from(at / 8).ok().and_then(|i| self.world.words.get(i)).copied();
        let word = word.filter(|_| self.failing_read != Some(number));
        self.has_failed = word.is_none();
        word
    }

    fn leaf_register(&self, number: u8) -> u64 {
        self.world.others[usize::from(number & 15)]
    }
}

impl Code for &World {
    fn find(&mut self, address: u64) -> Option<(PackedFrame, UnwindRule)> {
        let frame = lookup::find(self.table.as_deref()?, address)?;
        let rule = match frame.unpack() {
            Frame::File { file_id: FILE_ANONYMOUS, .. } | Frame::Absolute(_) => UnwindRule::NONE,
            Frame::File { file_id, offset } if file_id % 2 == 0 => {
                let i = usize::try_from(offset >> 6).unwrap_or_default() % self.rules.len().max(1);
                self.rules.get(i).copied().unwrap_or_default()
            }
            Frame::File { offset, .. } => rows::find(&self.arrays, &self.file, offset).unwrap_or_default(),
        };
        Some((frame, rule))
    }

    fn elsewhere(&self) -> Option<UnwindRule> {
        match &self.table {
            None => Some(UnwindRule::PENDING),
            Some(table) if table.header.flags & TABLE_INCOMPLETE != 0 => Some(UnwindRule::NONE),
            Some(_) => None,
        }
    }
}
