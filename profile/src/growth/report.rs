//! What grew within a stretch of time, by stack.

use std::{collections::HashMap, ops::Range};

use serde::Serialize;

use super::{Course, Slice, TopFrame, course, top_stacks};
use crate::{model::Profile, stacks::StackHandle};

/// How many stacks a report names.
const MAX_STACKS: usize = 50;

/// Growth of resident memory by stack, within the stretch of time that a verdict rests on. Times are from the start
/// of the watch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GrowthReport {
    /// From when.
    pub from_ns: u64,
    /// Until when.
    pub until_ns: u64,
    /// When stacks began to be recorded. What grew before has none.
    pub recorded_from_ns: u64,
    /// Heap, stacks, written pages of private mappings: what the verdict is on, but for swap.
    pub anonymous_bytes: i64,
    /// Pages of files: the kernel can drop them again.
    pub file_bytes: i64,
    /// Shared memory.
    pub shared_bytes: i64,
    /// Given back, of whatever kind. It is not taken off the stacks that took it.
    pub released_bytes: i64,
    /// Distinct stacks that took anonymous memory.
    pub n_stacks: usize,
    /// What they took, the one that took most first. The rest is not listed.
    pub stacks: Vec<GrownStack>,
    /// Of `anonymous_bytes`, what stacks took that had to be folded into one for want of room.
    pub folded_bytes: u64,
    /// Samples that the bytes were estimated from.
    pub n_samples: i64,
    /// Samples of the whole recording that did not get here.
    pub n_lost: u64,
    /// What happened besides.
    pub comments: Vec<String>,
}

/// A stack that took anonymous memory.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GrownStack {
    /// Its functions, root first.
    pub frames: Vec<TopFrame>,
    /// File and offset of its innermost instruction, of one of the stacks that have these functions.
    pub leaf: Option<String>,
    /// What it took.
    pub grown_bytes: i64,
    /// Of all anonymous memory that was taken.
    pub share_percent: f64,
    /// What it took, over the time.
    pub rate_bytes_per_second: f64,
    /// Whether it goes on.
    pub course: Course,
}

impl GrowthReport {
    /// The stacks of a profile of resident memory, whose values are those of the stretch of time; with what each took
    /// over that time.
    #[must_use]
    pub fn new(
        profile: &Profile,
        slices: &HashMap<StackHandle, Vec<Slice>>,
        within: Range<u64>,
        recorded_from_ns: u64,
        folded_bytes: u64,
    ) -> Self {
        let index = |kind| profile.value_types().iter().position(|it| it.kind == kind);
        let total = |kind| index(kind).map_or(0, |index| profile.total(index));
        let stacks = index("rss_growth_anonymous").map(|index| top_stacks(profile, index));
        let stacks = stacks.unwrap_or_default();
        let n_stacks = stacks.len();
        let recorded = within.start.max(recorded_from_ns)..within.end;
        let seconds = recorded.end.saturating_sub(recorded.start).max(1) as f64 / 1e9;
        let grown = stacks.into_iter().take(MAX_STACKS).map(|(stack, handles)| {
            let mut slices: Vec<Slice> =
                handles.iter().filter_map(|handle| slices.get(handle)).flatten().copied().collect();
            slices.sort_unstable_by_key(|slice| slice.start_ns);
            GrownStack {
                rate_bytes_per_second: stack.value as f64 / seconds,
                course: course(&slices, &recorded),
                grown_bytes: stack.value,
                share_percent: stack.percent,
                leaf: stack.leaf,
                frames: stack.frames,
            }
        });
        Self {
            from_ns: within.start,
            until_ns: within.end,
            recorded_from_ns,
            anonymous_bytes: total("rss_growth_anonymous"),
            file_bytes: total("rss_growth_file"),
            shared_bytes: total("rss_growth_shared"),
            released_bytes: total("rss_released"),
            n_stacks,
            stacks: grown.collect(),
            folded_bytes,
            n_samples: total("samples"),
            n_lost: profile.meta().lost_total(),
            comments: profile.meta().comments.clone(),
        }
    }
}
