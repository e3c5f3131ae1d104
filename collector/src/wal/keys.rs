//! Which batches are known: bounded, the oldest segments forgotten first.

use std::collections::{HashSet, VecDeque};

use crate::model::Key;

/// The keys of the last segments.
#[derive(Debug, Default)]
pub(super) struct KnownKeys {
    known: HashSet<Key>,
    /// By segment, the oldest first.
    segments: VecDeque<(u64, Vec<Key>)>,
}

impl KnownKeys {
    pub(super) fn contains(&self, key: &Key) -> bool {
        self.known.contains(key)
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether it was not known. Segments come in order.
    pub(super) fn insert(&mut self, segment: u64, key: Key) -> bool {
        if !self.known.insert(key) {
            return false;
        }
        match self.segments.back_mut() {
            Some((last, keys)) if *last == segment => keys.push(key),
            _ => self.segments.push_back((segment, vec![key])),
        }
        true
    }

    /// Forgets the oldest segments but one, until no more than `limit` keys are known; which those are.
    pub(super) fn trim(&mut self, limit: usize) -> Vec<u64> {
        let mut forgotten = Vec::new();
        while self.known.len() > limit && self.segments.len() > 1 {
            let Some((segment, keys)) = self.segments.pop_front() else { break };
            for key in keys {
                self.known.remove(&key);
            }
            forgotten.push(segment);
        }
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once_until_its_segment_is_forgotten() {
        let mut keys = KnownKeys::default();
        let seen = [(1, 1), (1, 2), (2, 1), (2, 3), (3, 4)]
            .map(|(segment, key)| keys.insert(segment, Key([key; 16])));
        assert_eq!(seen, [true, true, false, true, true]);
        assert_eq!(keys.trim(2), [1]);
        assert_eq!(
            (keys.len(), keys.contains(&Key([1; 16])), keys.contains(&Key([3; 16]))),
            (2, false, true)
        );
        assert_eq!(keys.trim(0), [2], "the last segment is under way");
    }
}
