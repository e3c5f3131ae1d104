//! The executable memory of a process: from this CPU's cache, or searched in its mappings and in the unwind tables
//! of its files.

use abi::{
    frame::{Frame, PackedFrame},
    limits::BLOCKS_PER_TABLE_PIECE,
    mapping::{MappingTable, TABLE_INCOMPLETE},
    unwind::{
        CFA_FRAME_POINTER, CFA_NONE, CFA_PENDING, FILE_HAS_ROWS, FILE_KEEPS_FRAME_POINTERS, FILE_PENDING,
        IndexEntry, TableBlock, UnwindLine, UnwindRule, WORDS_PER_BLOCK,
    },
};
use ebpf::{
    lookup,
    rows::{self, Rows},
    walk::Code,
};

use super::maps::{FILES, PIECES};

/// Entries of a cache: a proxy under load shows a few hundred different addresses, and a per-CPU map value cannot
/// have more than 32 KiB.
const CACHE_ENTRIES: usize = 1024;

/// Multiplier of Fibonacci hashing: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const SLOT_SHIFT: u32 = u64::BITS - CACHE_ENTRIES.trailing_zeros();

/// Addresses whose frame and rule were found before.
pub(super) type Cache = [Cached; CACHE_ENTRIES];

/// Half a cache line: a frame found again costs one access.
#[repr(C)]
pub(super) struct Cached {
    address: u64,
    /// Of the mapping table that it was found by; see [`ProcessCode::new`].
    table: u64,
    frame: PackedFrame,
    rule: UnwindRule,
}

/// The executable memory of a process, with a cache.
pub(super) struct ProcessCode<'a> {
    table: Option<&'a MappingTable>,
    table_id: u64,
    cache: &'a mut Cache,
}

impl<'a> ProcessCode<'a> {
    /// A table is known by its process and the moment it was written: no two have both. That of a forked child
    /// is a copy, and finds what its parent found.
    #[inline(always)]
    pub(super) fn new(table: Option<&'a MappingTable>, cache: &'a mut Cache) -> Self {
        let table_id = table.map_or(0, |table| table.as_of_ns << 22 ^ u64::from(table.tgid));
        Self { table, table_id, cache }
    }
}

impl Code for ProcessCode<'_> {
    #[inline(always)]
    fn find(&mut self, address: u64) -> Option<(PackedFrame, UnwindRule)> {
        let slot = (address.wrapping_mul(GOLDEN) >> SLOT_SHIFT) as usize & (CACHE_ENTRIES - 1);
        let cached = &mut self.cache[slot];
        if cached.address == address && cached.table == self.table_id {
            return Some((cached.frame, cached.rule));
        }
        let frame = lookup::find(self.table?, address)?;
        let rule = rule_of(frame);
        // What is pending will not be so for long.
        if rule.cfa != CFA_PENDING {
            *cached = Cached { address, table: self.table_id, frame, rule };
        }
        Some((frame, rule))
    }

    #[inline(always)]
    fn elsewhere(&self) -> Option<UnwindRule> {
        match self.table {
            // Without mappings nothing is known of the code, and a frame pointer proves nothing.
            None => Some(UnwindRule::PENDING),
            Some(table) if table.flags & TABLE_INCOMPLETE != 0 => Some(UnwindRule::NONE),
            Some(_) => None,
        }
    }
}

/// How to unwind an instruction, from the tables.
#[inline(always)]
fn rule_of(frame: PackedFrame) -> UnwindRule {
    // Code made at run time has no table; nor has a file past the table of files.
    let Frame::File { file_id, offset } = frame.unpack() else { return UnwindRule::NONE };
    let Some(file) = FILES.get(file_id) else { return UnwindRule::NONE };
    if file.state == FILE_PENDING {
        return UnwindRule::PENDING;
    }
    let mut rule = UnwindRule::NONE;
    if file.state & FILE_HAS_ROWS != 0 {
        rule = rows::find(&Tables, file, offset).unwrap_or(UnwindRule::NONE);
    }
    if rule.cfa == CFA_NONE && file.state & FILE_KEEPS_FRAME_POINTERS != 0 {
        rule.cfa = CFA_FRAME_POINTER;
    }
    rule
}

/// The tables of all files.
struct Tables;

impl Tables {
    #[inline(always)]
    fn block(number: u32) -> Option<*const TableBlock> {
        let piece = PIECES.get(number / BLOCKS_PER_TABLE_PIECE)?;
        piece.get_ptr(number % BLOCKS_PER_TABLE_PIECE)
    }

    #[inline(always)]
    fn word(number: u32) -> Option<u64> {
        let block = Self::block(number / WORDS_PER_BLOCK as u32)?;
        // SAFETY: a map value, checked where it was looked up.
        Some(unsafe { (*block).0[number as usize % WORDS_PER_BLOCK] })
    }
}

impl Rows for Tables {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&UnwindLine> {
        // SAFETY: a map value, checked where it was looked up; a line is as large, and every bit pattern is one.
        Some(unsafe { &*Self::block(number)?.cast::<UnwindLine>() })
    }

    #[inline(always)]
    fn index(&self, number: u32) -> Option<IndexEntry> {
        Self::word(number).map(IndexEntry)
    }

    #[inline(always)]
    fn rule(&self, number: u32) -> Option<UnwindRule> {
        Self::word(number).map(UnwindRule::from_word)
    }
}
