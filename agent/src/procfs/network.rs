//! What the kernel has counted of TCP in the network namespace of a process: `/proc/PID/net/netstat` and `snmp`.

use std::io;

/// The file has three pairs of lines, the longest of 4 KiB.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Counted since the namespace was made; of all its sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounts {
    /// Connections that a full accept queue had no room for.
    pub listen_overflows: u64,
    /// Connections that were dropped while they were being opened, for that reason or another.
    pub listen_drops: u64,
    /// Segments sent, without those that were sent again.
    pub sent_segments: u64,
    /// Segments that were sent again.
    pub retransmitted_segments: u64,
}

impl TcpCounts {
    /// What was added since.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            listen_overflows: self.listen_overflows.saturating_sub(before.listen_overflows),
            listen_drops: self.listen_drops.saturating_sub(before.listen_drops),
            sent_segments: self.sent_segments.saturating_sub(before.sent_segments),
            retransmitted_segments: self.retransmitted_segments.saturating_sub(before.retransmitted_segments),
        }
    }
}

/// Reads them.
///
/// # Errors
/// If there is no such process, or we may not look.
pub fn read(pid: u32) -> io::Result<TcpCounts> {
    let text = |name: &str| -> io::Result<String> {
        let bytes = super::read_at_most(&format!("/proc/{pid}/net/{name}"), MAX_FILE_BYTES)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    parse(&text("netstat")?, &text("snmp")?).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse(netstat: &str, snmp: &str) -> Option<TcpCounts> {
    Some(TcpCounts {
        listen_overflows: value(netstat, "TcpExt:", "ListenOverflows")?,
        listen_drops: value(netstat, "TcpExt:", "ListenDrops")?,
        sent_segments: value(snmp, "Tcp:", "OutSegs")?,
        retransmitted_segments: value(snmp, "Tcp:", "RetransSegs")?,
    })
}

/// A line of names, and below it one of values.
fn value(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|it| it == name)?;
    values.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{TcpCounts, parse, read};

    const NETSTAT: &str =
        "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 0 7 9\nIpExt: InNoRoutes\nIpExt: 1\n";
    const SNMP: &str = "Ip: Forwarding\nIp: 2\nTcp: MaxConn OutSegs RetransSegs\nTcp: -1 1000 20\n";

    #[test]
    fn values_stand_below_their_names() {
        let counts = TcpCounts {
            listen_overflows: 7,
            listen_drops: 9,
            sent_segments: 1000,
            retransmitted_segments: 20,
        };
        assert_eq!(parse(NETSTAT, SNMP), Some(counts));
        let later = TcpCounts { listen_overflows: 9, ..counts };
        assert_eq!(later.since(counts), TcpCounts { listen_overflows: 2, ..TcpCounts::default() });
        for (netstat, snmp) in
            [("", SNMP), (NETSTAT, ""), ("TcpExt: ListenOverflows ListenDrops\nTcpExt: x", SNMP)]
        {
            assert_eq!(parse(netstat, snmp), None, "{netstat:?} {snmp:?}");
        }
    }

    #[test]
    fn this_process_has_a_namespace_in_which_segments_were_sent() {
        let counts = read(std::process::id()).expect("has one");
        assert!(counts.retransmitted_segments <= counts.sent_segments, "{counts:?}");
        assert!(read(0).is_err());
    }
}
