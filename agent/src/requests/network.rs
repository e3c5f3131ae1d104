//! What the network namespaces of targets say: connections that found no room, and segments that were sent again.

use std::io::{self, Write};

use serde::Serialize;

use crate::procfs::network::TcpCounts;

/// Counted while requests were followed, of all sockets of the namespaces that targets were in at the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Connections that a full accept queue had no room for.
    pub listen_overflows: u64,
    /// Connections that were dropped while they were being opened, for that reason or another.
    pub listen_drops: u64,
    /// Segments sent, without those that were sent again.
    pub sent_segments: u64,
    /// Segments that were sent again.
    pub retransmitted_segments: u64,
}

impl Network {
    pub(crate) fn add(&mut self, counts: TcpCounts) {
        self.listen_overflows += counts.listen_overflows;
        self.listen_drops += counts.listen_drops;
        self.sent_segments += counts.sent_segments;
        self.retransmitted_segments += counts.retransmitted_segments;
    }

    pub(super) fn write_text(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "its network namespace, all sockets: {} of {} segments were sent again; {} connections found the accept queue full, {} were \
             dropped while they were opened",
            self.retransmitted_segments,
            self.sent_segments.saturating_add(self.retransmitted_segments),
            self.listen_overflows,
            self.listen_drops
        )
    }
}
