//! Connections that speak TLS: of which is read what they say, and of which not.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{self, Write},
};

use abi::request::{MESSAGE_APART, Message};
use serde::Serialize;

use super::{MAX_CONNECTIONS, connections::Connections};

/// What was probed for what is said through TLS, and of what nothing was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsReport {
    /// Libraries that have probes.
    pub libraries: Vec<TlsLibrary>,
    /// Why there are no probes, if the kernel takes none.
    pub refused: Option<String>,
    /// Processes with connections that were not read, those with most first, 32 at most.
    pub unread: Vec<UnreadTls>,
}

/// A file with a library for TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TlsLibrary {
    /// Its path.
    pub path: String,
    /// Processes that have probes there.
    pub processes: u64,
}

/// Connections of a process that were not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnreadTls {
    /// Its ID.
    pub pid: u32,
    /// Its name.
    pub process: String,
    /// How many.
    pub connections: u64,
    /// Why.
    pub reason: String,
}

/// Connections under way, and sums of those that are over.
#[derive(Debug, Default)]
pub(super) struct Tls {
    /// By connection: whose.
    unread: HashMap<u64, u32>,
    read: HashSet<u64>,
    n_connections: u64,
    n_read: u64,
    /// By process: those that are over, and were not read.
    n_unread: BTreeMap<u32, u64>,
    /// By process: those that were read, and whose descriptor is another connection.
    n_apart: BTreeMap<u32, u64>,
}

impl Tls {
    /// A connection is seen to speak TLS.
    pub(super) fn begins(&mut self, it: &Message) {
        self.n_connections += 1;
        if self.unread.len() < MAX_CONNECTIONS {
            self.unread.insert(it.connection, it.tgid);
        } else {
            *self.n_unread.entry(it.tgid).or_default() += 1;
        }
    }

    /// Something that one says has been read.
    pub(super) fn is_read(&mut self, it: &Message) {
        if self.read.len() >= MAX_CONNECTIONS || !self.read.insert(it.connection) {
            return;
        }
        self.n_read += 1;
        if it.flags & MESSAGE_APART != 0 {
            *self.n_apart.entry(it.tgid).or_default() += 1;
        } else if self.unread.remove(&it.connection).is_none() {
            // It was there before.
            self.n_connections += 1;
        }
    }

    /// A connection is over.
    pub(super) fn closed(&mut self, connection: u64) {
        self.read.remove(&connection);
        if let Some(tgid) = self.unread.remove(&connection) {
            *self.n_unread.entry(tgid).or_default() += 1;
        }
    }

    /// Connections that were not read, by process.
    pub(super) fn unread(&self) -> BTreeMap<u32, u64> {
        let mut all = self.n_unread.clone();
        self.unread.values().for_each(|tgid| *all.entry(*tgid).or_default() += 1);
        // What goes over their descriptors was read before it was handed to them.
        all.retain(|tgid, n| {
            *n = n.saturating_sub(self.n_apart.get(tgid).copied().unwrap_or(0));
            *n > 0
        });
        all
    }

    /// Adds them to the other connections.
    pub(super) fn add_to(&self, connections: &mut Connections) {
        connections.n_tls_read = self.n_read;
        // Of those apart, some have descriptors that nobody has seen.
        let n_unread: u64 = self.unread().values().sum();
        connections.n_tls = self.n_connections.max(self.n_read + n_unread);
    }
}

/// Writes it for people.
pub(super) fn write_text(it: &Connections, tls: &TlsReport, out: &mut impl Write) -> io::Result<()> {
    if it.n_tls > 0 {
        writeln!(out, "{} connections speak TLS: of {} it was read what they say", it.n_tls, it.n_tls_read)?;
    }
    if let Some(reason) = &tls.refused {
        writeln!(out, "no library for TLS has probes: {reason}")?;
    }
    for UnreadTls { pid, process, connections, reason } in &tls.unread {
        writeln!(out, "{connections} of {process} ({pid}) were not read: {reason}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use abi::request::{
        FOREIGN_HTTP2, FOREIGN_TLS, MESSAGE_APART, MESSAGE_CLOSED, MESSAGE_END, MESSAGE_FOREIGN,
        MESSAGE_HEAD, MESSAGE_OPENED, MESSAGE_RESPONSE, MESSAGE_TLS, Message,
    };

    use super::super::Requests;
    use crate::decode::MessageEvent;

    /// Connection, flags, status.
    fn requests(all: &[(u64, u32, u16)]) -> Requests {
        let mut requests = Requests::default();
        for (time_ns, (connection, flags, status)) in (1..).zip(all) {
            let message = Message {
                flags: *flags,
                status: *status,
                connection: *connection,
                time_ns,
                tgid: 7,
                ..Message::default()
            };
            requests.apply(&MessageEvent { message, path: Vec::new() });
        }
        requests
    }

    const ASKS: u32 = MESSAGE_HEAD | MESSAGE_END | MESSAGE_TLS;
    const ANSWERS: u32 = ASKS | MESSAGE_RESPONSE;

    #[test]
    fn a_connection_is_one_whether_it_is_read_or_not() {
        let requests = requests(&[
            (1, MESSAGE_OPENED, 0),
            (1, MESSAGE_FOREIGN, FOREIGN_TLS),
            (1, ASKS, 0),
            (1, ANSWERS, 200),
            (2, MESSAGE_OPENED, 0),
            (2, MESSAGE_FOREIGN, FOREIGN_TLS),
            (2, MESSAGE_CLOSED, 0),
            (3, MESSAGE_FOREIGN, FOREIGN_TLS),
            (4, ASKS, 0),
            (4, ANSWERS, 200),
            (1, MESSAGE_CLOSED | MESSAGE_TLS, 0),
        ]);
        let report = requests.report(1);
        let it = report.connections;
        assert_eq!((it.n_tls, it.n_tls_read, it.n_accepted, it.n_found), (4, 2, 2, 1), "{report:#?}");
        assert_eq!((report.requests, it.n_closed), (2, 2), "{report:#?}");
        assert_eq!(requests.unread_tls(), [(7, 2)].into());
    }

    #[test]
    fn what_a_library_has_without_a_descriptor_is_counted_with_the_descriptors() {
        let apart =
            |connection| [(connection, ASKS | MESSAGE_APART, 0), (connection, ANSWERS | MESSAGE_APART, 200)];
        let mut all = vec![(1, MESSAGE_OPENED, 0), (1, MESSAGE_FOREIGN, FOREIGN_TLS)];
        all.extend(apart(2));
        all.push((2, MESSAGE_CLOSED | MESSAGE_TLS | MESSAGE_APART, 0));
        all.extend(apart(3));
        let requests = requests(&all);
        let report = requests.report(1);
        let it = report.connections;
        assert_eq!((it.n_tls, it.n_tls_read, it.n_accepted), (2, 2, 1), "{report:#?}");
        assert_eq!((it.n_found, it.n_closed, report.requests), (0, 0, 2), "{report:#?}");
        assert_eq!(requests.unread_tls(), [].into());
    }

    #[test]
    fn http2_within_tls_is_both() {
        let found = requests(&[
            (1, MESSAGE_OPENED, 0),
            (1, MESSAGE_FOREIGN, FOREIGN_TLS),
            (1, MESSAGE_FOREIGN | MESSAGE_TLS, FOREIGN_HTTP2),
        ]);
        let it = found.report(1).connections;
        assert_eq!((it.n_tls, it.n_tls_read, it.n_http2, it.n_other), (1, 1, 1, 0), "{it:#?}");
    }
}
