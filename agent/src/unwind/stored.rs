//! A table as bytes, for the cache on disk, and back. Total: a file that is damaged, cut or forged gives no table.

use std::collections::BTreeMap;

use super::{compact::Table, functions::Functions, key::TableKey, rows::Losses, rule::Unsupported};
use abi::unwind::{
    FileTable, IndexEntry, MAX_PAGES_PER_FILE, MAX_ROWS_PER_FILE, MAX_ROWS_PER_QUARTER, MAX_RULES_PER_FILE,
    PAGE_BITS, QUARTER_BITS, ROWS_PER_LINE, UnwindLine, UnwindRule, rule_number,
};

const MAGIC: [u8; 8] = *b"BRZTABLE";
const HASH_BYTES: usize = 32;
/// In the order of [`Header`], and one for each reason of [`Unsupported`].
const N_NUMBERS: usize = 13 + Unsupported::ALL.len();
const HEADER_BYTES: usize = MAGIC.len() + 2 * HASH_BYTES + N_NUMBERS * 4;
const LINE_BYTES: usize = size_of::<UnwindLine>();
const WORD_BYTES: usize = 8;
/// Quarters of a page.
const N_QUARTERS: u64 = 1 << (PAGE_BITS - QUARTER_BITS);

/// The bytes of a table: magic, hash of what follows, key, numbers, lines, index, rules, functions.
#[must_use]
pub fn to_bytes(table: &Table, key: TableKey) -> Vec<u8> {
    let entries = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let losses = table.losses;
    let numbers = [
        table.layout.first_page,
        table.layout.n_rows,
        entries(table.lines.len()),
        entries(table.index.len()),
        entries(table.rules.len()),
        entries(table.functions.ranges().len()),
        table.n_functions,
        table.n_rows,
        losses.n_unreadable,
        losses.n_outside_code,
        losses.n_broken,
        losses.n_duplicate,
        losses.is_truncated.into(),
    ];
    let unsupported =
        Unsupported::ALL.iter().map(|reason| table.unsupported.get(reason).copied().unwrap_or_default());
    let mut bytes =
        Vec::with_capacity(HEADER_BYTES + table.size_bytes() + table.functions.ranges().len() * WORD_BYTES);
    bytes.extend(MAGIC);
    bytes.extend([0; HASH_BYTES]);
    bytes.extend(key.0);
    numbers.into_iter().chain(unsupported).for_each(|number| bytes.extend(number.to_le_bytes()));
    for line in &table.lines {
        bytes.extend(line.pc_low);
        bytes.extend(line.rule);
    }
    table.index.iter().for_each(|entry| bytes.extend(entry.0.to_le_bytes()));
    table.rules.iter().for_each(|rule| bytes.extend(rule.to_word().to_le_bytes()));
    for function in table.functions.ranges() {
        bytes.extend(function.start.to_le_bytes());
        bytes.extend(function.end.to_le_bytes());
    }
    let (head, rest) = bytes.split_at_mut(MAGIC.len() + HASH_BYTES);
    head[MAGIC.len()..].copy_from_slice(blake3::hash(rest).as_bytes());
    bytes
}

/// The table that bytes hold, if they are whole and made from what `key` names.
#[must_use]
pub fn from_bytes(bytes: &[u8], key: TableKey) -> Option<Table> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (hash, rest) = rest.split_first_chunk::<HASH_BYTES>()?;
    if blake3::hash(rest) != *hash {
        return None;
    }
    let rest = rest.strip_prefix(&key.0)?;
    let (numbers, rest) = rest.split_at_checked(N_NUMBERS * 4)?;
    let mut numbers = numbers.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let mut next = || numbers.next();
    let (first_page, n_layout_rows) = (next()?, next()?);
    let [n_lines, n_index, n_rules, n_ranges] = [next()?, next()?, next()?, next()?];
    let (n_functions, n_rows) = (next()?, next()?);
    let losses = Losses {
        n_unreadable: next()?,
        n_outside_code: next()?,
        n_broken: next()?,
        n_duplicate: next()?,
        is_truncated: next()? != 0,
    };
    let unsupported: BTreeMap<_, _> =
        Unsupported::ALL.into_iter().zip(numbers).filter(|(_, n)| *n > 0).collect();

    let (lines, rest) = rest.split_at_checked((n_lines as usize).checked_mul(LINE_BYTES)?)?;
    let (index, rest) = rest.split_at_checked((n_index as usize).checked_mul(WORD_BYTES)?)?;
    let (rules, rest) = rest.split_at_checked((n_rules as usize).checked_mul(WORD_BYTES)?)?;
    if Some(rest.len()) != (n_ranges as usize).checked_mul(WORD_BYTES) {
        return None;
    }
    let words = |bytes: &[u8]| -> Vec<u64> {
        bytes.as_chunks::<WORD_BYTES>().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()
    };
    let lines: Vec<UnwindLine> = lines.as_chunks::<LINE_BYTES>().0.iter().map(line).collect();
    let ranges = words(rest).into_iter().map(|word| word as u32..(word >> 32) as u32);
    let table = Table {
        key: Some(key),
        layout: FileTable {
            first_page,
            n_pages: n_index,
            n_rows: n_layout_rows,
            n_rules,
            ..FileTable::default()
        },
        lines,
        index: words(index).into_iter().map(IndexEntry).collect(),
        rules: words(rules).into_iter().map(UnwindRule::from_word).collect(),
        n_functions,
        functions: Functions::new(ranges),
        n_rows,
        unsupported,
        losses,
    };
    is_sound(&table).then_some(table)
}

fn line(bytes: &[u8; LINE_BYTES]) -> UnwindLine {
    let mut line = UnwindLine::EMPTY;
    let (pc_low, rule) = bytes.split_at(ROWS_PER_LINE);
    line.pc_low.copy_from_slice(pc_low);
    line.rule.copy_from_slice(rule);
    line
}

/// Whether every number in a table leads to something that is in it, wherever a search begins.
fn is_sound(table: &Table) -> bool {
    let Table { layout, lines, index, rules, .. } = table;
    let last_page = layout.first_page.checked_add(layout.n_pages);
    (1..=MAX_PAGES_PER_FILE).contains(&index.len())
        && last_page.is_some_and(|page| page <= 1 << (u32::BITS - PAGE_BITS))
        && (1..=MAX_RULES_PER_FILE).contains(&rules.len())
        && (1..=MAX_ROWS_PER_FILE).contains(&(layout.n_rows as usize))
        && lines.len() == (layout.n_rows as usize).div_ceil(ROWS_PER_LINE)
        && table.functions.ranges().is_sorted_by(|a, b| a.start < b.start)
        && index.iter().all(|entry| (0..N_QUARTERS).all(|quarter| is_quarter_sound(table, *entry, quarter)))
}

/// Whether the rows of a quarter are there and sorted, with a rule for each at which a search can end.
fn is_quarter_sound(table: &Table, entry: IndexEntry, quarter: u64) -> bool {
    let (first, n) = entry.rows_of(quarter << QUARTER_BITS);
    let end = first.saturating_add(n);
    if n as usize > MAX_ROWS_PER_QUARTER || first == 0 || end > table.layout.n_rows {
        return false;
    }
    // Where a search ends that finds no row of the quarter at or below its offset.
    if !has_rule(&table.lines, &table.rules, first - 1) {
        return false;
    }
    let rows = |from: u32| (from..end).map_while(|number| row(&table.lines, number));
    // A search passes a row that begins where the next one does.
    let nexts = rows(first.saturating_add(1)).map(|(pc_low, _)| Some(pc_low)).chain([None]);
    (first..end).zip(rows(first)).zip(nexts).all(|((number, (pc_low, _)), next)| match next {
        Some(next) if next < pc_low => false,
        Some(next) if next == pc_low => true,
        _ => has_rule(&table.lines, &table.rules, number),
    })
}

fn has_rule(lines: &[UnwindLine], rules: &[UnwindRule], number: u32) -> bool {
    let Some((_, byte)) = row(lines, number) else { return false };
    let before = number.checked_sub(1).and_then(|before| row(lines, before));
    let byte_before = before.map_or(0, |(_, byte)| byte);
    (rule_number(byte, byte_before) as usize) < rules.len()
}

/// Low byte of the offset, and rule byte.
fn row(lines: &[UnwindLine], number: u32) -> Option<(u8, u8)> {
    let number = number as usize;
    let line = lines.get(number / ROWS_PER_LINE)?;
    let slot = number % ROWS_PER_LINE;
    Some((line.pc_low[slot], line.rule[slot]))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

    use super::{HASH_BYTES, HEADER_BYTES, MAGIC, from_bytes, is_sound, to_bytes};
    use crate::{
        object::ObjectFile,
        unwind::{Table, build, lookup},
    };

    const FORMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/unwind/forms.elf");

    static TABLE: LazyLock<Table> =
        LazyLock::new(|| build(&ObjectFile::open(FORMS.as_ref()).expect("opens")).expect("has a table"));

    fn bytes() -> Vec<u8> {
        to_bytes(&TABLE, TABLE.key.expect("built from a file"))
    }

    /// With the hash that belongs to them: what only the later checks can find.
    fn forged(mut bytes: Vec<u8>) -> Vec<u8> {
        let (head, rest) = bytes.split_at_mut(MAGIC.len() + HASH_BYTES);
        head[MAGIC.len()..].copy_from_slice(blake3::hash(rest).as_bytes());
        bytes
    }

    #[test]
    fn a_table_comes_back_as_it_was() {
        let key = TABLE.key.expect("built from a file");
        assert_eq!(from_bytes(&bytes(), key).as_ref(), Some(&*TABLE));
        // This executable, too: it has more of everything.
        let own = ObjectFile::open(&std::env::current_exe().expect("own path")).expect("opens");
        // Rows made from instructions (of assembly that is linked to it) have no key of their own.
        let own = Table { key: Some(key), ..build(&own).expect("has a table") };
        let seen = from_bytes(&to_bytes(&own, key), key).expect("comes back");
        assert!(seen == own, "{:?} became {:?}", own.layout, seen.layout);
    }

    #[test]
    fn another_key_a_cut_and_every_single_changed_byte_are_found() {
        let key = TABLE.key.expect("built from a file");
        let mut other = key;
        other.0[0] ^= 1;
        assert_eq!(from_bytes(&bytes(), other), None);
        let bytes = bytes();
        for n in 0..bytes.len() {
            assert_eq!(from_bytes(&bytes[..n], key), None, "cut after {n}");
        }
        for i in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[i] ^= 0x40;
            assert_eq!(from_bytes(&bytes, key), None, "byte {i}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn forged_bytes_give_no_table_or_one_that_can_be_searched(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            cut in proptest::option::weighted(0.1, any::<proptest::sample::Index>()),
        ) {
            let mut bytes = bytes();
            for (at, value) in changes {
                // Half of the changes hit the header, which decides most.
                let len = if value % 2 == 0 { HEADER_BYTES } else { bytes.len() };
                let at = at.index(len);
                bytes[at] = value;
            }
            if let Some(cut) = cut {
                let n = cut.index(bytes.len() - MAGIC.len() - HASH_BYTES) + MAGIC.len() + HASH_BYTES;
                bytes.truncate(n);
            }
            if let Some(table) = from_bytes(&forged(bytes), TABLE.key.expect("built from a file")) {
                prop_assert!(is_sound(&table));
                let first = u64::from(table.layout.first_page) << 10;
                for offset in (first..first + (u64::from(table.layout.n_pages) << 10)).step_by(7).take(5000) {
                    let _ = lookup(&table, offset);
                }
            }
        }
    }
}
