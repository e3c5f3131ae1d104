//! What was received, whichever way it came: one validated form, that every receiver's decoding ends in and that the log
//! keeps. Pure.

mod builder;
mod check;
mod identity;

use proto::log;

pub use builder::{Builder, FrameText, LabelSet, Room};
pub use check::NoBatch;
pub use identity::{Id, Key, frame_id, series_id, stack_id};

/// What is accepted as one. Every index leads somewhere, labels are in order, tables begin with what stands for nothing
/// (string 0, labels 0).
#[derive(Clone, Debug, PartialEq)]
pub struct Batch(log::Batch);

impl Batch {
    /// As tables.
    #[must_use]
    pub const fn tables(&self) -> &log::Batch {
        &self.0
    }

    /// As bytes, for [`Batch::decode`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        prost::Message::encode_to_vec(&self.0)
    }

    /// A text.
    #[must_use]
    pub fn text(&self, index: u32) -> &str {
        text(&self.0, index)
    }

    /// Names and values, by name.
    pub fn labels(&self, index: u32) -> impl Iterator<Item = (&str, &str)> {
        labels(&self.0, index)
    }

    /// Samples and points.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        let n_samples: usize = self.0.profiles.iter().map(|profile| profile.samples.len()).sum();
        let n_points: usize = self.0.metrics.iter().map(|metric| metric.points.len()).sum();
        n_samples.saturating_add(n_points)
    }

    /// Whether it says anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n_rows() == 0
    }

    /// Leaves out the profiles and metrics whose series is not wanted; how many those are.
    pub fn retain(&mut self, mut is_wanted: impl FnMut(Id) -> bool) -> u64 {
        let batch = &mut self.0;
        let mut profiles = std::mem::take(&mut batch.profiles);
        let mut metrics = std::mem::take(&mut batch.metrics);
        let n_before = profiles.len().saturating_add(metrics.len());
        profiles.retain(|it| is_wanted(series_id(batch, it.source, it.r#type, it.unit)));
        metrics.retain(|it| is_wanted(series_id(batch, it.source, it.name, it.unit)));
        let n_after = profiles.len().saturating_add(metrics.len());
        batch.profiles = profiles;
        batch.metrics = metrics;
        u64::try_from(n_before.saturating_sub(n_after)).unwrap_or(u64::MAX)
    }
}

/// An index as a place; none is so large.
pub(crate) fn place(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

fn text(batch: &log::Batch, index: u32) -> &str {
    batch.strings.get(place(index)).map_or("", String::as_str)
}

fn labels(batch: &log::Batch, index: u32) -> impl Iterator<Item = (&str, &str)> {
    let pairs = batch.labels.get(place(index)).map_or(&[][..], |labels| &labels.pairs);
    pairs.chunks_exact(2).filter_map(|pair| match pair {
        [name, value] => Some((text(batch, *name), text(batch, *value))),
        _ => None,
    })
}
