//! Stacks that have values, with their frames by number.

use std::{collections::HashMap, ops::Range, sync::Arc};

use ahash::RandomState;
use arrow_array::{Array as _, ListArray};
use datafusion::prelude::col;
use futures::TryStreamExt as _;
use layout::Table;

use crate::{
    chosen::{self, IdSet},
    column::{Id, any, ids, ids_of},
    error::Error,
    range::TimeRange,
    scan::Scan,
    sums::{Sums, Values, add},
};

/// Frames of all stacks together, each as often as it stands in one.
const MAX_FRAMES: usize = 64 << 20;

/// Stacks with values.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    /// Frames of stacks, the leaf first, as places in `ids`.
    frames: Vec<u32>,
    stacks: Vec<(Range<usize>, Values)>,
    /// Each frame once.
    pub(crate) ids: Vec<Id>,
    /// Of stacks whose frames are not in the store.
    pub(crate) unknown: Values,
    pub(crate) n_unknown: usize,
}

impl Stacks {
    /// The frames of each stack, the leaf first, and its values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u32], Values)> {
        self.stacks
            .iter()
            .map(|(range, values)| (self.frames.get(range.clone()).unwrap_or_default(), *values))
    }
}

/// Finds the frames of stacks.
pub(crate) async fn stacks(scan: &Scan, ranges: &[TimeRange], sums: &Sums) -> Result<Stacks, Error> {
    let mut it = Stacks::default();
    // Several collectors may have written the same stack, and one collector on two days.
    let mut values: HashMap<Id, Values, RandomState> = sums.by_stack.iter().copied().collect();
    if values.is_empty() {
        return Ok(it);
    }
    let wanted: Arc<IdSet> = Arc::new(values.keys().copied().collect());
    let table = scan.table_of_ids(Table::Stacks, ranges, wanted.len()).await?;
    let chosen =
        table.filter(chosen::is_wanted("stack", wanted))?.select(vec![col("stack"), col("frames")])?;
    let mut batches = chosen.execute_stream().await?;
    let mut numbers: HashMap<Id, u32, RandomState> = HashMap::default();
    while let Some(batch) = batches.try_next().await? {
        let (stacks, lists) = (ids(&batch, "stack")?, any::<ListArray>(&batch, "frames")?);
        for row in 0..stacks.len().min(lists.len()) {
            let Some(values) = values.remove(&stacks.at(row)) else { continue };
            let frames = lists.value(row);
            let frames = ids_of(&frames).ok_or_else(|| Error::Internal {
                what: "the frames of a stack are no identities".to_owned(),
            })?;
            let start = it.frames.len();
            if start.saturating_add(frames.len()) > MAX_FRAMES {
                return Err(Error::TooMuch { what: format!("stacks of more than {MAX_FRAMES} frames") });
            }
            for at in 0..frames.len() {
                let id = frames.at(at);
                let next = u32::try_from(it.ids.len()).unwrap_or(u32::MAX);
                let number = *numbers.entry(id).or_insert(next);
                if number == next {
                    it.ids.push(id);
                }
                it.frames.push(number);
            }
            it.stacks.push((start..it.frames.len(), values));
        }
    }
    for left in values.values() {
        it.n_unknown = it.n_unknown.saturating_add(1);
        add(&mut it.unknown, *left);
    }
    if it.n_unknown > 0 {
        scan.warn(format!("the frames of {} stacks are not in the store", it.n_unknown));
    }
    Ok(it)
}
