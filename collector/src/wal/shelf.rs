//! Segments that are ended and wait for the store.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// A segment that is ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Which.
    pub number: u64,
    /// As far as it counts: what lies behind was never acknowledged.
    pub bytes: u64,
    /// Places of records that another segment has as well.
    pub skipped: HashSet<usize>,
    /// When it was ended, on the clock of whoever opened the log.
    pub since_ns: u64,
}

/// What waits, and how much room it takes.
#[derive(Debug, Default)]
pub struct Shelf {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    sealed: BTreeMap<u64, Sealed>,
    /// Of all segments, that which is written included.
    bytes: u64,
    is_closed: bool,
}

impl Shelf {
    /// The oldest segment that waits.
    #[must_use]
    pub fn oldest(&self) -> Option<Sealed> {
        self.state().sealed.first_key_value().map(|(_, sealed)| sealed.clone())
    }

    /// Segments that wait, and bytes of all.
    #[must_use]
    pub fn waiting(&self) -> (usize, u64) {
        let state = self.state();
        (state.sealed.len(), state.bytes)
    }

    /// Whether no more will come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Until something has changed since the last call, or is about to.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn add(&self, sealed: Sealed) {
        self.state().sealed.insert(sealed.number, sealed);
        self.changed.notify_one();
    }

    pub(super) fn grow(&self, n_bytes: u64) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_add(n_bytes);
    }

    pub(super) fn remove(&self, number: u64) {
        let mut state = self.state();
        if let Some(sealed) = state.sealed.remove(&number) {
            state.bytes = state.bytes.saturating_sub(sealed.bytes);
        }
    }

    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
