//! What is missing of requests, and why.

use abi::counter::Counter;
use serde::Serialize;

/// One counter for each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Losses {
    /// Requests whose connection was over before their answer was.
    pub unanswered: u64,
    /// Requests that were not answered when the recording ended.
    pub unfinished: u64,
    /// Answers to requests from before the recording, or whose head was lost.
    pub responses_alone: u64,
    /// Requests whose answer has no end, because it was lost: the next had begun.
    pub ends_missing: u64,
    /// Requests that had no room among those under way.
    pub requests_full: u64,
    /// Messages of connections that had no room.
    pub connections_full: u64,
    /// Requests whose route had no room of its own: they are in the row `other`.
    pub routes_full: u64,
    /// Answers of others to paths that had no room: whether they repeat is not known.
    pub paths_full: u64,
    /// Samples of requests that might be among the slowest, whose stack had no room.
    pub stacks_full: u64,
    /// What became of messages, lost because the ring was full.
    pub messages_lost: u64,
    /// Heads that could not be read: the rest of their connection is not seen.
    pub heads_unread: u64,
    /// Calls of libraries for TLS that could not be looked at: the rest of their connection is not seen.
    pub tls_calls_missed: u64,
    /// Connections that the kernel side could not follow.
    pub connections_unfollowed: u64,
}

impl Losses {
    /// With what the kernel side has counted.
    #[must_use]
    pub fn with_counters(self, counters: &[(Counter, u64)]) -> Self {
        let counted = |which| counters.iter().find(|(counter, _)| *counter == which).map_or(0, |(_, n)| *n);
        Self {
            tls_calls_missed: counted(Counter::TlsCallsMissed),
            messages_lost: counted(Counter::MessagesLost),
            heads_unread: counted(Counter::HeadsUnread),
            connections_unfollowed: counted(Counter::ConnectionsFull),
            ..self
        }
    }
}
