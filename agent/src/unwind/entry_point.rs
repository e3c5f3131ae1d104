//! The first instructions of a program: no function, so nothing describes them, and the root of every stack.
//!
//! The dynamic loader's own call everything that happens before `main`.

use abi::unwind::{CFA_ROOT, MAX_RULES_PER_FILE, UnwindRule};

use super::rows::{Row, Rows};

/// Longest such piece of assembly, where no function follows sooner. glibc's loader has 61 bytes.
const MAX_BYTES: u32 = 128;

/// Number of the rule "no unwind information" ([`Rows::rules`]).
const NONE: u16 = 0;

/// Makes the code at `entry`, in the file, the root, if nothing describes it and the dictionary has room.
pub(super) fn make_root(rows: &mut Rows, entry: u32) {
    let at = rows.rows.partition_point(|row| row.file_offset <= entry);
    let before = at.checked_sub(1).and_then(|i| rows.rows.get(i));
    if before.is_some_and(|row| row.rule != NONE) {
        return;
    }
    let n_rules = rows.rules.len();
    let Some(rule) = u16::try_from(n_rules).ok().filter(|_| n_rules < MAX_RULES_PER_FILE) else { return };
    rows.rules.push(UnwindRule { cfa: CFA_ROOT, ..UnwindRule::NONE });
    let end = entry.saturating_add(MAX_BYTES);
    let next = rows.rows.get(at).map_or(u32::MAX, |row| row.file_offset);
    let mut new = vec![Row { file_offset: entry, rule }];
    if end < next {
        new.push(Row { file_offset: end, rule: NONE });
    }
    let replaced = before.is_some_and(|row| row.file_offset == entry);
    rows.rows.splice(at - usize::from(replaced)..at, new);
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, make_root};
    use crate::unwind::{Row, Rows};
    use abi::unwind::{CFA_ROOT, MAX_RULES_PER_FILE, UnwindRule};

    #[test]
    fn only_code_that_nothing_describes_becomes_the_root_and_no_more_of_it_than_there_is() {
        let far = 0x1000 + MAX_BYTES;
        type Pairs<'a> = &'a [(u32, u16)];
        let cases: [(&str, u32, Pairs<'_>, Pairs<'_>); 5] = [
            (
                "before everything",
                0x1000,
                &[(0x1040, 2), (0x2000, 0)],
                &[(0x1000, 3), (0x1040, 2), (0x2000, 0)],
            ),
            (
                "between",
                0x1000,
                &[(0x800, 2), (0x900, 0), (0x5000, 2)],
                &[(0x800, 2), (0x900, 0), (0x1000, 3), (far, 0), (0x5000, 2)],
            ),
            (
                "where a function ends",
                0x1000,
                &[(0x800, 2), (0x1000, 0), (0x1010, 2)],
                &[(0x800, 2), (0x1000, 3), (0x1010, 2)],
            ),
            (
                "after everything",
                0x1000,
                &[(0x800, 2), (0x900, 0)],
                &[(0x800, 2), (0x900, 0), (0x1000, 3), (far, 0)],
            ),
            ("described", 0x1000, &[(0x800, 2), (0x2000, 0)], &[(0x800, 2), (0x2000, 0)]),
        ];
        for (case, entry, before, after) in cases {
            let row = |&(file_offset, rule): &(u32, u16)| Row { file_offset, rule };
            let mut rows = Rows {
                rows: before.iter().map(row).collect(),
                rules: vec![UnwindRule::NONE; 3],
                ..Rows::default()
            };
            make_root(&mut rows, entry);
            let seen: Vec<_> = rows.rows.iter().map(|row| (row.file_offset, row.rule)).collect();
            assert_eq!(seen, after, "{case}");
            assert_eq!(rows.rules.last().is_some_and(|rule| rule.cfa == CFA_ROOT), case != "described");
        }
    }

    #[test]
    fn a_full_dictionary_stays_one_in_which_every_rule_can_be_named() {
        let full = Rows {
            rows: vec![Row { file_offset: 0x2000, rule: 2 }, Row { file_offset: 0x3000, rule: 0 }],
            rules: vec![UnwindRule::NONE; MAX_RULES_PER_FILE],
            ..Rows::default()
        };
        let mut rows = full.clone();
        make_root(&mut rows, 0x1000);
        assert_eq!(rows.rules.len(), MAX_RULES_PER_FILE);
        assert_eq!(rows, full);
    }
}
