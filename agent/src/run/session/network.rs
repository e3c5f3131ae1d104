//! What the network namespaces of targets say, before and after.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::Session;
use crate::{
    procfs::network::{self, TcpCounts},
    requests::Network,
};

/// Targets whose namespace is looked up.
const MAX_TARGETS: usize = 1024;
/// Namespaces that are read.
const MAX_NAMESPACES: usize = 16;

/// Network namespaces of targets: a process of each, and what it said when the recording began.
pub(super) type Namespaces = BTreeMap<PathBuf, (u32, TcpCounts)>;

impl Session {
    /// Reads what is counted of the namespaces of targets, to know later what was added.
    pub(super) fn begin_network(&mut self) {
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
    pub(super) fn network(&self) -> Option<Network> {
        let mut network = None;
        for (pid, before) in self.namespaces.values() {
            if let Ok(counts) = network::read(*pid) {
                network.get_or_insert_with(Network::default).add(counts.since(*before));
            }
        }
        network
    }
}
