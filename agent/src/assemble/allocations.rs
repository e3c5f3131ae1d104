//! Allocations by named stack: what was asked for, what of it lives, and whether that grows without end.

use std::collections::{HashMap, HashSet};

use profile::{
    AllocationStack, Allocations, FrameHandle, Live, LiveAges, MAX_ALLOCATION_STACKS, Profile,
    trend::{self, Point},
};

use super::Collected;
use crate::{
    aggregate::{Counted, Key},
    heap::{Ages, LiveStack, Stack},
    kernel::Source,
};

/// The stacks of one name: the same functions, wherever in them the calls are.
#[derive(Default)]
struct Row {
    counted: Counted,
    live: LiveStack,
}

/// What is summed up while a profile is made.
pub(super) struct Summary {
    is_wanted: bool,
    has_heap: bool,
    live: HashMap<Stack, LiveStack>,
    taken: HashSet<Stack>,
    rows: HashMap<Vec<String>, Row>,
}

impl Summary {
    pub(super) fn of(collected: &Collected<'_>) -> Self {
        Self {
            is_wanted: matches!(collected.source, Source::Alloc { .. }),
            has_heap: collected.heap.is_some(),
            live: collected.heap.map(|heap| heap.stacks(collected.end_ns)).unwrap_or_default(),
            taken: HashSet::new(),
            rows: HashMap::new(),
        }
    }

    /// Adds what was counted of a stack; its path is root first.
    pub(super) fn add(&mut self, profile: &Profile, path: &[FrameHandle], key: &Key, counted: Counted) {
        let frames = path.iter().filter_map(|frame| profile.frame_at(*frame));
        let names: Vec<String> = frames.map(|frame| profile.frame_name(frame).into_owned()).collect();
        let row = self.rows.entry(names).or_default();
        row.counted.n_samples += counted.n_samples;
        row.counted.n_events += counted.n_events;
        row.counted.weight = row.counted.weight.saturating_add(counted.weight);
        row.counted.variance += counted.variance;
        // Threads and processes share a stack, whose sums are those of all of them.
        if self.taken.insert(key.user)
            && let Some(live) = self.live.get(&key.user)
        {
            merge(&mut row.live, live);
        }
    }

    /// The report; `None` if it was not allocations that were sampled.
    pub(super) fn into_report(self) -> Option<Allocations> {
        if !self.is_wanted {
            return None;
        }
        let grown = |row: &Row| growth(&row.live.points).max(0).unsigned_abs();
        let grown_in_all = self.rows.values().map(grown).fold(0, u64::saturating_add);
        let mut whole = LiveStack::default();
        self.rows.values().for_each(|row| merge(&mut whole, &row.live));
        let mut rows: Vec<(Vec<String>, Row)> = self.rows.into_iter().collect();
        rows.sort_by(|(a_names, a), (b_names, b)| {
            let by_bytes =
                (b.live.in_use.n_bytes, b.counted.weight).cmp(&(a.live.in_use.n_bytes, a.counted.weight));
            by_bytes.then_with(|| a_names.cmp(b_names))
        });
        let n_stacks = rows.len();
        let stacks = rows.into_iter().take(MAX_ALLOCATION_STACKS).map(|(frames, row)| AllocationStack {
            frames,
            alloc_objects: whole_number(row.counted.n_events),
            alloc_bytes: row.counted.weight,
            alloc_bytes_error: whole_number(row.counted.variance.sqrt()),
            live: self.has_heap.then(|| live(&row.live, grown_in_all)),
        });
        Some(Allocations {
            live: self.has_heap.then(|| live(&whole, grown_in_all)),
            n_stacks,
            stacks: stacks.collect(),
        })
    }
}

fn merge(sum: &mut LiveStack, other: &LiveStack) {
    sum.in_use.n_objects += other.in_use.n_objects;
    sum.in_use.n_bytes = sum.in_use.n_bytes.saturating_add(other.in_use.n_bytes);
    sum.in_use.variance += other.in_use.variance;
    for (sum, bytes) in sum.ages.0.iter_mut().zip(other.ages.0) {
        *sum = sum.saturating_add(bytes);
    }
    if sum.points.is_empty() {
        sum.points.clone_from(&other.points);
        return;
    }
    // All have the same times.
    for (sum, point) in sum.points.iter_mut().zip(&other.points) {
        sum.bytes = sum.bytes.saturating_add(point.bytes);
        sum.low_bytes = sum.low_bytes.saturating_add(point.low_bytes);
        sum.high_bytes = sum.high_bytes.saturating_add(point.high_bytes);
    }
}

fn live(stack: &LiveStack, grown_in_all: u64) -> Live {
    let LiveStack { in_use, ages: Ages([under_1s, under_10s, under_1min, under_10min, longer]), points } =
        stack;
    let growth_bytes = growth(points);
    let middle = points.get(points.len() / 2..).unwrap_or_default();
    Live {
        objects: whole_number(in_use.n_objects),
        bytes: in_use.n_bytes,
        bytes_error: whole_number(in_use.variance.sqrt()),
        ages: LiveAges {
            under_1s: *under_1s,
            under_10s: *under_10s,
            under_1min: *under_1min,
            under_10min: *under_10min,
            longer: *longer,
        },
        growth_bytes,
        late_growth_bytes: growth(middle),
        growth_percent: 100.0 * growth_bytes.max(0) as f64 / grown_in_all.max(1) as f64,
        verdict: trend::judge(points, None),
    }
}

/// From the first reading to the last.
fn growth(points: &[Point]) -> i64 {
    match (points.first(), points.last()) {
        (Some(first), Some(last)) => {
            i64::try_from(i128::from(last.bytes) - i128::from(first.bytes)).unwrap_or(i64::MAX)
        }
        _ => 0,
    }
}

/// The conversion saturates.
fn whole_number(number: f64) -> u64 {
    number.round() as u64
}
