//! One list of rows out of the rows of many functions, in whatever order a linker left them.

use super::rows::Row;
use abi::unwind::RULE_NONE;

/// A function, and which rows are its.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// File offset of its first byte.
    pub(super) start: u32,
    /// File offset past its last byte.
    pub(super) end: u32,
    pub(super) first_row: u32,
    pub(super) n_rows: u32,
}

/// Sorts the functions, ends each where the next one starts, fills what lies between with "no unwind
/// information", and leaves out rows that change nothing. Also gives the number of functions left out because
/// another one starts at the same place.
///
/// Functions overlap only in broken files. As in the search tables that unwinders in the process itself use, the
/// one that starts last decides.
pub(super) fn one_list(functions: &mut Vec<Function>, rows: &[Row]) -> (Vec<Row>, u32) {
    functions.sort_by_key(|function| function.start);
    let n_before = functions.len();
    functions.dedup_by_key(|function| function.start);
    let n_duplicate = n_before.saturating_sub(functions.len());

    let mut list = List { rows: Vec::with_capacity(rows.len().saturating_add(functions.len() / 4)) };
    let nexts = functions.iter().skip(1).map(|next| next.start).chain([u32::MAX]);
    for (function, next) in functions.iter().zip(nexts) {
        let first = function.first_row as usize;
        let own = rows.get(first..first.saturating_add(function.n_rows as usize)).unwrap_or_default();
        for &row in own.iter().take_while(|row| row.file_offset < next) {
            list.push(row);
        }
        if function.end < next || next == u32::MAX {
            list.push(Row { file_offset: function.end, rule: RULE_NONE.into() });
        }
    }
    (list.rows, u32::try_from(n_duplicate).unwrap_or(u32::MAX))
}

struct List {
    rows: Vec<Row>,
}

impl List {
    fn push(&mut self, row: Row) {
        let rule_before = self.rows.last().map_or(u16::from(RULE_NONE), |last| last.rule);
        if row.rule != rule_before {
            self.rows.push(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Function, one_list};
    use crate::unwind::Row;

    /// Rows are one for each function, with rule 10, 11...
    fn list(functions: &[(u32, u32)], rules: &[u16]) -> (Vec<(u32, u16)>, u32) {
        let mut functions: Vec<Function> = functions
            .iter()
            .enumerate()
            .map(|(i, &(start, end))| Function { start, end, first_row: i as u32, n_rows: 1 })
            .collect();
        let rows: Vec<Row> = functions
            .iter()
            .zip(rules)
            .map(|(function, &rule)| Row { file_offset: function.start, rule })
            .collect();
        let (rows, n_duplicate) = one_list(&mut functions, &rows);
        (rows.iter().map(|row| (row.file_offset, row.rule)).collect(), n_duplicate)
    }

    #[test]
    fn functions_are_sorted_and_gaps_between_them_have_no_rule() {
        let seen = list(&[(50, 60), (10, 20), (20, 30), (70, 80)], &[10, 11, 12, 12]);
        let expected = [(10, 11), (20, 12), (30, 0), (50, 10), (60, 0), (70, 12), (80, 0)];
        assert_eq!(seen, (expected.to_vec(), 0));
    }

    #[test]
    fn neighbours_with_one_rule_are_one_row() {
        assert_eq!(list(&[(10, 20), (20, 30)], &[10, 10]), (vec![(10, 10), (30, 0)], 0));
    }

    #[test]
    fn of_functions_that_overlap_the_last_to_start_decides() {
        let seen = list(&[(10, 100), (20, 30), (20, 99), (40, u32::MAX)], &[10, 11, 12, 13]);
        assert_eq!(seen, (vec![(10, 10), (20, 11), (30, 0), (40, 13), (u32::MAX, 0)], 1));
    }
}
