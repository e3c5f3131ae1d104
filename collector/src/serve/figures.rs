//! What bringing segments into the store counts.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Counts, for as long as the collector runs.
#[derive(Debug, Default)]
pub struct FlushFigures {
    /// Segments that are in the store.
    pub segments: AtomicU64,
    /// Files of theirs.
    pub files: AtomicU64,
    /// Bytes of these.
    pub bytes: AtomicU64,
    /// Rows of these: samples and points.
    pub rows: AtomicU64,
    /// Times that a segment did not come into the store.
    pub failed: AtomicU64,
    /// Records of the log that could not be read.
    pub damaged: AtomicU64,
    /// Files that became others.
    pub merged: AtomicU64,
    /// Files that were removed: too old, too much, or left by a crash.
    pub removed: AtomicU64,
    /// Files of the store that could not be read, and are out of the way.
    pub files_damaged: AtomicU64,
    /// Times that the store could not be kept in order.
    pub upkeep_failed: AtomicU64,
    state: Mutex<StoreState>,
}

/// How the store takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreState {
    /// Failures in a row.
    pub failing: u64,
    /// The last one, in words.
    pub last_error: Option<String>,
}

impl FlushFigures {
    /// How the store takes it now.
    #[must_use]
    pub fn state(&self) -> StoreState {
        self.lock().clone()
    }

    pub(super) fn succeeded(&self) {
        *self.lock() = StoreState::default();
        add(&self.segments, 1);
    }

    pub(super) fn failed(&self, error: String) -> u64 {
        add(&self.failed, 1);
        let mut state = self.lock();
        state.failing = state.failing.saturating_add(1);
        state.last_error = Some(error);
        state.failing
    }

    fn lock(&self) -> MutexGuard<'_, StoreState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
}
