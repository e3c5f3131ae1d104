//! The executable memory of a process: from this CPU's cache, or searched in its mappings and in the unwind tables
//! of its files.

use abi::{
    frame::{Frame, PackedFrame},
    limits::BLOCKS_PER_TABLE_PIECE,
    mapping::{MappingHeader, TABLE_INCOMPLETE},
    unwind::{CFA_PENDING, IndexEntry, TableBlock, UnwindLine, UnwindRule, WORDS_PER_BLOCK},
};
use ebpf::{
    lookup,
    rows::{self, Rows},
    walk::Code,
};

use super::maps::{FILES, LARGE_MAPPINGS, MAPPINGS, PIECES};

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

/// What is known of the mapping table of a process before its stack is walked.
#[repr(C)]
pub(super) struct KnownTable {
    pub(super) tgid: u64,
    /// [`NO_TABLE`], [`SMALL_TABLE`] or [`LARGE_TABLE`].
    pub(super) kind: u64,
    pub(super) header: MappingHeader,
}

/// The executable memory of a process, with a cache.
pub(super) struct ProcessCode<'a> {
    tgid: u64,
    /// [`NO_TABLE`], [`SMALL_TABLE`] or [`LARGE_TABLE`].
    kind: u64,
    /// `TABLE_*` bits.
    flags: u32,
    table_id: u64,
    cache: &'a mut Cache,
}

/// The process has no mapping table.
pub(super) const NO_TABLE: u64 = 0;
/// It is in [`MAPPINGS`].
pub(super) const SMALL_TABLE: u64 = 1;
/// It is in [`LARGE_MAPPINGS`].
pub(super) const LARGE_TABLE: u64 = 2;

impl<'a> ProcessCode<'a> {
    /// A table is known by its process and the moment it was written: no two have both. That of a forked child
    /// is a copy, and finds what its parent found.
    #[inline(always)]
    pub(super) fn new(table: &KnownTable, cache: &'a mut Cache) -> Self {
        let KnownTable { tgid, kind, header } = *table;
        let table_id = header.as_of_ns << 22 ^ u64::from(header.tgid);
        Self { tgid, kind, flags: header.flags, table_id, cache }
    }
}

/// The frame that an address stands for, 0 where no mapping is. A global function, which the verifier goes through
/// once, and not for each kind of table in each frame of the walk. So it looks the table up again; the cache makes
/// that rare.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn brazier_frame_at(tgid: u64, kind: u64, address: u64) -> u64 {
    let tgid = tgid as u32;
    // SAFETY: only read. If the table has been replaced meanwhile, this is the new one, which the walk does not notice:
    // both describe one process, and differ in what it mapped between.
    let frame = unsafe {
        if kind == LARGE_TABLE {
            LARGE_MAPPINGS.get(&tgid).and_then(|table| lookup::find(table, address))
        } else {
            MAPPINGS.get(&tgid).and_then(|table| lookup::find(table, address))
        }
    };
    frame.map_or(0, |frame| frame.0)
}

impl Code for ProcessCode<'_> {
    #[inline(always)]
    fn find(&mut self, address: u64) -> Option<(PackedFrame, UnwindRule)> {
        let slot = (address.wrapping_mul(GOLDEN) >> SLOT_SHIFT) as usize & (CACHE_ENTRIES - 1);
        let cached = &mut self.cache[slot];
        if cached.address == address && cached.table == self.table_id {
            return Some((cached.frame, cached.rule));
        }
        if self.kind == NO_TABLE {
            return None;
        }
        let frame = PackedFrame(brazier_frame_at(self.tgid, self.kind, address));
        if frame.0 == 0 {
            return None;
        }
        let rule = rule_of(frame);
        // What is pending will not be so for long.
        if rule.cfa != CFA_PENDING {
            *cached = Cached { address, table: self.table_id, frame, rule };
        }
        Some((frame, rule))
    }

    #[inline(always)]
    fn elsewhere(&self) -> Option<UnwindRule> {
        if self.kind == NO_TABLE {
            // Without mappings nothing is known of the code, and a frame pointer proves nothing.
            Some(UnwindRule::PENDING)
        } else if self.flags & TABLE_INCOMPLETE != 0 {
            Some(UnwindRule::NONE)
        } else {
            None
        }
    }
}

/// How to unwind an instruction, from the tables.
#[inline(always)]
fn rule_of(frame: PackedFrame) -> UnwindRule {
    // Code made at run time has no table; nor has a file past the table of files.
    let Frame::File { file_id, offset } = frame.unpack() else { return UnwindRule::NONE };
    let Some(file) = FILES.get(file_id) else { return UnwindRule::NONE };
    rows::rule_of(&Tables, file, offset)
}

/// The tables of all files.
struct Tables;

impl Tables {
    #[inline(always)]
    fn block(number: u32) -> Option<*const TableBlock> {
        let piece = PIECES.get(number / BLOCKS_PER_TABLE_PIECE)?.get_ptr(0)?;
        // SAFETY: a map value, checked where it was looked up; the number is below its length.
        Some(unsafe { &raw const (*piece)[(number % BLOCKS_PER_TABLE_PIECE) as usize] })
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
