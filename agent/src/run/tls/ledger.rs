//! Which libraries of which processes have probes, and why others have none. Pure; bounded by the processes that are there, and by
//! a limit for those that were.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use crate::process::FileId;

/// Libraries in processes at once. Above this, whoever comes is probed when somebody ends.
const MAX_PROBED: usize = 4096;
/// Processes that have ended of which it is remembered why they were not read.
const MAX_ENDED: usize = 4096;

const NO_LIBRARY: &str =
    "none of its files has the functions SSL_read and SSL_write by name, as OpenSSL and BoringSSL have";
const NO_LIBRARY_OR_FORGOTTEN: &str = "it has ended, and too many have for the reason to be remembered; or none of its files has the \
                                       functions SSL_read and SSL_write by name";
const UNREAD: &str = "nothing was said that is HTTP, or its beginning was before the probes were there";
const NO_ROOM: &str = "libraries of 4096 processes have probes already: follow fewer processes";

/// What became of a library in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome<Id> {
    /// It has probes.
    Probed(Id),
    /// There was no room.
    NoRoom,
    /// The kernel did not take them, and why.
    Refused(String),
    /// It is none of ours: outside of the control group, or ended meanwhile.
    LeftAlone,
}

/// All of them; `Id` is what probes are taken out by.
#[derive(Debug)]
pub(super) struct Ledger<Id> {
    processes: HashMap<u32, BTreeMap<FileId, Outcome<Id>>>,
    /// Why processes were not read that have ended.
    ended: HashMap<u32, Cow<'static, str>>,
    has_forgotten: bool,
}

impl<Id> Default for Ledger<Id> {
    fn default() -> Self {
        Self { processes: HashMap::new(), ended: HashMap::new(), has_forgotten: false }
    }
}

impl<Id: Copy> Ledger<Id> {
    /// Whether it is settled what became of a library in a process.
    pub(super) fn is_known(&self, pid: u32, file: FileId) -> bool {
        self.processes.get(&pid).is_some_and(|files| files.contains_key(&file))
    }

    /// Whether another can have probes.
    pub(super) fn has_room(&self) -> bool {
        let outcomes = self.processes.values().flat_map(BTreeMap::values);
        outcomes.filter(|outcome| outcome.id().is_some()).count() < MAX_PROBED
    }

    /// Keeps what became of a library in a process.
    pub(super) fn note(&mut self, pid: u32, file: FileId, outcome: Outcome<Id>) {
        self.processes.entry(pid).or_default().insert(file, outcome);
    }

    /// Forgets processes that have ended, but for why they were not read; gives their probes. If they had some, those that found no
    /// room are not settled any more.
    pub(super) fn end(&mut self, is_live: impl Fn(u32) -> bool) -> Vec<Id> {
        let mut freed = Vec::new();
        for (pid, files) in self.processes.extract_if(|pid, _| !is_live(*pid)) {
            freed.extend(files.values().filter_map(Outcome::id));
            // Another may have had the ID before.
            self.ended.remove(&pid);
            if let Some(reason) = reason(&files) {
                if self.ended.len() < MAX_ENDED {
                    self.ended.insert(pid, reason);
                } else {
                    self.has_forgotten = true;
                }
            }
        }
        if !freed.is_empty() {
            for files in self.processes.values_mut() {
                files.retain(|_, outcome| !matches!(outcome, Outcome::NoRoom));
            }
        }
        freed
    }

    /// Why connections of a process were not read.
    pub(super) fn reason(&self, pid: u32) -> Cow<'static, str> {
        let known = match self.processes.get(&pid) {
            Some(files) => reason(files),
            None => self.ended.get(&pid).cloned(),
        };
        known.unwrap_or(Cow::Borrowed(if self.has_forgotten { NO_LIBRARY_OR_FORGOTTEN } else { NO_LIBRARY }))
    }
}

impl<Id: Copy> Outcome<Id> {
    fn id(&self) -> Option<Id> {
        match self {
            Self::Probed(id) => Some(*id),
            _ => None,
        }
    }
}

/// Of several libraries, the one that has no probes says it.
fn reason<Id>(files: &BTreeMap<FileId, Outcome<Id>>) -> Option<Cow<'static, str>> {
    let mut found = None;
    for outcome in files.values() {
        match outcome {
            Outcome::Refused(reason) => return Some(Cow::Owned(reason.clone())),
            Outcome::NoRoom => found = Some(NO_ROOM),
            Outcome::Probed(_) => found = found.or(Some(UNREAD)),
            Outcome::LeftAlone => {}
        }
    }
    found.map(Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::{
        Ledger, MAX_ENDED, MAX_PROBED, NO_LIBRARY, NO_LIBRARY_OR_FORGOTTEN, NO_ROOM, Outcome, UNREAD,
    };
    use crate::process::Files;

    #[test]
    fn whoever_found_no_room_is_tried_again_when_somebody_ends_and_not_before() {
        let [file, other] = Files::numbered();
        let mut ledger = Ledger::default();
        let n = u32::try_from(MAX_PROBED).expect("fits");
        for pid in 1..=n {
            assert!(ledger.has_room(), "{pid}");
            ledger.note(pid, file, Outcome::Probed(pid));
        }
        assert!(!ledger.has_room());
        let late = n + 1;
        ledger.note(late, file, Outcome::NoRoom);
        ledger.note(late, other, Outcome::LeftAlone);
        assert!(NO_ROOM.contains(&MAX_PROBED.to_string()), "{NO_ROOM}");
        assert_eq!(ledger.reason(late), NO_ROOM);
        assert_eq!(ledger.end(|_| true), [0; 0]);
        assert!(ledger.is_known(late, file));
        assert_eq!(ledger.end(|pid| pid != 7), [7]);
        assert!(ledger.has_room() && !ledger.is_known(late, file) && ledger.is_known(late, other));
        ledger.note(late, file, Outcome::Probed(late));
        assert!(!ledger.has_room());
        assert_eq!(ledger.reason(late), UNREAD);
    }

    #[test]
    fn the_end_of_who_had_no_probes_makes_no_room() {
        let [file] = Files::numbered();
        let mut ledger = Ledger::<u32>::default();
        ledger.note(1, file, Outcome::NoRoom);
        ledger.note(2, file, Outcome::Refused("no".into()));
        assert_eq!(ledger.end(|pid| pid != 2), [0; 0]);
        assert!(ledger.is_known(1, file) && !ledger.is_known(2, file));
    }

    #[test]
    fn the_library_without_probes_says_why() {
        let [first, second] = Files::numbered();
        let mut ledger = Ledger::default();
        assert_eq!(ledger.reason(1), NO_LIBRARY);
        ledger.note(1, second, Outcome::Probed(1));
        assert_eq!(ledger.reason(1), UNREAD);
        ledger.note(1, first, Outcome::NoRoom);
        assert_eq!(ledger.reason(1), NO_ROOM);
        ledger.note(1, second, Outcome::Refused("/lib/x: no".into()));
        assert_eq!(ledger.reason(1), "/lib/x: no");
        ledger.note(2, first, Outcome::LeftAlone);
        assert_eq!(ledger.reason(2), NO_LIBRARY);
    }

    #[test]
    fn of_those_that_ended_the_reasons_are_remembered_up_to_a_limit() {
        let [file] = Files::numbered();
        let mut ledger = Ledger::default();
        let n = u32::try_from(MAX_ENDED).expect("fits");
        for pid in 1..=n {
            ledger.note(pid, file, Outcome::Probed(pid));
            ledger.end(|_| false);
        }
        assert!(ledger.processes.is_empty(), "{}", ledger.processes.len());
        assert_eq!((ledger.reason(n), ledger.reason(n + 1)), (UNREAD.into(), NO_LIBRARY.into()));
        ledger.note(n + 1, file, Outcome::Probed(n + 1));
        ledger.end(|_| false);
        assert_eq!(ledger.ended.len(), MAX_ENDED);
        assert_eq!((ledger.reason(n), ledger.reason(n + 1)), (UNREAD.into(), NO_LIBRARY_OR_FORGOTTEN.into()));
        // Another with the ID of one of them.
        ledger.note(1, file, Outcome::Refused("no".into()));
        assert_eq!(ledger.reason(1), "no");
        ledger.end(|_| false);
        assert_eq!((ledger.reason(1), ledger.ended.len()), ("no".into(), MAX_ENDED));
    }
}
