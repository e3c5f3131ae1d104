//! What is missing of requests, in sentences.

use super::{Connections, Losses, Report, rings};

impl Report {
    /// One sentence for each way in which some are missing: what they cannot be read of, then what was lost.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let unseen = self.tls_remarks().into_iter().chain(rings::sentences(&self.io_uring));
        unseen.chain(sentences(&self.connections, &self.losses)).collect()
    }

    /// Those on connections that speak TLS and were not read.
    #[must_use]
    pub fn tls_remarks(&self) -> Vec<String> {
        self.tls.sentences(&self.connections)
    }
}

/// The same of what is under way.
pub(super) fn sentences(connections: &Connections, losses: &Losses) -> Vec<String> {
    let unseen = [
        (connections.n_http2, "speak HTTP/2: of their requests there are times alone"),
        (connections.n_upgraded, "have become tunnels or web sockets"),
        (connections.n_other, "speak no HTTP"),
    ];
    let unseen = unseen.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} connections {what}"));
    unseen.chain(losses.sentences()).collect()
}

impl Losses {
    fn sentences(&self) -> impl Iterator<Item = String> {
        let all = [
            (self.unanswered, "requests had no answer when their connection was over"),
            (self.unfinished, "requests were not answered when the recording ended"),
            (self.responses_alone, "answers were to requests from before the recording"),
            (self.ends_missing, "answers have no end: it was lost"),
            (self.requests_full, "requests had no room among those under way"),
            (self.connections_full, "messages had no room for their connection"),
            (self.routes_full, "requests are in the row `other`: there are too many routes"),
            (
                self.paths_full,
                "answers of others are of paths without room: whether they repeat is not known",
            ),
            (
                self.tls_calls_missed,
                "calls of libraries for TLS were missed: the rest of their connection is not seen",
            ),
            (self.stacks_full, "samples had no room with their request: its stacks are not all"),
            (self.messages_lost, "messages were lost: the ring was full"),
            (self.heads_unread, "heads could not be read: the rest of their connection is not seen"),
            (self.connections_unfollowed, "connections could not be followed"),
        ];
        all.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"))
    }
}
