//! What was counted within a stretch of time: a profile of it, and when each of its stacks took anonymous memory.

use std::{collections::HashMap, ops::Range};

use abi::event::Event;
use profile::{Meta, Profile, StackHandle, growth::Slice};

use super::{Collected, add, begun, path_of, values};
use crate::{heap::InUse, symbolize::Symbolizer};

/// What stands for the stacks that grew least, where there were too many.
const OTHER_STACKS: &str = "[other stacks]";

/// Growth within a stretch of time.
pub struct Growth {
    /// The values are those of that time.
    pub profile: Profile,
    /// When stacks of the profile took anonymous memory.
    pub slices: HashMap<StackHandle, Vec<Slice>>,
    /// Anonymous memory taken on stacks that were folded into one.
    pub folded_bytes: u64,
}

/// Builds the profile of what was collected within a stretch of time, if it was [kept over
/// time](crate::aggregate::Aggregate::over_time).
#[must_use]
pub fn growth(
    collected: Collected<'_>,
    within: &Range<u64>,
    symbolizer: &mut Symbolizer,
    meta: Meta,
) -> Growth {
    let (mut profile, frames) = begun(collected, symbolizer, meta);
    let mut slices: HashMap<StackHandle, Vec<Slice>> = HashMap::new();
    let mut folded_bytes = 0;
    for row in collected.aggregate.within(within) {
        let is_anonymous = row.event == Event::RESIDENT_ANONYMOUS;
        let stack = match &row.key {
            Some(key) => {
                let path = path_of(&mut profile, &frames, collected, key);
                add(&mut profile, collected, key, path, row.counted, InUse::default())
            }
            None => {
                folded_bytes += if is_anonymous { row.counted.weight } else { 0 };
                let process = profile.process(0, OTHER_STACKS);
                let thread = profile.thread(process, 0, OTHER_STACKS);
                let reason = profile.reason(OTHER_STACKS);
                let stack = profile.stack([reason]);
                let added = profile.add(
                    stack,
                    thread,
                    &values::of(collected.source, row.event, row.counted, InUse::default()),
                );
                debug_assert!(added.is_ok(), "{added:?}");
                Some(stack)
            }
        };
        if let Some(stack) = stack.filter(|_| is_anonymous) {
            slices.entry(stack).or_default().extend(row.slices);
        }
    }
    Growth { profile, slices, folded_bytes }
}
