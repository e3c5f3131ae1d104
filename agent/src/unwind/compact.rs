//! Rows, packed: about two and a half bytes each, in the layout of [`abi::unwind`].

use std::collections::BTreeMap;

use super::{
    error::UnwindError,
    functions::Functions,
    key::TableKey,
    rows::{Losses, Row, Rows},
    rule::Unsupported,
};
use abi::unwind::{
    FIRST_BANK, FileTable, IndexEntry, MAX_PAGES_PER_FILE, MAX_ROWS_PER_FILE, MAX_ROWS_PER_QUARTER,
    PAGE_BITS, QUARTER_BITS, ROWS_PER_LINE, RULE_NONE, RULE_OVER_LIMIT, UnwindLine, UnwindRule,
};

/// The packed table of one file, and what is known about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// What it was made from; `None` if that has no name.
    pub key: Option<TableKey>,
    /// Where each part is, from the start of that part: add where the runs are put.
    pub layout: FileTable,
    /// A run for LINES.
    pub lines: Vec<UnwindLine>,
    /// A run for INDEX.
    pub index: Vec<IndexEntry>,
    /// A run for RULES.
    pub rules: Vec<UnwindRule>,
    /// Functions described.
    pub n_functions: u32,
    /// Where they are, for the agent alone.
    pub functions: Functions,
    /// Rows before packing.
    pub n_rows: u32,
    /// How many of them have no rule to walk with, by the reason.
    pub unsupported: BTreeMap<Unsupported, u32>,
    /// What was not understood of the file.
    pub losses: Losses,
}

impl Table {
    /// Bytes in the kernel's arrays.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        size_of_val(self.lines.as_slice())
            .saturating_add(size_of_val(self.index.as_slice()))
            .saturating_add(size_of_val(self.rules.as_slice()))
    }
}

/// Packs rows.
pub fn pack(rows: &Rows) -> Result<Table, UnwindError> {
    let (Some(first), Some(last)) = (rows.rows.first(), rows.rows.last()) else {
        return Ok(Table::default());
    };
    let first_page = first.file_offset >> PAGE_BITS;
    let n_pages = (last.file_offset >> PAGE_BITS).saturating_sub(first_page).saturating_add(1);
    if n_pages as usize > MAX_PAGES_PER_FILE {
        return Err(UnwindError::TooWide { n_pages: n_pages as usize, limit: MAX_PAGES_PER_FILE });
    }

    let n_uses = count_uses(rows);
    let (numbers, rules) = by_use(rows, &n_uses);
    let mut packer = Packer::new(numbers, n_pages as usize);
    let mut rest = rows.rows.as_slice();
    for page in first_page..first_page.saturating_add(n_pages) {
        rest = packer.page(page, rest)?;
    }
    let mut unsupported: BTreeMap<Unsupported, u32> = rows
        .rules
        .iter()
        .zip(&n_uses)
        .filter_map(|(&rule, &n)| Some((Unsupported::of(rule)?, n)))
        .filter(|&(_, n)| n > 0)
        .collect();
    if packer.n_over_limit > 0 {
        let n = unsupported.entry(Unsupported::OverLimit).or_default();
        *n = n.saturating_add(packer.n_over_limit);
    }
    let layout = FileTable {
        first_page,
        n_pages,
        n_rows: packer.n_rows,
        n_rules: u32::try_from(rules.len()).unwrap_or(u32::MAX),
        ..FileTable::default()
    };
    Ok(Table {
        key: None,
        layout,
        lines: packer.lines,
        index: packer.index,
        rules,
        n_functions: rows.n_functions,
        functions: rows.functions.clone(),
        n_rows: u32::try_from(rows.rows.len()).unwrap_or(u32::MAX),
        unsupported,
        losses: rows.losses,
    })
}

/// How many rows each rule has.
fn count_uses(rows: &Rows) -> Vec<u32> {
    let mut n_uses = vec![0_u32; rows.rules.len()];
    for row in &rows.rows {
        if let Some(n) = n_uses.get_mut(usize::from(row.rule)) {
            *n = n.saturating_add(1);
        }
    }
    n_uses
}

/// Numbers the rules anew, the most used first, so that few need a bank; after the two that have their places.
/// Rules that no row uses are left out.
fn by_use(rows: &Rows, n_uses: &[u32]) -> (Vec<u16>, Vec<UnwindRule>) {
    const N_FIXED: usize = RULE_OVER_LIMIT as usize + 1;
    let mut used: Vec<(usize, u32)> =
        n_uses.iter().copied().enumerate().skip(N_FIXED).filter(|&(_, n)| n > 0).collect();
    used.sort_by_key(|&(_, n)| std::cmp::Reverse(n));

    let order = (0..N_FIXED).chain(used.into_iter().map(|(old, _)| old));
    let mut numbers = vec![u16::from(RULE_OVER_LIMIT); rows.rules.len()];
    let mut rules = Vec::new();
    for old in order {
        let (Some(&rule), Some(number)) = (rows.rules.get(old), numbers.get_mut(old)) else { continue };
        *number = u16::try_from(rules.len()).unwrap_or(u16::from(RULE_OVER_LIMIT));
        rules.push(rule);
    }
    (numbers, rules)
}

struct Packer {
    /// From the number in [`Rows::rules`] to the one in the table.
    numbers: Vec<u16>,
    lines: Vec<UnwindLine>,
    index: Vec<IndexEntry>,
    n_rows: u32,
    /// Rows whose quarter had no room for their rule.
    n_over_limit: u32,
}

impl Packer {
    fn new(numbers: Vec<u16>, n_pages: usize) -> Self {
        let mut packer = Self {
            numbers,
            lines: Vec::new(),
            index: Vec::with_capacity(n_pages),
            n_rows: 0,
            n_over_limit: 0,
        };
        // What holds before the first function.
        packer.push(0, RULE_NONE);
        packer
    }

    /// Packs the rows of one page, and gives those that follow it.
    fn page<'rows>(&mut self, page: u32, rows: &'rows [Row]) -> Result<&'rows [Row], UnwindError> {
        const QUARTERS_PER_PAGE: u32 = 1 << (PAGE_BITS - QUARTER_BITS);
        let first_row = self.n_rows;
        let mut ends = [0; QUARTERS_PER_PAGE as usize];
        let mut rest = rows;
        for (quarter, end) in (page * QUARTERS_PER_PAGE..).zip(&mut ends) {
            let n = rest.iter().take_while(|row| row.file_offset >> QUARTER_BITS == quarter).count();
            let (own, after) = rest.split_at(n);
            self.quarter(own);
            rest = after;
            *end = u16::try_from(self.n_rows - first_row).unwrap_or(u16::MAX);
        }
        if self.n_rows as usize > MAX_ROWS_PER_FILE {
            return Err(UnwindError::TooManyRows { limit: MAX_ROWS_PER_FILE });
        }
        self.index.push(IndexEntry::pack(first_row, ends));
        Ok(rest)
    }

    /// Packs the rows of a quarter: at most one for each of its bytes, so there is room for all of them, and
    /// for as many with a bank as leave that room.
    fn quarter(&mut self, rows: &[Row]) {
        let mut n_spare = MAX_ROWS_PER_QUARTER.saturating_sub(rows.len());
        for row in rows {
            let number = self.numbers.get(usize::from(row.rule)).copied().unwrap_or_default();
            let pc_low = row.file_offset.to_le_bytes()[0];
            match spell(number) {
                (byte, None) => self.push(pc_low, byte),
                (bank, Some(byte)) if n_spare > 0 => {
                    n_spare -= 1;
                    self.push(pc_low, byte);
                    self.push(pc_low, bank);
                }
                _ => {
                    self.n_over_limit = self.n_over_limit.saturating_add(1);
                    self.push(pc_low, RULE_OVER_LIMIT);
                }
            }
        }
    }

    fn push(&mut self, pc_low: u8, rule: u8) {
        let slot = self.n_rows as usize % ROWS_PER_LINE;
        if slot == 0 {
            self.lines.push(UnwindLine::EMPTY);
        }
        if let Some(line) = self.lines.last_mut() {
            line.pc_low[slot] = pc_low;
            line.rule[slot] = rule;
        }
        self.n_rows += 1;
    }
}

/// The byte of a row for a rule's number, and the byte of the row before it where it needs one. The other way
/// round is [`abi::unwind::rule_number`].
fn spell(number: u16) -> (u8, Option<u8>) {
    let [low, high] = number.wrapping_sub(u16::from(FIRST_BANK)).to_le_bytes();
    match u8::try_from(number) {
        Ok(byte) if byte < FIRST_BANK => (byte, None),
        _ => (FIRST_BANK.saturating_add(high), Some(low)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unwind::lookup;
    use abi::unwind::{MAX_RULES_PER_FILE, rule_number};
    use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

    fn rows_of(rows: Vec<Row>, n_rules: u16) -> Rows {
        let mut rules = vec![UnwindRule::NONE, Unsupported::OverLimit.rule()];
        rules.extend((2..n_rules).map(|i| UnwindRule {
            cfa: 0x17,
            registers: 0,
            rbp_offset: 0,
            offset: i.into(),
        }));
        Rows { rows, rules, ..Rows::default() }
    }

    /// What the packed form should say: the last row at or below the offset.
    fn expected(rows: &Rows, file_offset: u64) -> UnwindRule {
        let n = rows.rows.partition_point(|row| u64::from(row.file_offset) <= file_offset);
        n.checked_sub(1).map_or(UnwindRule::NONE, |i| rows.rules[usize::from(rows.rows[i].rule)])
    }

    #[test]
    fn every_number_is_spelt_as_it_is_read() {
        for number in 0..MAX_RULES_PER_FILE as u16 {
            let (byte, before) = spell(number);
            assert_eq!(rule_number(byte, before.unwrap_or(0xaa)), u32::from(number), "{byte} {before:?}");
        }
    }

    #[test]
    fn a_row_at_every_byte_fits_and_rare_rules_among_them_are_over_limit() {
        // 1,024 rows of 300 rules on one page: those past the first part of the dictionary find no room.
        let mut list: Vec<Row> =
            (0..1024).map(|i| Row { file_offset: 0x1400 + i, rule: (2 + i % 298) as u16 }).collect();
        list.push(Row { file_offset: 0x1800, rule: 0 });
        let rows = rows_of(list, 300);
        let table = pack(&rows).expect("packs");
        let direct: Vec<UnwindRule> = table.rules[..usize::from(FIRST_BANK)].to_vec();
        let mut n_over_limit = 0;
        for offset in 0x1400..0x1800 {
            let (wanted, seen) = (expected(&rows, offset), lookup(&table, offset));
            if direct.contains(&wanted) {
                assert_eq!(seen, wanted, "at {offset:#x}");
            } else {
                assert_eq!(seen, Unsupported::OverLimit.rule(), "at {offset:#x}");
                n_over_limit += 1;
            }
        }
        let counted = table.unsupported.get(&Unsupported::OverLimit).copied();
        assert_eq!((counted, table.layout.n_rows), (Some(n_over_limit), 1026));
        assert!(n_over_limit > 100, "{n_over_limit}");
    }

    #[test]
    fn functions_too_far_apart_are_an_error() {
        let row = |file_offset| Row { file_offset, rule: 2 };
        let seen = pack(&rows_of(vec![row(0), row(u32::MAX)], 3));
        assert!(matches!(seen, Err(UnwindError::TooWide { n_pages: 0x40_0000, .. })), "{seen:?}");
    }

    #[test]
    fn no_rows_are_a_table_that_knows_nothing() {
        let table = pack(&rows_of(Vec::new(), 2)).expect("packs");
        assert_eq!((lookup(&table, 0), table.size_bytes()), (UnwindRule::NONE, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn the_packed_form_says_what_the_rows_say(
            first in 0_u32..0x2_0000,
            steps in proptest::collection::vec((1_u32..0x900, any::<u16>()), 1..600),
            n_rules in 3_u16..2000,
        ) {
            let mut file_offset = first;
            let mut list = Vec::new();
            for (step, rule) in steps {
                // Mostly near one another, as in code.
                file_offset += if rule % 8 == 0 { step } else { 1 + step % 12 };
                list.push(Row { file_offset, rule: rule % n_rules });
            }
            let rows = rows_of(list, n_rules);
            let table = pack(&rows).expect("packs");
            let covered = u64::from(table.layout.first_page) << PAGE_BITS
                ..u64::from(table.layout.first_page + table.layout.n_pages) << PAGE_BITS;
            for row in &rows.rows {
                for offset in [row.file_offset - 1, row.file_offset, row.file_offset + 1, row.file_offset + 300] {
                    let offset = u64::from(offset);
                    let wanted =
                        if covered.contains(&offset) { expected(&rows, offset) } else { UnwindRule::NONE };
                    let seen = lookup(&table, offset);
                    prop_assert_eq!(seen, wanted, "at {:#x}", offset);
                }
            }
        }
    }
}
