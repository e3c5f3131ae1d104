//! Processes that have rings of `io_uring`: what they read and write through them is not seen.

use serde::Serialize;

/// Processes that are listed.
const MAX_LISTED: usize = 32;

/// Who has any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IoUring {
    /// Those with most of them first, 32 at most.
    pub processes: Vec<RingUser>,
    /// How many processes have some besides.
    pub others: u64,
}

/// A process, and how many rings it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RingUser {
    /// Its ID.
    pub pid: u32,
    /// Its name.
    pub process: String,
    /// Its rings.
    pub rings: u64,
}

impl IoUring {
    /// Of all processes, those that have any.
    pub(crate) fn of(all: impl Iterator<Item = RingUser>) -> Self {
        let mut processes: Vec<RingUser> = all.filter(|it| it.rings > 0).collect();
        processes.sort_by(|a, b| b.rings.cmp(&a.rings).then(a.pid.cmp(&b.pid)));
        let others = processes.len().saturating_sub(MAX_LISTED) as u64;
        processes.truncate(MAX_LISTED);
        Self { processes, others }
    }

    pub(super) fn sentences(&self) -> impl Iterator<Item = String> {
        let users = self.processes.iter().map(|RingUser { pid, process, rings }| {
            format!(
                "{process} ({pid}) has rings of io_uring ({rings}): what it reads and writes through them is not seen"
            )
        });
        let others =
            (self.others > 0).then(|| format!("{} processes more have rings of io_uring", self.others));
        users.chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::{IoUring, MAX_LISTED, RingUser};

    fn of(all: &[(u32, u64)]) -> IoUring {
        let user =
            |(pid, rings): &(u32, u64)| RingUser { pid: *pid, process: "proxy".to_owned(), rings: *rings };
        IoUring::of(all.iter().map(user))
    }

    #[test]
    fn whoever_has_most_is_first_and_whoever_has_none_is_not_told() {
        let found = of(&[(1, 0), (2, 1), (4, 3), (3, 3)]);
        assert_eq!(found.processes.iter().map(|it| it.pid).collect::<Vec<_>>(), [3, 4, 2]);
        let said: Vec<String> = found.sentences().collect();
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(
            said[2],
            "proxy (2) has rings of io_uring (1): what it reads and writes through them is not seen"
        );
        assert_eq!(of(&[(1, 0)]).sentences().count(), 0);
    }

    #[test]
    fn of_many_the_rest_is_counted() {
        let all: Vec<(u32, u64)> = (1..=100).map(|pid| (pid, 1)).collect();
        let found = of(&all);
        assert_eq!((found.processes.len(), found.others), (MAX_LISTED, 68));
        assert_eq!(found.sentences().last().as_deref(), Some("68 processes more have rings of io_uring"));
    }
}
