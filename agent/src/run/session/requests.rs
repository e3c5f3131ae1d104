//! Requests: what the kernel side tells of messages, in the order of time.

use std::time::Duration;

use abi::counter::Counter;

use super::{Session, take_until};
use crate::requests::Report;

impl Session {
    /// Takes in what is not younger than a moment that has passed.
    pub(super) fn settle_requests(&mut self, as_of_ns: u64) {
        let messages = take_until(&mut self.messages, as_of_ns, |event| event.message.time_ns);
        if let Some(requests) = &mut self.requests {
            messages.iter().for_each(|event| requests.apply(event));
        }
    }

    /// What is said of them in the end.
    pub(super) fn finish_requests(
        &mut self,
        duration: Duration,
        counters: &[(Counter, u64)],
    ) -> Option<Report> {
        self.settle_requests(u64::MAX);
        let counted = |which| counters.iter().find(|(counter, _)| *counter == which).map_or(0, |(_, n)| *n);
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let mut report = self.requests.as_ref()?.report(duration_ns);
        report.losses.messages_lost = counted(Counter::MessagesLost);
        report.losses.heads_unread = counted(Counter::HeadsUnread);
        report.losses.connections_unfollowed = counted(Counter::ConnectionsFull);
        Some(report)
    }
}
