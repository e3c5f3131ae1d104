//! A process from one exec to the next: its name, threads and executable mappings.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use profile::Labels;

use super::FileId;

/// One image of one process. Two processes with the same ID, one after the other, are two images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(test, derive(Default))]
pub struct ImageId(pub(super) u32);

/// What stands behind executable memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backing {
    /// A file.
    File(FileId),
    /// Nothing: code made at run time.
    Anonymous,
}

/// One executable mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// Address after the last.
    pub end: u64,
    /// Offset of `start` in the file.
    pub file_offset: u64,
    /// What stands behind it.
    pub backing: Backing,
}

/// Mappings of one image, at most: what a process can have unless the administrator says otherwise
/// (`DEFAULT_MAX_MAP_COUNT` in the kernel's include/linux/mm.h). What a process unmaps is not reported, so one that
/// maps code at ever new addresses would have no end.
const MAX_MAPPINGS_OF_IMAGE: usize = 65_530;

/// Executable mappings, sorted, never overlapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings(Vec<Mapping>);

impl Mappings {
    /// Adds a mapping. What it covers of older ones is gone: that is how the kernel maps, too. Gives `false` if there
    /// are too many already: then nothing is known of that place, rather than what was there before.
    pub fn insert(&mut self, new: Mapping) -> bool {
        if new.start >= new.end {
            return true;
        }
        let first = self.0.partition_point(|old| old.end <= new.start);
        let last = self.0.partition_point(|old| old.start < new.end);
        let mut pieces = Vec::with_capacity(3);
        for old in &self.0[first..last] {
            if old.start < new.start {
                pieces.push(Mapping { end: new.start, ..*old });
            }
            if old.end > new.end {
                let file_offset = old.file_offset.wrapping_add(new.end - old.start);
                pieces.push(Mapping { start: new.end, file_offset, ..*old });
            }
        }
        let n_covered = last.saturating_sub(first);
        let has_room = self.0.len() - n_covered + pieces.len() < MAX_MAPPINGS_OF_IMAGE;
        if has_room {
            pieces.push(new);
        } else {
            // A mapping that was cut in two is one more, too.
            pieces.truncate(n_covered);
        }
        pieces.sort_by_key(|piece| piece.start);
        self.0.splice(first..last, pieces);
        has_room
    }

    /// The mapping that an address lies in.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<&Mapping> {
        let mapping =
            self.0.get(self.0.partition_point(|mapping| mapping.start <= address).checked_sub(1)?)?;
        (address < mapping.end).then_some(mapping)
    }

    /// All of them, ascending.
    #[must_use]
    pub fn as_slice(&self) -> &[Mapping] {
        &self.0
    }
}

/// A process from one exec to the next.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Process ID, in the initial PID namespace.
    pub pid: u32,
    /// When it began, or was first seen.
    pub since_ns: u64,
    /// Name of the process: that of its first thread.
    pub name: String,
    /// Names of its threads, where they are known.
    pub threads: HashMap<u32, String>,
    /// Executable mappings; shared with samples that wait, and with children.
    pub mappings: Arc<Mappings>,
    /// To whom what is sampled of it belongs, where that is asked; that of the image before it, or of the parent, until
    /// it is [judged](super::Processes::judged).
    pub group: Option<Arc<Labels>>,
    /// Whether the group is its own.
    pub is_judged: bool,
    /// Threads that run; none once the process has ended. The first thread may end before others do.
    pub running: HashSet<u32>,
}

impl Image {
    /// Whether the process has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.running.is_empty()
    }

    /// Name of a thread; the process's own if the thread never got one.
    #[must_use]
    pub fn thread_name(&self, tid: u32) -> &str {
        self.threads.get(&tid).unwrap_or(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::{Backing, MAX_MAPPINGS_OF_IMAGE, Mapping, Mappings};

    fn mappings(list: &[(u64, u64)]) -> Mappings {
        let mut mappings = Mappings::default();
        for &(start, end) in list {
            mappings.insert(Mapping { start, end, file_offset: start, backing: Backing::Anonymous });
        }
        mappings
    }

    #[test]
    fn a_new_mapping_replaces_what_it_covers_and_splits_what_it_cuts() {
        type Ranges = &'static [(u64, u64)];
        let cases: [(&str, Ranges, Ranges); 6] = [
            ("apart", &[(10, 20), (30, 40)], &[(10, 20), (30, 40)]),
            ("inside", &[(10, 40), (20, 30)], &[(10, 20), (20, 30), (30, 40)]),
            ("over two", &[(10, 20), (30, 40), (15, 35)], &[(10, 15), (15, 35), (35, 40)]),
            ("the same", &[(10, 20), (10, 20)], &[(10, 20)]),
            ("over all", &[(10, 20), (30, 40), (0, 99)], &[(0, 99)]),
            ("empty", &[(10, 20), (15, 15)], &[(10, 20)]),
        ];
        for (case, list, expected) in cases {
            let found: Vec<_> = mappings(list).0.iter().map(|mapping| (mapping.start, mapping.end)).collect();
            assert_eq!(found, expected, "{case}");
            for mapping in mappings(list).as_slice() {
                assert_eq!(mapping.file_offset, mapping.start, "{case}: offsets move with the start");
            }
        }
    }

    #[test]
    fn a_process_that_never_stops_mapping_code_is_not_followed_for_ever() {
        let mut mappings = Mappings::default();
        let mut insert = |i: u64| {
            mappings.insert(Mapping {
                start: i * 16,
                end: i * 16 + 8,
                file_offset: 0,
                backing: Backing::Anonymous,
            })
        };
        let n_taken = (0..MAX_MAPPINGS_OF_IMAGE as u64 + 10).filter(|i| insert(*i)).count();
        assert_eq!((n_taken, mappings.as_slice().len()), (MAX_MAPPINGS_OF_IMAGE, MAX_MAPPINGS_OF_IMAGE));
    }

    #[test]
    fn past_the_bound_a_new_mapping_takes_the_place_of_an_old_one_or_leaves_nothing_there() {
        let range = |i: u64| (i * 64, i * 64 + 32);
        let all: Vec<_> = (0..MAX_MAPPINGS_OF_IMAGE as u64).map(range).collect();
        let mut mappings = mappings(&all);
        let mapping = |start, end| Mapping { start, end, file_offset: 7, backing: Backing::Anonymous };
        let found = |mappings: &Mappings, address| mappings.find(address).map(|it| it.file_offset);

        assert!(mappings.insert(mapping(64, 96)), "in the place of another");
        assert_eq!(found(&mappings, 70), Some(7));
        // One would be three.
        assert!(!mappings.insert(mapping(136, 144)));
        let seen = [130, 140, 150].map(|address| found(&mappings, address));
        assert_eq!(seen, [Some(128), None, None]);
        assert_eq!(mappings.as_slice().len(), MAX_MAPPINGS_OF_IMAGE);
    }

    #[test]
    fn an_address_is_found_only_inside() {
        let mappings = mappings(&[(10, 20), (30, 40)]);
        let found: Vec<_> = [9, 10, 19, 20, 29, 30, 39, 40]
            .iter()
            .map(|address| mappings.find(*address).map(|mapping| mapping.start))
            .collect();
        assert_eq!(found, [None, Some(10), Some(10), None, None, Some(30), Some(30), None]);
    }
}
