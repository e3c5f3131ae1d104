//! Names of frames that were asked for before, so that a file is not opened again for each window of a recording that
//! goes on.

use std::collections::HashMap;

use super::Resolved;
use crate::object::FileIdentity;

/// An instruction of a file.
type Place = (FileIdentity, u64);

/// Names by place, in two generations: what has not been asked for in the time of one of them is gone.
#[derive(Debug)]
pub(super) struct Remembered {
    /// Of each generation; 0 remembers nothing.
    n_at_most: usize,
    now: HashMap<Place, Resolved>,
    before: HashMap<Place, Resolved>,
    pub(super) n_hits: u64,
    pub(super) n_misses: u64,
}

impl Remembered {
    pub(super) fn new(n_at_most: usize) -> Self {
        Self { n_at_most, now: HashMap::new(), before: HashMap::new(), n_hits: 0, n_misses: 0 }
    }

    /// Answers from memory, and for the rest, all at once, from `resolve`, which gives one answer for each.
    pub(super) fn frames(
        &mut self,
        file: FileIdentity,
        offsets: &[u64],
        resolve: impl FnOnce(&[u64]) -> Vec<Resolved>,
    ) -> Vec<Resolved> {
        if self.n_at_most == 0 {
            return resolve(offsets);
        }
        let known: Vec<Option<Resolved>> = offsets.iter().map(|offset| self.get((file, *offset))).collect();
        let asked: Vec<u64> = offsets
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(offset, _)| *offset)
            .collect();
        self.n_misses += asked.len() as u64;
        self.n_hits += (offsets.len() - asked.len()) as u64;
        let found = resolve(&asked);
        for (offset, resolved) in asked.iter().zip(&found) {
            self.insert((file, *offset), resolved.clone());
        }
        let mut found = found.into_iter();
        known.into_iter().filter_map(|known| known.or_else(|| found.next())).collect()
    }

    /// Looks up what is not remembered, so that it is later.
    pub(super) fn learn(
        &mut self,
        file: FileIdentity,
        offsets: &[u64],
        resolve: impl FnOnce(&[u64]) -> Vec<Resolved>,
    ) {
        let is_new = |offset: &u64| {
            let place = (file, *offset);
            !self.now.contains_key(&place) && !self.before.contains_key(&place)
        };
        let asked: Vec<u64> = offsets.iter().copied().filter(is_new).collect();
        if self.n_at_most == 0 || asked.is_empty() {
            return;
        }
        self.n_misses += asked.len() as u64;
        for (offset, resolved) in asked.iter().zip(resolve(&asked)) {
            self.insert((file, *offset), resolved);
        }
    }

    fn get(&mut self, place: Place) -> Option<Resolved> {
        if let Some(resolved) = self.now.get(&place) {
            return Some(resolved.clone());
        }
        let resolved = self.before.remove(&place)?;
        self.insert(place, resolved.clone());
        Some(resolved)
    }

    fn insert(&mut self, place: Place, resolved: Resolved) {
        if self.now.len() >= self.n_at_most {
            self.before = std::mem::take(&mut self.now);
        }
        self.now.insert(place, resolved);
    }

    pub(super) fn clear(&mut self) {
        self.now = HashMap::new();
        self.before = HashMap::new();
    }
}

#[cfg(test)]
mod tests {
    use super::Remembered;
    use crate::{
        object::FileIdentity,
        symbolize::{Resolved, Symbol},
    };

    fn named(offset: u64) -> Resolved {
        Resolved::Symbols(vec![Symbol { name: format!("f{offset}"), source: None, inlined: false }])
    }

    #[test]
    fn a_name_is_looked_up_once_and_every_answer_is_in_its_place() {
        let file = FileIdentity { device: 1, inode: 2, size_bytes: 3, modified_ns: 4 };
        let mut remembered = Remembered::new(3);
        let mut n_asked = Vec::new();
        for offsets in [&[1_u64, 2][..], &[0, 1, 2], &[2, 5, 1, 6], &[1, 2]] {
            let seen = remembered.frames(file, offsets, |asked| {
                n_asked.push(asked.len());
                asked.iter().copied().map(named).collect()
            });
            assert_eq!(seen, offsets.iter().copied().map(named).collect::<Vec<_>>(), "{offsets:?}");
        }
        assert_eq!(n_asked, [2, 1, 2, 0]);
        assert_eq!((remembered.n_hits, remembered.n_misses), (6, 5));
        remembered.learn(file, &[1, 7], |asked| {
            assert_eq!(asked, [7], "what is remembered was looked up");
            vec![named(7)]
        });
        let seen = remembered.frames(file, &[7, 1], |asked| {
            assert_eq!(asked, [0_u64; 0]);
            Vec::new()
        });
        assert_eq!((seen, remembered.n_misses), (vec![named(7), named(1)], 6));
        assert!(remembered.now.len() <= 3 && remembered.before.len() <= 3, "{remembered:?}");
    }
}
