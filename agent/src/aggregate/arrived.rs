//! What crossed once and is referred to by its ID from then on, until the kernel side sends everything anew.

use std::collections::HashMap;

/// Stacks by ID, in two generations.
#[derive(Debug)]
pub(super) struct Arrived<T> {
    now: HashMap<u64, T>,
    /// Those from before the last time that stacks were forgotten: samples of them may be on their way.
    before: HashMap<u64, T>,
}

impl<T> Default for Arrived<T> {
    fn default() -> Self {
        Self { now: HashMap::new(), before: HashMap::new() }
    }
}

impl<T> Arrived<T> {
    pub(super) fn insert(&mut self, id: u64, stack: T) {
        self.now.insert(id, stack);
    }

    pub(super) fn get(&self, id: u64) -> Option<&T> {
        self.now.get(&id).or_else(|| self.before.get(&id))
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.now.remove(&id);
    }

    /// Those of this generation.
    pub(super) fn len(&self) -> usize {
        self.now.len()
    }

    /// Begins another generation; that before the last is gone.
    pub(super) fn forget(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}
