//! Which unwind tables may go when there is no room for another one, and when a file may ask for its table again.
//!
//! A file shows that it needs its table by a stack that ends in it, waiting. What a table is worth is told by the
//! samples: the frames of a stack are counted by the agent however the kernel side found them.

use std::collections::{HashMap, HashSet};

use crate::process::FileId;

/// A table that was used within this time is in use.
const IN_USE_NS: u64 = 2_000_000_000;

/// A table that is not older than this has had no time to be used: samples are read ten times a second.
const NEW_NS: u64 = 250_000_000;

/// A table in use stays for this long at least. If all tables are in use and there is no room for one more, they
/// take turns, and this bounds what the turns cost.
const TURN_NS: u64 = 10_000_000_000;

/// A file that found no room asks again after this time, at the earliest, and after twice as long each time that it
/// finds none: a table is built for each.
const ASK_AGAIN_NS: u64 = 250_000_000;

/// But after this time it may ask.
const MAX_ASK_AGAIN_NS: u64 = TURN_NS;

/// Who has a table, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct TableUse {
    /// Since when.
    written_ns: HashMap<FileId, u64>,
    /// Files whose table is not there for want of room, and from when on they may ask for it.
    without: HashMap<FileId, u64>,
    /// Files for which there was no room at some time, and how long they are to wait the next time.
    refused: HashMap<FileId, u64>,
}

impl TableUse {
    pub(super) fn written(&mut self, file: FileId, now_ns: u64) {
        self.written_ns.insert(file, now_ns);
        if let Some(wait_ns) = self.refused.get_mut(&file) {
            *wait_ns = ASK_AGAIN_NS;
        }
    }

    pub(super) fn evicted(&mut self, file: FileId) {
        self.written_ns.remove(&file);
        self.without.insert(file, 0);
    }

    pub(super) fn refused(&mut self, file: FileId, now_ns: u64) {
        let wait_ns = self.refused.entry(file).or_insert(ASK_AGAIN_NS);
        self.without.insert(file, now_ns.saturating_add(*wait_ns));
        *wait_ns = wait_ns.saturating_mul(2).min(MAX_ASK_AGAIN_NS);
    }

    /// Files for which there was no room at some time.
    pub(super) fn n_refused(&self) -> u64 {
        self.refused.len() as u64
    }

    /// Whether a file that a stack waits for should get its table anew; then it is asked for once.
    pub(super) fn asks_again(&mut self, file: FileId, now_ns: u64) -> bool {
        let is_due = self.without.get(&file).is_some_and(|from_ns| *from_ns <= now_ns);
        is_due && self.without.remove(&file).is_some()
    }

    /// The files whose tables may go: those that no process maps first, then those used the longest ago.
    pub(super) fn coldest_first(
        &self,
        mapped: &HashSet<FileId>,
        last_use_ns: &HashMap<FileId, u64>,
        now_ns: u64,
    ) -> Vec<FileId> {
        let is_within = |time_ns: u64, limit_ns: u64| now_ns.saturating_sub(time_ns) <= limit_ns;
        let mut files: Vec<(bool, u64, FileId)> = self
            .written_ns
            .iter()
            .filter_map(|(file, written_ns)| {
                let used_ns = last_use_ns.get(file).copied().unwrap_or(0);
                let is_mapped = mapped.contains(file);
                let is_in_use = is_within(*written_ns, NEW_NS)
                    || is_within(used_ns, IN_USE_NS) && is_within(*written_ns, TURN_NS);
                (!is_mapped || !is_in_use).then_some((is_mapped, used_ns, *file))
            })
            .collect();
        files.sort_unstable();
        files.into_iter().map(|(_, _, file)| file).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::{ASK_AGAIN_NS, TableUse};
    use crate::process::Files;

    const S: u64 = 1_000_000_000;

    #[test]
    fn unmapped_files_go_first_then_those_not_used_for_long_and_never_what_is_in_use() {
        let [gone, never, old, older, busy, new] = Files::numbered();
        let mut tables = TableUse::default();
        for (file, written_s) in [(gone, 100), (never, 99), (old, 1), (older, 2), (busy, 91), (new, 100)] {
            tables.written(file, written_s * S);
        }
        let mapped = HashSet::from([never, old, older, busy, new]);
        let last_use = HashMap::from([(gone, 100 * S), (old, 50 * S), (older, 40 * S), (busy, 100 * S)]);
        assert_eq!(tables.coldest_first(&mapped, &last_use, 100 * S), [gone, never, older, old]);
    }

    #[test]
    fn tables_in_use_take_turns() {
        let [a, b] = Files::numbered();
        let mut tables = TableUse::default();
        tables.written(a, 10 * S);
        tables.written(b, 15 * S);
        let both = HashSet::from([a, b]);
        let at = |now_s: u64| {
            let last_use = HashMap::from([(a, now_s * S), (b, now_s * S)]);
            tables.coldest_first(&both, &last_use, now_s * S)
        };
        assert_eq!([at(19), at(21), at(26)], [vec![], vec![a], vec![a, b]]);
    }

    #[test]
    fn an_evicted_file_asks_once_and_a_refused_one_not_at_once() {
        let [evicted, refused, other] = Files::numbered();
        let mut tables = TableUse::default();
        tables.evicted(evicted);
        tables.refused(refused, S - ASK_AGAIN_NS);
        tables.refused(refused, S);
        let mut asks = |file, now_ns| tables.asks_again(file, now_ns);
        assert_eq!((asks(evicted, 1), asks(evicted, 2), asks(other, 1)), (true, false, false));
        assert_eq!((asks(refused, S + ASK_AGAIN_NS), asks(refused, S + 2 * ASK_AGAIN_NS)), (false, true));
        assert_eq!(tables.n_refused(), 1);
        // The last tables are written after the last moment.
        tables.refused(other, u64::MAX);
        assert!(!tables.asks_again(other, u64::MAX - 1));
    }
}
