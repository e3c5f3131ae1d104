//! Who has which part of the memory for unwind tables. Pure: decides places, and leaves the writing to
//! [`super::unwind_tables`].
//!
//! A table is one run of blocks. Where no hole is large enough though the free blocks together are,
//! [`TableRoom::slide_down`] makes one hole of them, so that fragmentation never costs a table.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{process::FileId, unwind::TableKey};

/// A run of blocks that moves down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) n_blocks: u32,
    /// Whose table it is.
    pub(super) files: Vec<FileId>,
}

#[derive(Clone, Debug)]
struct Resident {
    n_blocks: u32,
    key: Option<TableKey>,
    files: Vec<FileId>,
}

/// The memory, block by block.
#[derive(Clone, Debug)]
pub(super) struct TableRoom {
    n_blocks: u32,
    n_taken: u32,
    /// By first block.
    tables: BTreeMap<u32, Resident>,
    /// First block of the table of a file.
    of_file: HashMap<FileId, u32>,
    /// First block of the table made from something.
    of_key: HashMap<TableKey, u32>,
}

impl TableRoom {
    pub(super) fn new(n_blocks: u32) -> Self {
        Self {
            n_blocks,
            n_taken: 0,
            tables: BTreeMap::new(),
            of_file: HashMap::new(),
            of_key: HashMap::new(),
        }
    }

    /// Whether a run could ever have room.
    pub(super) fn can_hold(&self, n_blocks: u32) -> bool {
        n_blocks <= self.n_blocks
    }

    pub(super) fn has(&self, file: FileId) -> bool {
        self.of_file.contains_key(&file)
    }

    /// Gives a file the table of another one that was made from the same; gives where it is.
    pub(super) fn share(&mut self, file: FileId, key: TableKey) -> Option<u32> {
        let first = *self.of_key.get(&key)?;
        self.tables.get_mut(&first)?.files.push(file);
        self.of_file.insert(file, first);
        Some(first)
    }

    /// Takes the lowest hole that is large enough; gives its first block.
    pub(super) fn take(&mut self, file: FileId, key: Option<TableKey>, n_blocks: u32) -> Option<u32> {
        let first = self.hole(n_blocks)?;
        self.tables.insert(first, Resident { n_blocks, key, files: vec![file] });
        self.n_taken += n_blocks;
        self.of_file.insert(file, first);
        self.of_key.extend(key.map(|key| (key, first)));
        Some(first)
    }

    /// Files to evict, the first of `coldest_first` before others, until `n_blocks` are free; `None` if these files
    /// are not enough. A table goes when the last of its files comes up, and never if one of them is not listed.
    pub(super) fn victims(&self, n_blocks: u32, coldest_first: &[FileId]) -> Option<Vec<FileId>> {
        let mut n_free = self.n_blocks - self.n_taken;
        let mut victims = Vec::new();
        let mut listed = HashSet::new();
        for file in coldest_first {
            if n_free >= n_blocks {
                break;
            }
            listed.insert(file);
            let Some(table) = self.of_file.get(file).and_then(|first| self.tables.get(first)) else {
                continue;
            };
            if table.files.iter().all(|file| listed.contains(file)) {
                n_free += table.n_blocks;
                victims.extend(&table.files);
            }
        }
        (n_free >= n_blocks).then_some(victims)
    }

    /// Takes a file's table from it; its blocks are free when no file has it any more.
    pub(super) fn remove(&mut self, file: FileId) {
        let Some(first) = self.of_file.remove(&file) else { return };
        let Some(table) = self.tables.get_mut(&first) else { return };
        table.files.retain(|other| *other != file);
        if table.files.is_empty() {
            self.n_taken -= table.n_blocks;
            if let Some(key) = table.key {
                self.of_key.remove(&key);
            }
            self.tables.remove(&first);
        }
    }

    /// First block of the lowest hole that is large enough.
    pub(super) fn hole(&self, n_blocks: u32) -> Option<u32> {
        let mut end = 0;
        for (first, table) in &self.tables {
            if first - end >= n_blocks {
                return Some(end);
            }
            end = first + table.n_blocks;
        }
        (self.n_blocks - end >= n_blocks).then_some(end)
    }

    /// Moves every table down to the end of the one before it, and gives the moves, lowest first: carried out in
    /// this order, none covers what has not moved yet.
    pub(super) fn slide_down(&mut self) -> Vec<Move> {
        let mut moves = Vec::new();
        let mut end = 0;
        for (from, table) in std::mem::take(&mut self.tables) {
            let (to, n_blocks) = (end, table.n_blocks);
            end += n_blocks;
            if from != to {
                moves.push(Move { from, to, n_blocks, files: table.files.clone() });
                self.of_file.extend(table.files.iter().map(|file| (*file, to)));
                self.of_key.extend(table.key.map(|key| (key, to)));
            }
            self.tables.insert(to, table);
        }
        moves
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    use super::{Move, TableRoom};
    use crate::{process::Files, unwind::TableKey};

    #[test]
    fn the_lowest_hole_is_taken_and_what_goes_leaves_one() {
        let [a, b, c, d] = Files::numbered();
        let mut room = TableRoom::new(10);
        let places = [(a, 4), (b, 3), (c, 4), (d, 3)].map(|(file, n)| room.take(file, None, n));
        assert_eq!(places, [Some(0), Some(4), None, Some(7)], "{room:?}");
        room.remove(a);
        assert_eq!((room.take(c, None, 5), room.take(c, None, 4), room.hole(1)), (None, Some(0), None));
    }

    #[test]
    fn victims_go_coldest_first_no_more_than_needed_and_none_when_all_are_not_enough() {
        let [a, b, c, d] = Files::numbered();
        let mut room = TableRoom::new(10);
        for file in [a, b, c] {
            room.take(file, None, 3).expect("has room");
        }
        assert_eq!(room.victims(1, &[]), Some(vec![]));
        assert_eq!(room.victims(4, &[c, d, a]), Some(vec![c]));
        assert_eq!(room.victims(5, &[c, a, b]), Some(vec![c, a]));
        assert_eq!(room.victims(10, &[c, a]), None);
    }

    #[test]
    fn files_made_from_the_same_share_a_table_that_stays_until_all_of_them_are_cold() {
        let [a, b, c] = Files::numbered();
        let key = TableKey([7; 32]);
        let mut room = TableRoom::new(4);
        room.take(a, Some(key), 4).expect("has room");
        assert_eq!((room.share(b, key), room.share(c, TableKey([8; 32]))), (Some(0), None));
        assert_eq!((room.victims(1, &[a, c]), room.victims(1, &[b, a])), (None, Some(vec![a, b])));
        room.remove(a);
        assert!(!room.has(a) && room.has(b) && room.hole(1).is_none(), "{room:?}");
        room.remove(b);
        assert_eq!((room.share(c, key), room.hole(4)), (None, Some(0)), "a table that is gone is not shared");
    }

    #[test]
    fn sliding_down_makes_one_hole_of_many() {
        let [a, b, c, d] = Files::numbered();
        let mut room = TableRoom::new(9);
        let key = TableKey([7; 32]);
        for (file, key, n) in [(a, None, 2), (b, Some(key), 3), (c, None, 2), (d, None, 2)] {
            room.take(file, key, n).expect("has room");
        }
        room.remove(a);
        room.remove(c);
        assert_eq!((room.hole(4), room.victims(4, &[])), (None, Some(vec![])));
        let expected = [
            Move { from: 2, to: 0, n_blocks: 3, files: vec![b] },
            Move { from: 7, to: 3, n_blocks: 2, files: vec![d] },
        ];
        assert_eq!(room.slide_down(), expected);
        assert_eq!((room.hole(4), room.share(a, key)), (Some(5), Some(0)));
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_tables_never_overlap_and_blocks_are_never_lost(
            steps in proptest::collection::vec((0_usize..8, 1_u32..20, any::<bool>()), 1..80),
        ) {
            let files = Files::numbered::<8>();
            let mut room = TableRoom::new(50);
            for (i, n_blocks, slides) in steps {
                let file = files[i];
                if room.has(file) {
                    room.remove(file);
                } else if room.take(file, None, n_blocks).is_none() && slides {
                    room.slide_down();
                    let n_free = room.n_blocks - room.n_taken;
                    prop_assert_eq!(room.hole(n_free).is_some(), true, "{:?}", room);
                }
                let mut end = 0;
                let mut n_taken = 0;
                for (first, table) in &room.tables {
                    prop_assert!(*first >= end, "{:?}", room);
                    end = first + table.n_blocks;
                    n_taken += table.n_blocks;
                    prop_assert!(table.files.iter().all(|file| room.of_file.get(file) == Some(first)));
                }
                prop_assert!(end <= room.n_blocks && n_taken == room.n_taken, "{:?}", room);
            }
        }
    }
}
