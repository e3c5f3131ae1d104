//! What became of batches in the spool, in numbers.

use std::collections::BTreeMap;

use super::format::Refusal;

/// What became of batches in the spool since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpoolFigures {
    /// Written, and on disk.
    pub spooled: u64,
    /// Not written: disk full, batch too large.
    pub unspooled: u64,
    /// Dropped before a sink had them, by sink.
    pub dropped: BTreeMap<String, Dropped>,
    /// Files whose writing a crash cut short; they never counted as spooled.
    pub unfinished: u64,
    /// Files that are not what they should be, by reason; they were renamed to `*.refused`, or removed if there were
    /// too many.
    pub refused: BTreeMap<Refusal, u64>,
    /// Refused files that made room for younger ones.
    pub refused_removed: u64,
    /// Files that could not be removed; they are sent again after the next start.
    pub unremoved: u64,
    /// How often the places of the sinks could not be written.
    pub places_unwritten: u64,
}

/// Batches that a sink never got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// As the spool was full.
    pub full: u64,
    /// As they were too old.
    pub old: u64,
}

impl Dropped {
    pub(super) fn full(&mut self) -> &mut u64 {
        &mut self.full
    }

    pub(super) fn old(&mut self) -> &mut u64 {
        &mut self.old
    }
}

impl SpoolFigures {
    /// Adds what was counted before the spool was opened this time.
    pub(in crate::send) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.spooled, other.spooled),
            (&mut self.unspooled, other.unspooled),
            (&mut self.unfinished, other.unfinished),
            (&mut self.refused_removed, other.refused_removed),
            (&mut self.unremoved, other.unremoved),
            (&mut self.places_unwritten, other.places_unwritten),
        ];
        pairs.into_iter().for_each(|(sum, n)| *sum = sum.saturating_add(n));
        for (refusal, n) in &other.refused {
            let sum = self.refused.entry(*refusal).or_default();
            *sum = sum.saturating_add(*n);
        }
        for (sink, dropped) in &other.dropped {
            let sum = self.dropped.entry(sink.clone()).or_default();
            sum.full = sum.full.saturating_add(dropped.full);
            sum.old = sum.old.saturating_add(dropped.old);
        }
    }

    pub(super) fn add_refused(&mut self, refusal: Refusal) {
        let n = self.refused.entry(refusal).or_default();
        *n = n.saturating_add(1);
    }
}
