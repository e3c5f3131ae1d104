//! Counting that knows when, and that has no end: in bounded tables.

use std::{collections::HashMap, ops::Range};

use abi::event::Event;
use profile::growth::{Slice, Timeline};

use super::{Aggregate, Counted, Interned, Key, StackIndex};
use crate::process::ImageId;

/// Rows (an event, a process and a stack) kept over time, at most; when there are as many, half of them are folded.
/// Few have something in every slice: usually some hundred bytes each, 3 KiB at most.
const MAX_ROWS: usize = 16_384;
/// Distinct stacks, some hundred bytes each. Above it, those that no row needs are forgotten.
const MAX_STACKS: usize = 16_384;

/// What was counted of a key within a stretch of time, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// By what; `None` for the sum over all that was folded, of this event.
    pub key: Option<Key>,
    /// Of what.
    pub event: Event,
    /// How much.
    pub counted: Counted,
    /// When.
    pub slices: Vec<Slice>,
}

impl Aggregate {
    /// An empty one that keeps, from now on, when something was counted, by process and not by thread.
    #[must_use]
    pub fn over_time(now_ns: u64) -> Self {
        Self { over_time: Some(Timeline::new(now_ns)), ..Self::default() }
    }

    /// From when on it was kept when something was counted; 0, if it is not.
    #[must_use]
    pub fn since_ns(&self) -> u64 {
        self.over_time.as_ref().map_or(0, Timeline::start_ns)
    }

    /// Whether it is time to [fold](Self::fold).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.over_time
            .as_ref()
            .is_some_and(|rows| rows.n_rows() >= MAX_ROWS || self.user_stacks.values.len() >= MAX_STACKS)
    }

    /// Makes one row of the rows that a stack has in images that are past, in the name of the first of them; folds the
    /// rows of the stacks that grew least, and forgets every stack that no row needs. The kernel side must have been
    /// told to send stacks again.
    pub fn fold(&mut self, is_past: impl Fn(ImageId) -> bool) {
        self.fold_to(MAX_ROWS / 2, is_past);
    }

    fn fold_to(&mut self, n_rows: usize, is_past: impl Fn(ImageId) -> bool) {
        let Some(rows) = &mut self.over_time else { return };
        let mut first: HashMap<(Event, Option<StackIndex>), Key> = HashMap::new();
        for key in rows.keys().filter(|key| is_past(key.image)) {
            let first = first.entry((key.event, key.user)).or_insert(*key);
            *first = (*first).min(*key);
        }
        rows.rekey(|key| match first.get(&(key.event, key.user)) {
            Some(first) if is_past(key.image) => *first,
            _ => *key,
        });
        // A stack is one and the same in all processes that share its files.
        rows.fold(n_rows, |key| (key.event, key.user), |key| key.event);
        self.arrived.forget(&self.user_stacks, &self.kernel_stacks);
        let mut before =
            std::mem::take(&mut self.user_stacks).values.into_iter().map(Some).collect::<Vec<_>>();
        let last_sampled_ns = std::mem::take(&mut self.last_sampled_ns);
        let mut kept = Interned::default();
        let mut new_index: HashMap<StackIndex, StackIndex> = HashMap::new();
        let mut used: Vec<StackIndex> = rows.keys().filter_map(|key| key.user).collect();
        used.sort_unstable();
        for old in used {
            let Some(stack) = before.get_mut(old as usize).and_then(Option::take) else { continue };
            new_index.insert(old, kept.share(&stack));
            self.last_sampled_ns.push(last_sampled_ns.get(old as usize).copied().unwrap_or(0));
        }
        rows.rekey(|key| Key { user: key.user.and_then(|old| new_index.get(&old).copied()), ..*key });
        self.user_stacks = kept;
    }

    /// Images that something was counted of and that are not folded.
    pub fn images(&self) -> impl Iterator<Item = ImageId> {
        self.over_time.iter().flat_map(|rows| rows.keys()).map(|key| key.image)
    }

    /// What was counted within a stretch of time, in the order of the keys; nothing, unless it was kept over time.
    #[must_use]
    pub fn within(&self, within: &Range<u64>) -> Vec<Row> {
        let Some(timeline) = &self.over_time else { return Vec::new() };
        let row = |key: Option<&Key>, event: Event, slices: Vec<Slice>| {
            let n_samples = slices.iter().map(|slice| slice.n_samples).sum();
            let bytes = slices.iter().fold(0, |sum: u64, slice| sum.saturating_add(slice.bytes));
            Row { key: key.copied(), event, counted: Counted::over_time(n_samples, bytes), slices }
        };
        let kept = timeline.rows(within.clone()).map(|(key, slices)| row(Some(key), key.event, slices));
        let folded = timeline.folded(within.clone()).map(|(event, slices)| row(None, *event, slices));
        let mut rows: Vec<Row> = kept.chain(folded).collect();
        rows.sort_unstable_by_key(|row| (row.key, row.event));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::Aggregate;
    use crate::{
        aggregate::tests::{add_at, processes, stack},
        decode::RawStack,
    };
    use abi::frame::PackedFrame;

    const S: u64 = 1_000_000_000;

    /// A stack of one frame, under an ID of its own.
    fn one_frame(id: u64, offset: u64) -> RawStack {
        stack(id, &[PackedFrame::file(1, offset)])
    }

    #[test]
    fn stacks_that_grew_least_are_folded_forgotten_and_known_again_when_they_come_again() {
        let (mut aggregate, processes) = (Aggregate::over_time(0), processes());
        for id in 0..30 {
            aggregate.add_user_stack(one_frame(id, 0x400 + id));
            for _ in 0..=id {
                add_at(&mut aggregate, &processes, 1, id, id * S);
            }
        }
        let n_samples = aggregate.n_samples();
        aggregate.fold_to(10, |_| false);
        assert_eq!((aggregate.user_stacks().len(), aggregate.n_samples()), (10, n_samples));

        // One on its way from before, whose row is gone; and the kernel side sends one again, under a new ID.
        add_at(&mut aggregate, &processes, 1, 3, 31 * S);
        aggregate.add_user_stack(one_frame(77, 0x400 + 29));
        add_at(&mut aggregate, &processes, 1, 77, 31 * S);
        assert_eq!((aggregate.user_stacks().len(), aggregate.n_stacks_missing()), (11, 0));

        let rows = aggregate.within(&(0..100 * S));
        let (kept, folded): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.key.is_some());
        let sum = |rows: &[&super::Row]| rows.iter().map(|row| row.counted.n_samples).sum::<u64>();
        assert_eq!((kept.len(), folded.len(), sum(&kept) + sum(&folded)), (11, 1, n_samples + 2));
        assert_eq!(kept.iter().map(|row| row.counted.n_samples).max(), Some(31), "{kept:?}");
    }

    #[test]
    fn what_a_stack_took_in_processes_that_have_ended_stays_together() {
        let (mut aggregate, processes) = (Aggregate::over_time(0), processes());
        aggregate.add_user_stack(one_frame(1, 0x401));
        aggregate.add_user_stack(one_frame(2, 0x402));
        for tgid in [1, 2] {
            add_at(&mut aggregate, &processes, tgid, 1, S);
        }
        add_at(&mut aggregate, &processes, 1, 2, S);
        aggregate.fold_to(4, |_| true);
        let rows = aggregate.within(&(0..2 * S));
        let found: Vec<_> = rows.iter().map(|row| (row.key.is_some(), row.counted.n_samples)).collect();
        assert_eq!(found, [(true, 2), (true, 1)], "{rows:?}");
    }

    #[test]
    fn only_what_was_counted_in_a_stretch_of_time_is_in_it() {
        let (mut aggregate, processes) = (Aggregate::over_time(0), processes());
        for (id, time_s) in [(1, 1), (1, 5), (2, 9)] {
            aggregate.add_user_stack(one_frame(id, 0x400 + id));
            add_at(&mut aggregate, &processes, 1, id, time_s * S);
        }
        let n_within = |from_s, to_s| {
            let rows = aggregate.within(&(from_s * S..to_s * S));
            rows.iter().map(|row| row.counted.n_samples).collect::<Vec<_>>()
        };
        assert_eq!([n_within(0, 10), n_within(4, 6), n_within(2, 3)], [vec![2, 1], vec![1], vec![]]);
    }
}
