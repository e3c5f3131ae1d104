//! Processes that have rings of `io_uring`: what they read and write through them is not seen.

use serde::Serialize;

/// Processes that are listed.
const MAX_LISTED: usize = 32;

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

/// Those with most of them first, and as many as are listed.
pub(crate) fn listed(mut all: Vec<RingUser>) -> Vec<RingUser> {
    all.retain(|it| it.rings > 0);
    all.sort_by(|a, b| b.rings.cmp(&a.rings).then(a.pid.cmp(&b.pid)));
    all.truncate(MAX_LISTED);
    all
}

pub(super) fn sentences(users: &[RingUser]) -> impl Iterator<Item = String> {
    users.iter().map(|RingUser { pid, process, rings }| {
        format!("{process} ({pid}) has {rings} rings of io_uring: what it reads and writes through them is not seen")
    })
}

#[cfg(test)]
mod tests {
    use super::{MAX_LISTED, RingUser, listed, sentences};

    fn user(pid: u32, rings: u64) -> RingUser {
        RingUser { pid, process: "proxy".to_owned(), rings }
    }

    #[test]
    fn whoever_has_most_is_first_and_whoever_has_none_is_not_told() {
        let users = listed(vec![user(1, 0), user(2, 1), user(4, 3), user(3, 3)]);
        assert_eq!(users.iter().map(|it| it.pid).collect::<Vec<_>>(), [3, 4, 2]);
        let said: Vec<String> = sentences(&users).collect();
        assert_eq!(
            said[2],
            "proxy (2) has 1 rings of io_uring: what it reads and writes through them is not seen"
        );
        assert_eq!(listed((1..100).map(|pid| user(pid, 1)).collect()).len(), MAX_LISTED);
    }
}
