//! What each of many stacks took over time, in bounded room: equal slices of time, the same for all rows.
//!
//! When time passes the last slice, neighbours are merged in pairs and every slice is twice as long, as in
//! [`crate::trend::History`]. When there are too many rows, those that grew least are folded into one of their group.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    ops::Range,
};

/// Slices of a row: a day is kept in slices of 1,024 s.
const MAX_SLICES: u64 = 128;
/// How long a slice is at first.
const FIRST_SLICE_NS: u64 = 250_000_000;
/// Rows that grew in this last part of the time are kept for that alone: what begins late is small at first.
const RECENT_SHARE: u64 = 8;

/// What was taken in a slice of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// From when.
    pub start_ns: u64,
    /// Until when.
    pub end_ns: u64,
    /// Samples.
    pub n_samples: u64,
    /// Bytes that they stand for.
    pub bytes: u64,
}

/// A slice in which something was taken; the others are left out.
#[derive(Clone, Copy, Debug)]
struct Cell {
    index: u64,
    n_samples: u64,
    bytes: u64,
}

/// The cells of a row, in the order of time.
type Row = Vec<Cell>;

/// Rows by key, and what was folded, by group.
#[derive(Clone, Debug)]
pub struct Timeline<K, G> {
    start_ns: u64,
    slice_ns: u64,
    rows: HashMap<K, Row>,
    folded: BTreeMap<G, Row>,
}

impl<K: Copy + Eq + Hash + Ord, G: Copy + Ord> Timeline<K, G> {
    /// An empty one.
    #[must_use]
    pub fn new(start_ns: u64) -> Self {
        Self { start_ns, slice_ns: FIRST_SLICE_NS, rows: HashMap::new(), folded: BTreeMap::new() }
    }

    /// When it began.
    #[must_use]
    pub fn start_ns(&self) -> u64 {
        self.start_ns
    }

    /// Adds a sample to a row. What is before the start counts as of the start.
    pub fn add(&mut self, key: K, time_ns: u64, bytes: u64) {
        let since_ns = time_ns.saturating_sub(self.start_ns);
        while since_ns / self.slice_ns >= MAX_SLICES {
            self.halve();
        }
        let cell = Cell { index: since_ns / self.slice_ns, n_samples: 1, bytes };
        add_cell(self.rows.entry(key).or_default(), cell);
    }

    /// How many rows there are.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// The keys of all rows.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.rows.keys()
    }

    /// Samples and bytes of each row.
    pub fn sums(&self) -> impl Iterator<Item = (&K, u64, u64)> {
        self.rows.iter().map(|(key, row)| {
            let n_samples = row.iter().map(|cell| cell.n_samples).sum();
            (key, n_samples, sum_of(row))
        })
    }

    /// Each row within a stretch of time, if it has anything there.
    pub fn rows(&self, within: Range<u64>) -> impl Iterator<Item = (&K, Vec<Slice>)> {
        let rows = self.rows.iter().map(move |(key, row)| (key, self.slices(row, &within)));
        rows.filter(|(_, slices)| !slices.is_empty())
    }

    /// What was folded of each group within a stretch of time, if there is anything.
    pub fn folded(&self, within: Range<u64>) -> impl Iterator<Item = (&G, Vec<Slice>)> {
        let rows = self.folded.iter().map(move |(group, row)| (group, self.slices(row, &within)));
        rows.filter(|(_, slices)| !slices.is_empty())
    }

    /// Folds rows until at most `n_kept` are left. Rows of one stack (`stack_of`) go together; half of the room is for
    /// those that took most, the other half for those that took most of late.
    pub fn fold<S: Copy + Eq + Hash + Ord>(
        &mut self,
        n_kept: usize,
        stack_of: impl Fn(&K) -> S,
        group_of: impl Fn(&K) -> G,
    ) {
        let newest = self.rows.values().filter_map(|row| row.last()).map(|cell| cell.index).max();
        let recent = newest.map_or(0, |newest| newest - newest / RECENT_SHARE);
        let mut stacks: HashMap<S, Standing> = HashMap::new();
        for (key, row) in &self.rows {
            let standing = stacks.entry(stack_of(key)).or_default();
            standing.n_rows += 1;
            standing.bytes = standing.bytes.saturating_add(sum_of(row));
            let late = row.get(row.partition_point(|cell| cell.index < recent)..).unwrap_or_default();
            standing.late_bytes = standing.late_bytes.saturating_add(sum_of(late));
        }
        let mut kept = HashSet::new();
        let mut n_rows = 0;
        for (by, n_at_most) in
            [(Standing::bytes as fn(&Standing) -> u64, n_kept / 2), (Standing::late_bytes, n_kept)]
        {
            let mut order: Vec<(u64, S)> =
                stacks.iter().map(|(stack, standing)| (by(standing), *stack)).collect();
            order.sort_unstable_by(|a, b| b.cmp(a));
            for (_, stack) in order {
                let n_more = stacks.get(&stack).map_or(0, |standing| standing.n_rows);
                if kept.contains(&stack) || n_rows + n_more > n_at_most {
                    continue;
                }
                kept.insert(stack);
                n_rows += n_more;
            }
        }
        let folded = &mut self.folded;
        self.rows.retain(|key, row| {
            let is_kept = kept.contains(&stack_of(key));
            if !is_kept {
                let sum = folded.entry(group_of(key)).or_default();
                row.iter().for_each(|cell| add_cell(sum, *cell));
            }
            is_kept
        });
    }

    /// Gives every row another key; rows that get the same become one.
    pub fn rekey(&mut self, new_key: impl Fn(&K) -> K) {
        for (key, row) in std::mem::take(&mut self.rows) {
            let sum = self.rows.entry(new_key(&key)).or_default();
            row.into_iter().for_each(|cell| add_cell(sum, cell));
        }
    }

    fn halve(&mut self) {
        self.slice_ns = self.slice_ns.saturating_mul(2);
        for row in self.rows.values_mut().chain(self.folded.values_mut()) {
            for cell in std::mem::take(row) {
                add_cell(row, Cell { index: cell.index / 2, ..cell });
            }
        }
    }

    /// What lies within a stretch of time; of a slice that is only partly in it, that part.
    fn slices(&self, row: &Row, within: &Range<u64>) -> Vec<Slice> {
        let clipped = |cell: &Cell| {
            let start_ns = self.start_ns.saturating_add(cell.index.saturating_mul(self.slice_ns));
            let end_ns = start_ns.saturating_add(self.slice_ns);
            let (from_ns, until_ns) = (start_ns.max(within.start), end_ns.min(within.end));
            let share = until_ns.checked_sub(from_ns)? as f64 / self.slice_ns as f64;
            let part = |whole: u64| (whole as f64 * share).round() as u64;
            let (n_samples, bytes) = (part(cell.n_samples), part(cell.bytes));
            (bytes > 0).then_some(Slice { start_ns: from_ns, end_ns: until_ns, n_samples, bytes })
        };
        row.iter().filter_map(clipped).collect()
    }
}

/// What the rows of a stack took together.
#[derive(Default)]
struct Standing {
    n_rows: usize,
    bytes: u64,
    late_bytes: u64,
}

impl Standing {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn late_bytes(&self) -> u64 {
        self.late_bytes
    }
}

fn sum_of(cells: &[Cell]) -> u64 {
    cells.iter().fold(0, |sum, cell| sum.saturating_add(cell.bytes))
}

/// Samples come nearly in order: the place is the last one or close to it.
fn add_cell(row: &mut Row, cell: Cell) {
    let at = row.iter().rposition(|other| other.index <= cell.index);
    match at.and_then(|at| row.get_mut(at)) {
        Some(same) if same.index == cell.index => {
            same.n_samples = same.n_samples.saturating_add(cell.n_samples);
            same.bytes = same.bytes.saturating_add(cell.bytes);
        }
        _ => row.insert(at.map_or(0, |at| at + 1), cell),
    }
}

#[cfg(test)]
mod tests;
