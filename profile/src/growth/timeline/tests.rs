//! Slices of growth: merged when there are too many, folded when there are too many rows, and never more or less in all.

use super::{FIRST_SLICE_NS, MAX_SLICES, Timeline};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const S: u64 = 1_000_000_000;

/// A stack of a process, and whether it took or gave.
type Key = (u32, u32, bool);

fn bytes_of(timeline: &Timeline<Key, bool>, key: Key, from_s: u64, to_s: u64) -> u64 {
    let rows = timeline.rows(from_s * S..to_s * S).filter(|(found, _)| **found == key);
    rows.flat_map(|(_, slices)| slices).map(|slice| slice.bytes).sum()
}

#[test]
fn growth_within_any_stretch_is_told_however_long_the_run() {
    let mut timeline: Timeline<Key, bool> = Timeline::new(0);
    let (steady, early) = ((1, 1, true), (2, 1, true));
    // A day and more: slices of 1,024 s.
    for second in 0..100_000 {
        timeline.add(steady, second * S, 1000);
        if second < 40_000 {
            timeline.add(early, second * S, 10);
        }
    }
    for (from_s, to_s) in [(0, 100_000), (50_000, 100_000), (12_345, 23_456)] {
        let (found, expected) = (bytes_of(&timeline, steady, from_s, to_s), (to_s - from_s) * 1000);
        assert!(found.abs_diff(expected) <= expected / 50, "{from_s} to {to_s} s: {found}, not {expected}");
    }
    assert_eq!(bytes_of(&timeline, early, 50_000, 100_000), 0);
    assert_eq!(bytes_of(&timeline, early, 0, 100_000), 400_000);
    let n_slices = timeline.rows(0..u64::MAX).map(|(_, slices)| slices.len()).max();
    assert!(n_slices.is_some_and(|n| (50..=MAX_SLICES as usize).contains(&n)), "{n_slices:?}");
}

#[test]
fn a_stretch_takes_its_part_of_the_slices_at_its_edges() {
    let mut timeline: Timeline<Key, bool> = Timeline::new(10 * S);
    let key = (1, 1, true);
    timeline.add(key, 10 * S, 800);
    let quarter = 10 * S..10 * S + FIRST_SLICE_NS / 4;
    let found: Vec<_> = timeline.rows(quarter).flat_map(|(_, slices)| slices).collect();
    assert_eq!((found.len(), found[0].bytes, found[0].end_ns), (1, 200, 10 * S + FIRST_SLICE_NS / 4));
    assert_eq!(timeline.rows(0..S).count() + timeline.rows(11 * S..12 * S).count(), 0);
}

#[test]
fn the_stacks_that_grew_least_are_folded_and_their_bytes_stay() {
    let mut timeline: Timeline<Key, bool> = Timeline::new(0);
    let late = (100, 1, true);
    for stack in 0..40_u32 {
        // Of two processes, each with the same stacks.
        for process in 1..=2 {
            timeline.add((stack, process, stack % 4 != 0), u64::from(stack) * S, u64::from(1 + stack) * 100);
        }
    }
    timeline.add(late, 100 * S, 5);
    let total: u64 = timeline.sums().map(|(_, _, bytes)| bytes).sum();
    timeline.fold(20, |key| (key.0, key.2), |key| key.2);
    let kept: u64 = timeline.sums().map(|(_, _, bytes)| bytes).sum();
    let folded: u64 = timeline.folded(0..u64::MAX).flat_map(|(_, slices)| slices).map(|it| it.bytes).sum();
    assert_eq!(kept + folded, total);
    assert!(timeline.n_rows() <= 20 && timeline.n_rows() > 10, "{} rows", timeline.n_rows());
    let has = |key: Key| timeline.keys().any(|other| *other == key);
    assert!(has((39, 1, true)) && has((39, 2, true)), "what grew most is kept, in both processes");
    assert!(has(late), "what grew last is kept, however little it is");
    assert!(!has((3, 1, true)), "what grew little, and long ago, is not");
}

#[test]
fn rows_under_one_new_key_become_one() {
    let mut timeline: Timeline<Key, bool> = Timeline::new(0);
    for (key, second) in [((1, 1, true), 1), ((2, 1, true), 0), ((2, 2, true), 1)] {
        timeline.add(key, second * S, 10);
    }
    timeline.rekey(|(stack, _, took)| (*stack, 0, *took));
    let mut sums: Vec<_> = timeline.sums().map(|(key, n, bytes)| (*key, n, bytes)).collect();
    sums.sort_unstable();
    assert_eq!(sums, [((1, 0, true), 1, 10), ((2, 0, true), 2, 20)]);
}

proptest! {
    #[test]
    fn whatever_comes_in_whatever_order_no_byte_is_lost_and_the_room_is_bounded(
        samples in proptest::collection::vec((0..50_u32, any::<u64>(), any::<u32>()), 1..300),
        n_kept in 1..30_usize,
    ) {
        let mut timeline: Timeline<Key, bool> = Timeline::new(1000);
        let mut expected = 0;
        for (stack, time_ns, bytes) in samples {
            timeline.add((stack, 1, true), time_ns, u64::from(bytes));
            expected += u64::from(bytes);
            if timeline.n_rows() > n_kept {
                timeline.fold(n_kept, |key| key.0, |key| key.2);
                prop_assert!(timeline.n_rows() <= n_kept);
            }
        }
        let kept: u64 = timeline.sums().map(|(_, _, bytes)| bytes).sum();
        let folded: u64 = timeline.folded.values().map(|row| super::sum_of(row)).sum();
        prop_assert_eq!(kept + folded, expected);
        for row in timeline.rows.values().chain(timeline.folded.values()) {
            prop_assert!(row.len() <= MAX_SLICES as usize, "{} cells", row.len());
            prop_assert!(row.windows(2).all(|pair| pair[0].index < pair[1].index), "{:?}", row);
        }
    }
}
