//! What is missing of requests, in sentences.

use super::{Connections, Losses, Report};

impl Report {
    /// One sentence for each way in which some are missing: what they cannot be read of, then what was lost.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let unseen = self.tls_remarks().into_iter().chain(self.io_uring.sentences());
        // One from before the recording may speak TLS, and nobody can tell.
        let is_silent = self.requests == 0 && self.connections.n_tls + self.connections.n_other == 0;
        let reason = self.tls.refused.as_ref().filter(|_| is_silent);
        let silent = reason.map(|reason| {
            format!("no request was seen: what was open before and speaks TLS is not known to, as {reason}")
        });
        unseen.chain(silent).chain(sentences(&self.connections, &self.losses)).collect()
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

#[cfg(test)]
mod tests {
    use super::super::Requests;

    #[test]
    fn where_no_request_was_seen_and_tls_was_left_alone_it_is_said_that_it_may_be_that() {
        let mut report = Requests::default().report(1);
        assert_eq!(report.remarks(), [""; 0]);
        report.tls.refused = Some("--tls was not given".to_owned());
        let said = report.remarks();
        assert!(said.len() == 1 && said[0].starts_with("no request was seen: "), "{said:?}");
        report.requests = 1;
        assert_eq!(report.remarks(), [""; 0]);
    }
}
