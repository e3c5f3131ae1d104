//! A table that holds each entry once and names it by a typed index.

use std::{collections::HashMap, hash::Hash};

/// The index that a full table answers with. No entry stands there, so readers show it as unknown.
const FULL: u32 = u32::MAX;

/// Entries in the order of their first appearance, each one once.
#[derive(Debug, Clone)]
pub(crate) struct Table<T> {
    entries: Vec<T>,
    index_of: HashMap<T, u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), index_of: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Table<T> {
    /// The index of `entry`, which is added if it is new.
    pub(crate) fn intern(&mut self, entry: T) -> u32 {
        if let Some(&index) = self.index_of.get(&entry) {
            return index;
        }
        let index = u32::try_from(self.entries.len()).unwrap_or(FULL);
        if index != FULL {
            self.entries.push(entry.clone());
            self.index_of.insert(entry, index);
        }
        index
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.entries.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }
}

/// Declares the handle types: a `u32` each, so that one kind cannot be taken for another.
macro_rules! handle {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub(crate) u32);

        impl $name {
            /// The position in its table, counted from 0 in the order of first appearance.
            pub fn index(self) -> usize {
                usize::try_from(self.0).unwrap_or(usize::MAX)
            }
        }
    };
}
pub(crate) use handle;
