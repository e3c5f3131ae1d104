//! Requests: what the kernel side tells of messages, in the order of time; and what the network namespaces of targets say.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use abi::counter::Counter;

use super::{Session, take_until};
use crate::{
    procfs::network::{self, TcpCounts},
    requests::{Network, Report},
};

/// Targets whose namespace is looked up.
const MAX_TARGETS: usize = 1024;
/// Namespaces that are read.
const MAX_NAMESPACES: usize = 16;

/// Network namespaces of targets: a process of each, and what it said when the recording began.
pub(super) type Namespaces = BTreeMap<PathBuf, (u32, TcpCounts)>;

impl Session {
    /// Reads what is counted of the namespaces of targets, to know later what was added.
    pub(super) fn begin_requests(&mut self) {
        if self.requests.is_none() {
            return;
        }
        for pid in self.present.iter().take(MAX_TARGETS) {
            let namespace = fs::read_link(format!("/proc/{pid}/ns/net")).ok();
            if let Some(namespace) = namespace.filter(|it| !self.namespaces.contains_key(it))
                && self.namespaces.len() < MAX_NAMESPACES
                && let Ok(counts) = network::read(*pid)
            {
                self.namespaces.insert(namespace, (*pid, counts));
            }
        }
    }

    /// What was added; of a namespace whose process has gone nothing is known.
    fn network(&self) -> Option<Network> {
        let mut network = None;
        for (pid, before) in self.namespaces.values() {
            if let Ok(counts) = network::read(*pid) {
                network.get_or_insert_with(Network::default).add(counts.since(*before));
            }
        }
        network
    }

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
        let network = self.network();
        let mut report = self.requests.as_ref()?.report(duration_ns);
        report.network = network;
        report.losses.messages_lost = counted(Counter::MessagesLost);
        report.losses.heads_unread = counted(Counter::HeadsUnread);
        report.losses.connections_unfollowed = counted(Counter::ConnectionsFull);
        Some(report)
    }
}
