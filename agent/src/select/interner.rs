//! Equal labels are one, as long as somebody holds them.

use std::{collections::HashSet, sync::Arc};

use profile::Labels;

/// Held at once: 5,000 control groups with a few executables each have as many labels. Some 500 bytes each.
const MAX_SETS: usize = 16_384;
/// Below this nobody is asked to leave.
const FEW: usize = 256;

/// Sets of labels that are held by somebody, and a few that were.
#[derive(Debug, Default)]
pub(super) struct Interner {
    sets: HashSet<Arc<Labels>>,
    /// Those that nobody holds any more are looked for when there are so many.
    sweep_at: usize,
    n_unshared: u64,
}

impl Interner {
    /// The one that is equal to these; a new one if there is none.
    pub(super) fn intern(&mut self, labels: Labels) -> Arc<Labels> {
        if let Some(known) = self.sets.get(&labels) {
            return Arc::clone(known);
        }
        if self.sets.len() >= self.sweep_at.clamp(FEW, MAX_SETS) {
            self.sets.retain(|set| Arc::strong_count(set) > 1);
            // Half of what is swept is new then: the price of a sweep is shared by many.
            self.sweep_at = self.sets.len().saturating_mul(2);
        }
        let labels = Arc::new(labels);
        if self.sets.len() < MAX_SETS {
            self.sets.insert(Arc::clone(&labels));
        } else {
            self.n_unshared = self.n_unshared.saturating_add(1);
        }
        labels
    }

    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Given out though there was no room to keep them.
    pub(super) fn n_unshared(&self) -> u64 {
        self.n_unshared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(n: usize) -> Labels {
        Labels::default().with("container.id", n.to_string())
    }

    #[test]
    fn equal_labels_are_one_and_those_that_nobody_holds_are_forgotten() {
        let mut interner = Interner::default();
        let held: Vec<_> = (0..1000).map(|n| interner.intern(labels(n))).collect();
        for n in 1000..200_000 {
            assert!(Arc::ptr_eq(&interner.intern(labels(n % 1000)), &held[n % 1000]));
            drop(interner.intern(labels(n)));
            assert!(interner.len() <= 2 * held.len() + 1, "{} at {n}", interner.len());
        }
        assert_eq!(interner.n_unshared(), 0);
    }

    #[test]
    fn what_is_held_has_a_limit_too_and_beyond_it_is_not_shared() {
        let mut interner = Interner::default();
        let held: Vec<_> = (0..MAX_SETS + 10).map(|n| interner.intern(labels(n))).collect();
        assert_eq!((interner.len(), interner.n_unshared()), (MAX_SETS, 10));
        assert!(Arc::ptr_eq(&interner.intern(labels(0)), &held[0]));
        drop(held);
        drop(interner.intern(labels(MAX_SETS)));
        assert!(interner.len() <= 1, "{}", interner.len());
    }
}
