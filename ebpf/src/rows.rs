//! The rule of an instruction: a search, without branches, in the packed table of its file.

use abi::unwind::{
    CFA_FRAME_POINTER, CFA_NONE, FILE_HAS_ROWS, FILE_KEEPS_FRAME_POINTERS, FILE_PENDING, FileTable,
    IndexEntry, PAGE_BITS, QUARTER_BITS, ROWS_PER_LINE, UnwindLine, UnwindRule, rule_number,
};

use crate::branchless::less;

/// Steps that find a place among the 256 rows that a quarter can have.
const SEARCH_STEPS: u32 = 9;

/// The three arrays that hold the tables of all files.
pub trait Rows {
    /// A line of rows.
    fn line(&self, number: u32) -> Option<&UnwindLine>;
    /// An entry of the page index.
    fn index(&self, number: u32) -> Option<IndexEntry>;
    /// A rule of a dictionary.
    fn rule(&self, number: u32) -> Option<UnwindRule>;
}

/// How to unwind an instruction of a file, by its table and what is said of it.
#[inline(always)]
pub fn rule_of(rows: &impl Rows, file: &FileTable, file_offset: u64) -> UnwindRule {
    if file.state == FILE_PENDING {
        return UnwindRule::PENDING;
    }
    let mut rule = UnwindRule::NONE;
    if file.state & FILE_HAS_ROWS != 0 {
        rule = find(rows, file, file_offset).unwrap_or(UnwindRule::NONE);
    }
    if rule.cfa == CFA_NONE && file.state & FILE_KEEPS_FRAME_POINTERS != 0 {
        rule.cfa = CFA_FRAME_POINTER;
    }
    rule
}

/// The rule of the instruction at `file_offset`; `None` where the table does not reach, or is damaged.
#[inline(always)]
pub fn find(rows: &impl Rows, file: &FileTable, file_offset: u64) -> Option<UnwindRule> {
    let page = ((file_offset >> PAGE_BITS) as u32).wrapping_sub(file.first_page);
    if page >= file.n_pages {
        return None;
    }
    let (start, n_rows) = rows.index(file.first_index.wrapping_add(page))?.rows_of(file_offset);
    let low = file_offset & ((1 << QUARTER_BITS) - 1);

    // How many rows of the quarter start at or below the offset.
    let mut n_below = 0;
    let mut half = 1 << (SEARCH_STEPS - 1);
    while half > 0 {
        let candidate = n_below + half;
        let pc_low = u64::from(row(rows, file, start.wrapping_add(candidate as u32).wrapping_sub(1))?.0);
        n_below += half * (less(pc_low, low + 1) & less(candidate, u64::from(n_rows) + 1));
        half /= 2;
    }
    // The row before that place, in an earlier quarter if this one has none. Row 0 is before everything.
    let at = start.wrapping_add(n_below as u32).wrapping_sub(1);
    let (_, byte) = row(rows, file, at)?;
    let (_, byte_before) = row(rows, file, at.wrapping_sub(1))?;
    rows.rule(file.first_rule.wrapping_add(rule_number(byte, byte_before)))
}

/// A row of a file: low byte of its offset, and its rule's byte. Past the file's rows it is another file's, which
/// the caller never uses.
#[inline(always)]
fn row(rows: &impl Rows, file: &FileTable, number: u32) -> Option<(u8, u8)> {
    let line = rows.line(file.first_line.wrapping_add(number / ROWS_PER_LINE as u32))?;
    let i = number as usize % ROWS_PER_LINE;
    Some((line.pc_low[i], line.rule[i]))
}
