//! Functions that no call frame information describes: hand-written assembly. Their symbols say where they are, and
//! their instructions how far the stack pointer is from where they were entered.
//!
//! Only what every path agrees on becomes rows ([`height`]); a function that does anything else with its stack
//! pointer has none, as before.

pub(super) mod height;

use ::object::elf;

use super::{CodeSegment, Row, Rows, Table};
use crate::object::{Elf, read_bytes};
use abi::unwind::{MAX_ROWS_PER_FILE, MAX_RULES_PER_FILE, RULE_NONE, UnwindRule};

const SYMBOL_BYTES: usize = 24;
/// Largest symbol table read: Node's has 3 MiB.
const MAX_TABLE_BYTES: u64 = 64 << 20;
/// A file with more of them than this is not one with some assembly in it, but one of another kind of code.
const MAX_FUNCTIONS: usize = 4096;
/// The longest in nettle and GMP have 5 KiB.
const MAX_FUNCTION_BYTES: u64 = 64 << 10;

/// Bytes of such functions that are gone through in one file. Those of nettle and GMP together have 200 KiB.
const MAX_WORK_BYTES: u64 = 4 << 20;

/// A function that no call frame information describes, followed.
struct Followed {
    start: u32,
    end: u32,
    steps: Vec<height::Step>,
}

/// Adds rows for the functions of the file that have symbols and no rows yet; says whether there were any.
pub(super) fn add(elf: &Elf<'_>, code: &[CodeSegment], rows: &mut Rows) -> bool {
    let found = followed(elf, code, |start, size_bytes| is_undescribed(start, size_bytes, rows));
    let mut added = Vec::new();
    for Followed { start, end, steps } in &found {
        added.extend(steps.iter().map(|step| Row {
            file_offset: start.saturating_add(step.offset),
            rule: step.rule.map_or(RULE_NONE.into(), |rule| number_of(rule, &mut rows.rules)),
        }));
        added.push(Row { file_offset: *end, rule: RULE_NONE.into() });
    }
    merge(&mut rows.rows, added.into_iter());
    !found.is_empty()
}

/// Whether this file has such functions where a table made without them has none: a file with the same call frame
/// information need not have the same symbols, nor the same assembly.
pub(super) fn would_add(elf: &Elf<'_>, code: &[CodeSegment], table: &Table) -> bool {
    let is_undescribed = |start, size_bytes| !table.functions.overlap(start, size_bytes);
    !followed(elf, code, is_undescribed).is_empty()
}

fn followed(elf: &Elf<'_>, code: &[CodeSegment], is_undescribed: impl Fn(u32, u64) -> bool) -> Vec<Followed> {
    let mut work_bytes = 0_u64;
    let mut found: Vec<Followed> = Vec::new();
    for (start, size_bytes) in undescribed(elf, code, is_undescribed) {
        work_bytes = work_bytes.saturating_add(size_bytes);
        if work_bytes > MAX_WORK_BYTES {
            break;
        }
        let Ok(bytes) = read_bytes(elf.file(), start.into(), size_bytes, MAX_FUNCTION_BYTES) else {
            continue;
        };
        let past_last = found.last().map_or(0, |function| function.end);
        let Some(steps) = height::of_function(&bytes).filter(|_| start >= past_last) else { continue };
        let end = start.saturating_add(u32::try_from(size_bytes).unwrap_or(u32::MAX));
        found.push(Followed { start, end, steps });
    }
    found
}

/// Start in the file and size of the functions, sorted, each once.
fn undescribed(
    elf: &Elf<'_>,
    code: &[CodeSegment],
    is_undescribed: impl Fn(u32, u64) -> bool,
) -> Vec<(u32, u64)> {
    let mut functions = Vec::new();
    for name in [".dynsym", ".symtab"] {
        let Some(section) = elf.section(name) else { continue };
        let Ok(bytes) = elf.section_bytes(section, MAX_TABLE_BYTES) else { continue };
        for symbol in bytes.chunks_exact(SYMBOL_BYTES) {
            let Some((svma, size_bytes)) = function(symbol) else { continue };
            let Some(start) = place(svma, size_bytes, code) else { continue };
            if is_undescribed(start, size_bytes) {
                functions.push((start, size_bytes));
            }
        }
    }
    functions.sort_unstable();
    functions.dedup_by_key(|(start, _)| *start);
    if functions.len() > MAX_FUNCTIONS { Vec::new() } else { functions }
}

/// Address and size, of a symbol that is a function defined here.
fn function(symbol: &[u8]) -> Option<(u64, u64)> {
    let (kind, section) = (symbol.get(4)? & 0xf, symbol.get(6..8)?);
    let number = |at| Some(u64::from_le_bytes(*symbol.get(at..)?.first_chunk()?));
    let (svma, size_bytes) = (number(8)?, number(16)?);
    let is_function = kind == elf::STT_FUNC.0 && section != [0, 0];
    (is_function && (1..=MAX_FUNCTION_BYTES).contains(&size_bytes)).then_some((svma, size_bytes))
}

/// Where in the file it starts, if all of it is there.
fn place(svma: u64, size_bytes: u64, code: &[CodeSegment]) -> Option<u32> {
    code.iter().find_map(|segment| {
        let within = svma.checked_sub(segment.svma)?;
        let end = within.checked_add(size_bytes).filter(|end| *end <= segment.size_bytes)?;
        u32::try_from(segment.file_offset.checked_add(end)?).ok()?;
        u32::try_from(segment.file_offset.checked_add(within)?).ok()
    })
}

/// Whether no rule but "none" holds anywhere in it.
fn is_undescribed(start: u32, size_bytes: u64, rows: &Rows) -> bool {
    let after = rows.rows.partition_point(|row| row.file_offset <= start);
    let before = after.checked_sub(1).and_then(|last| rows.rows.get(last));
    let is_none = |row: &Row| row.rule == u16::from(RULE_NONE);
    let mut inside = rows.rows.iter().skip(after).take_while(|row| {
        row.file_offset.checked_sub(start).is_some_and(|within| u64::from(within) < size_bytes)
    });
    before.is_none_or(is_none) && inside.all(is_none)
}

/// "None", where the dictionary has no room.
fn number_of(rule: UnwindRule, rules: &mut Vec<UnwindRule>) -> u16 {
    let known = rules.iter().position(|known| *known == rule);
    let number = known.or_else(|| {
        (rules.len() < MAX_RULES_PER_FILE).then(|| {
            rules.push(rule);
            rules.len().saturating_sub(1)
        })
    });
    number.and_then(|number| u16::try_from(number).ok()).unwrap_or(RULE_NONE.into())
}

/// One list again: of two rows at one place, the one with a rule.
fn merge(rows: &mut Vec<Row>, added: impl Iterator<Item = Row>) {
    let n_before = rows.len();
    rows.extend(added);
    if rows.len() == n_before {
        return;
    }
    rows.sort_by_key(|row| (row.file_offset, row.rule == u16::from(RULE_NONE)));
    rows.dedup_by_key(|row| row.file_offset);
    let mut rule_before = u16::from(RULE_NONE);
    rows.retain(|row| std::mem::replace(&mut rule_before, row.rule) != row.rule);
    // So many do not come together; if they did, what the file says itself is worth more.
    if rows.len() > MAX_ROWS_PER_FILE {
        rows.truncate(MAX_ROWS_PER_FILE.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(list: &[(u32, u16)]) -> Vec<Row> {
        list.iter().map(|&(file_offset, rule)| Row { file_offset, rule }).collect()
    }

    #[test]
    fn rows_are_added_between_functions_and_end_where_the_next_one_starts() {
        let mut list = rows(&[(10, 2), (20, 0), (40, 3), (50, 0)]);
        merge(&mut list, rows(&[(20, 4), (30, 5), (40, 0), (60, 4), (70, 0)]).into_iter());
        assert_eq!(list, rows(&[(10, 2), (20, 4), (30, 5), (40, 3), (50, 0), (60, 4), (70, 0)]));
    }

    #[test]
    fn a_function_is_undescribed_when_no_rule_holds_in_any_part_of_it() {
        let rows = Rows { rows: rows(&[(10, 2), (20, 0), (40, 3), (50, 0)]), ..Rows::default() };
        let seen = [(0, 10), (0, 11), (15, 2), (20, 20), (20, 21), (50, 99)]
            .map(|(start, size_bytes)| is_undescribed(start, size_bytes, &rows));
        assert_eq!(seen, [true, false, false, true, false, true]);
    }

    #[test]
    fn symbols_that_are_no_function_of_this_file_are_left_out() {
        let symbol = |kind: u8, section: u8, size_bytes: u64| {
            let mut bytes = vec![0; SYMBOL_BYTES];
            (bytes[4], bytes[6], bytes[8]) = (kind, section, 0x40);
            bytes[16..].copy_from_slice(&size_bytes.to_le_bytes());
            function(&bytes)
        };
        assert_eq!(symbol(0x12, 1, 16), Some((0x40, 16)));
        assert_eq!(symbol(0x11, 1, 16), None, "an object");
        assert_eq!(symbol(0x12, 0, 16), None, "of another file");
        assert_eq!(symbol(0x12, 1, 0), None, "without a size");
        assert_eq!(symbol(0x12, 1, u64::MAX), None, "larger than any function");
    }
}
