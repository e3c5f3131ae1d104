//! What receiving counts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Target;
use crate::refusal::{Reason, Rejected};

/// Counts, for as long as the collector runs.
#[derive(Debug, Default)]
pub struct IntakeFigures {
    counts: Mutex<Counts>,
}

/// Counts at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were acknowledged.
    pub accepted: BTreeMap<Target, u64>,
    /// Requests that were not, by reason. Those that lead nowhere have no target.
    pub refused: BTreeMap<(Option<Target>, Reason), u64>,
    /// Profiles, metrics or points that were left out of requests.
    pub rejected: BTreeMap<(Target, Reason), u64>,
    /// Batches of those requests.
    pub batches: BTreeMap<Target, u64>,
    /// Samples and points in them.
    pub rows: BTreeMap<Target, u64>,
    /// Batches that were there already.
    pub repeated: BTreeMap<Target, u64>,
    /// Bytes of bodies, as they came.
    pub body_bytes: BTreeMap<Target, u64>,
    /// The last refusal, in words.
    pub last_refusal: Option<String>,
}

/// What came of a request that was acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) n_batches: u64,
    pub(super) n_rows: u64,
    pub(super) n_repeated: u64,
    pub(super) n_body_bytes: u64,
}

impl IntakeFigures {
    /// Counts at this moment.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    pub(super) fn accepted(&self, target: Target, outcome: &Outcome, rejected: &Rejected) {
        let mut counts = self.lock();
        add(&mut counts.accepted, target, 1);
        add(&mut counts.batches, target, outcome.n_batches);
        add(&mut counts.rows, target, outcome.n_rows);
        add(&mut counts.repeated, target, outcome.n_repeated);
        add(&mut counts.body_bytes, target, outcome.n_body_bytes);
        for (reason, n) in rejected.by_reason() {
            add(&mut counts.rejected, (target, *reason), *n);
        }
        if let Some(refusal) = rejected.first() {
            counts.last_refusal = Some(refusal.to_string());
        }
    }

    pub(super) fn refused(&self, target: Option<Target>, refusal: &crate::refusal::Refusal) {
        let mut counts = self.lock();
        add(&mut counts.refused, (target, refusal.reason), 1);
        counts.last_refusal = Some(refusal.to_string());
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, n: u64) {
    let count = counts.entry(key).or_default();
    *count = count.saturating_add(n);
}
