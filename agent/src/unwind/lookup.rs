//! Reads the packed form back, as the kernel side does; see [`abi::unwind`] for the steps.

use super::compact::Table;
use abi::unwind::{PAGE_BITS, ROWS_PER_LINE, UnwindRule, rule_number};

/// The rule for the instruction at `file_offset`.
#[must_use]
pub fn lookup(table: &Table, file_offset: u64) -> UnwindRule {
    search(table, file_offset).unwrap_or(UnwindRule::NONE)
}

fn search(table: &Table, file_offset: u64) -> Option<UnwindRule> {
    let page = (file_offset >> PAGE_BITS).checked_sub(table.layout.first_page.into())?;
    let entry = table.index.get(usize::try_from(page).ok()?)?;
    let (first, n) = entry.rows_of(file_offset);
    let pc_low = file_offset.to_le_bytes()[0];
    let n_at_or_below = (0..n)
        .map_while(|i| row(table, first.checked_add(i)?))
        .take_while(|&(start, _)| start <= pc_low)
        .count();
    let number = first.checked_add(u32::try_from(n_at_or_below).ok()?)?.checked_sub(1)?;
    let (_, byte) = row(table, number)?;
    let (_, byte_before) = row(table, number.saturating_sub(1))?;
    table.rules.get(rule_number(byte, byte_before) as usize).copied()
}

/// Low byte of the offset, and rule byte.
fn row(table: &Table, number: u32) -> Option<(u8, u8)> {
    let number = number as usize;
    let line = table.lines.get(number / ROWS_PER_LINE)?;
    let slot = number % ROWS_PER_LINE;
    Some((line.pc_low[slot], line.rule[slot]))
}
