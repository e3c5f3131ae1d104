//! What must hold of every unwind table: the agent and the kernel side read the same rule at every instruction.

use abi::unwind::{
    FileTable, IndexEntry, MAX_ROWS_PER_QUARTER, PAGE_BITS, ROWS_PER_LINE, UnwindLine, UnwindRule,
};
use agent::unwind::{self, Table};
use ebpf::rows::{self, Rows};

/// Instructions looked up, at most.
const MAX_PROBES: u64 = 512;
/// Lines that the agent keeps between the last file's and the array's end, because a search may look there.
const SEARCH_MARGIN: usize = MAX_ROWS_PER_QUARTER * 2 / ROWS_PER_LINE;

/// A table as the kernel side has it: at the start of each array, with another file's rows after its own.
struct Arrays<'table>(&'table Table);

/// Of another file: what comes from it is seen.
const OTHER_FILE: UnwindLine = UnwindLine { pc_low: [0; 64], rule: [0xee; 64] };

impl Rows for Arrays<'_> {
    fn line(&self, number: u32) -> Option<&UnwindLine> {
        let number = number as usize;
        let past_end = number.checked_sub(self.0.lines.len());
        match self.0.lines.get(number) {
            None if past_end.is_some_and(|past_end| past_end < SEARCH_MARGIN) => Some(&OTHER_FILE),
            own => own,
        }
    }

    fn index(&self, number: u32) -> Option<IndexEntry> {
        self.0.index.get(number as usize).copied()
    }

    fn rule(&self, number: u32) -> Option<UnwindRule> {
        self.0.rules.get(number as usize).copied()
    }
}

pub(crate) fn check(table: &Table) {
    let FileTable { first_page, n_pages, .. } = table.layout;
    assert_eq!((n_pages as usize, table.layout.n_rules as usize), (table.index.len(), table.rules.len()));
    let first = u64::from(first_page) << PAGE_BITS;
    let size_bytes = u64::from(n_pages) << PAGE_BITS;
    // A stride without a common factor with the size of a page visits every place in a page.
    let stride = (size_bytes / MAX_PROBES) | 1;
    let within = (0..MAX_PROBES.min(size_bytes)).map(|i| first + i * stride);
    for offset in within.chain([0, first.wrapping_sub(1), first + size_bytes, u64::from(u32::MAX), u64::MAX])
    {
        agree(table, offset);
        if let Some(start) = table.functions.start_of(offset) {
            assert!(start <= offset, "a function that starts after {offset:#x}, at {start:#x}");
            agree(table, start);
        }
    }
}

/// Looks one instruction up on both sides.
pub(crate) fn agree(table: &Table, offset: u64) -> UnwindRule {
    let by_agent = unwind::lookup(table, offset);
    // The kernel side is asked for offsets that fit a frame.
    if offset < 1 << abi::frame::OFFSET_BITS {
        let by_kernel = rows::find(&Arrays(table), &table.layout, offset).unwrap_or(UnwindRule::NONE);
        assert_eq!(by_kernel, by_agent, "at {offset:#x}: the kernel side, and the agent");
    }
    by_agent
}
