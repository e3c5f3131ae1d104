//! How much lives of each stack, now and over time.

use std::collections::HashMap;

use profile::trend::{History, Point};

use super::{Object, Stack};

/// Points kept of each stack: enough for a verdict, 32 bytes each.
const POINTS: usize = 120;
/// Stacks followed over time, at most: 16 MiB of points.
const MAX_STACKS: usize = 4096;

#[derive(Debug)]
struct Level {
    n_bytes: u64,
    history: History,
}

/// The levels of all stacks.
#[derive(Debug)]
pub(super) struct Levels {
    stacks: HashMap<Stack, Level>,
    /// Of a stack that nothing was allocated from: where each begins, so that the points of all have the same times.
    nothing: History,
    n_without_history: u64,
}

impl Default for Levels {
    fn default() -> Self {
        Self { stacks: HashMap::new(), nothing: History::new(POINTS), n_without_history: 0 }
    }
}

impl Levels {
    /// An object has come.
    pub(super) fn raise(&mut self, object: &Object) {
        let Some(key) = object.key else { return };
        if !self.stacks.contains_key(&key.user) && self.stacks.len() >= MAX_STACKS {
            self.n_without_history += 1;
            return;
        }
        let level = self
            .stacks
            .entry(key.user)
            .or_insert_with(|| Level { n_bytes: 0, history: self.nothing.clone() });
        level.n_bytes = level.n_bytes.saturating_add(object.estimate.weight);
    }

    /// An object has gone.
    pub(super) fn lower(&mut self, object: &Object) {
        if let Some(level) = object.key.and_then(|key| self.stacks.get_mut(&key.user)) {
            level.n_bytes = level.n_bytes.saturating_sub(object.estimate.weight);
        }
    }

    pub(super) fn tick(&mut self, time_ns: u64) {
        self.nothing.push(time_ns, 0);
        for level in self.stacks.values_mut() {
            level.history.push(time_ns, level.n_bytes);
        }
    }

    /// How much lived over time.
    pub(super) fn points(&self) -> impl Iterator<Item = (Stack, Vec<Point>)> {
        self.stacks.iter().map(|(stack, level)| (*stack, level.history.points()))
    }

    pub(super) fn n_without_history(&self) -> u64 {
        self.n_without_history
    }
}
