//! Connections that speak TLS: of which is read what they say, and of which not.

use std::{
    borrow::Cow,
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    io::{self, Write},
};

use abi::request::{MESSAGE_APART, Message};
use serde::Serialize;

use super::{MAX_CONNECTIONS, connections::Connections};

/// Processes of which the report says why they were not read.
const MAX_UNREAD: usize = 32;
/// Processes whose connections are counted apart.
const MAX_PROCESSES: usize = 4096;

/// What was probed for what is said through TLS, and of what nothing was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TlsReport {
    /// Libraries that have probes.
    pub libraries: Vec<TlsLibrary>,
    /// Why there are no probes, if the kernel takes none.
    pub refused: Option<String>,
    /// Processes with connections that were not read, those with most first, 32 at most.
    pub unread: Vec<UnreadTls>,
    /// The others.
    pub unread_others: UnreadOthers,
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

/// Processes with connections that were not read, beyond those that are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnreadOthers {
    /// How many; of very many, not all are told apart, and so not in it.
    pub processes: u64,
    /// Their connections.
    pub connections: u64,
}

/// Connections that were not read, by process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadConnections {
    /// By process ID, of so many processes at most.
    pub by_process: BTreeMap<u32, u64>,
    /// Of processes that had no room there.
    pub n_others: u64,
}

impl UnreadConnections {
    fn add(&mut self, tgid: u32) {
        if let Some(n) = self.by_process.get_mut(&tgid) {
            *n += 1;
        } else if self.by_process.len() < MAX_PROCESSES {
            self.by_process.insert(tgid, 1);
        } else {
            self.n_others += 1;
        }
    }

    pub(super) fn n(&self) -> u64 {
        self.by_process.values().sum::<u64>() + self.n_others
    }
}

impl TlsReport {
    /// Of libraries that so many processes have probes in, and of connections that were not read.
    #[must_use]
    pub fn new(
        libraries: &BTreeMap<String, u64>,
        refused: Option<String>,
        unread: &UnreadConnections,
        name_of: impl Fn(u32) -> String,
        reason_of: impl Fn(u32) -> Cow<'static, str>,
    ) -> Self {
        let mut all: Vec<(u32, u64)> = unread.by_process.iter().map(|(pid, n)| (*pid, *n)).collect();
        all.sort_by_key(|(pid, n)| (Reverse(*n), *pid));
        let others = all.split_off(all.len().min(MAX_UNREAD));
        let told = |(pid, connections)| UnreadTls {
            pid,
            process: name_of(pid),
            connections,
            reason: reason_of(pid).into_owned(),
        };
        let library = |(path, n): (&String, &u64)| TlsLibrary { path: path.clone(), processes: *n };
        Self {
            libraries: libraries.iter().map(library).collect(),
            refused,
            unread: all.into_iter().map(told).collect(),
            unread_others: UnreadOthers {
                processes: others.len() as u64,
                connections: others.iter().map(|(_, n)| n).sum::<u64>() + unread.n_others,
            },
        }
    }

    /// Why connections that speak TLS were not read, in sentences.
    pub(super) fn sentences(&self, connections: &Connections) -> Vec<String> {
        let mut all = Vec::new();
        // One from before the recording may speak TLS without being known to.
        if connections.n_tls + connections.n_other > 0
            && let Some(reason) = &self.refused
        {
            all.push(format!("no library for TLS has probes: {reason}"));
        }
        for UnreadTls { pid, process, connections, reason } in &self.unread {
            all.push(format!(
                "{connections} connections of {process} ({pid}) speak TLS that was not read: {reason}"
            ));
        }
        let UnreadOthers { processes, connections } = self.unread_others;
        if connections > 0 {
            all.push(format!(
                "{connections} connections of {processes} processes more speak TLS that was not read"
            ));
        }
        all
    }
}

/// Connections under way, and sums of those that are over.
#[derive(Debug, Default)]
pub(super) struct Tls {
    /// By connection: whose.
    unread: HashMap<u64, u32>,
    read: HashSet<u64>,
    n_connections: u64,
    n_read: u64,
    /// Those that are over, and were not read.
    n_unread: UnreadConnections,
    /// Those that were read, and whose descriptor is another connection.
    n_apart: UnreadConnections,
}

impl Tls {
    /// A connection is seen to speak TLS.
    pub(super) fn begins(&mut self, it: &Message) {
        self.n_connections += 1;
        if self.unread.len() < MAX_CONNECTIONS {
            self.unread.insert(it.connection, it.tgid);
        } else {
            self.n_unread.add(it.tgid);
        }
    }

    /// Something that one says has been read.
    pub(super) fn is_read(&mut self, it: &Message) {
        if self.read.len() >= MAX_CONNECTIONS || !self.read.insert(it.connection) {
            return;
        }
        self.n_read += 1;
        if it.flags & MESSAGE_APART != 0 {
            self.n_apart.add(it.tgid);
        } else if self.unread.remove(&it.connection).is_none() {
            // It was there before.
            self.n_connections += 1;
        }
    }

    /// A connection is over.
    pub(super) fn closed(&mut self, connection: u64) {
        self.read.remove(&connection);
        if let Some(tgid) = self.unread.remove(&connection) {
            self.n_unread.add(tgid);
        }
    }

    /// Connections that were not read, by process.
    pub(super) fn unread(&self) -> UnreadConnections {
        let mut all = self.n_unread.clone();
        self.unread.values().for_each(|tgid| all.add(*tgid));
        // What goes over their descriptors was read before it was handed to them.
        all.by_process.retain(|tgid, n| {
            *n = n.saturating_sub(self.n_apart.by_process.get(tgid).copied().unwrap_or(0));
            *n > 0
        });
        all.n_others = all.n_others.saturating_sub(self.n_apart.n_others);
        all
    }

    /// Adds them to the other connections.
    pub(super) fn add_to(&self, connections: &mut Connections) {
        connections.n_tls_read = self.n_read;
        // Of those apart, some have descriptors that nobody has seen.
        connections.n_tls = self.n_connections.max(self.n_read + self.unread().n());
    }
}

/// Writes it for people; why some were not read is among the remarks.
pub(super) fn write_text(it: &Connections, out: &mut impl Write) -> io::Result<()> {
    if it.n_tls > 0 {
        writeln!(out, "{} connections speak TLS: of {} it was read what they say", it.n_tls, it.n_tls_read)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use abi::request::{
        FOREIGN_HTTP2, FOREIGN_TLS, MESSAGE_APART, MESSAGE_CLOSED, MESSAGE_END, MESSAGE_FOREIGN,
        MESSAGE_HEAD, MESSAGE_OPENED, MESSAGE_RESPONSE, MESSAGE_TLS, Message,
    };

    use super::{
        super::{Connections, Requests},
        MAX_PROCESSES, MAX_UNREAD, TlsReport, UnreadConnections, UnreadOthers,
    };
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
        assert_eq!(requests.unread_tls().by_process, [(7, 2)].into());
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
        assert_eq!(requests.unread_tls(), UnreadConnections::default());
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

    #[test]
    fn of_many_processes_that_were_not_read_the_ones_with_most_are_told_and_the_others_counted() {
        let mut unread = UnreadConnections::default();
        for pid in 1..=40 {
            (0..pid).for_each(|_| unread.add(pid));
        }
        unread.n_others = 5;
        let report =
            TlsReport::new(&[].into(), None, &unread, |pid| format!("p{pid}"), |_| "no library".into());
        assert_eq!(report.unread.len(), MAX_UNREAD, "{report:#?}");
        let pids: Vec<u32> = report.unread.iter().map(|it| it.pid).collect();
        assert_eq!(pids, (9..=40).rev().collect::<Vec<_>>(), "{report:#?}");
        assert_eq!(report.unread_others, UnreadOthers { processes: 8, connections: 36 + 5 }, "{report:#?}");
        let said = report.sentences(&Connections::default());
        assert_eq!(said.len(), MAX_UNREAD + 1, "{said:#?}");
        assert_eq!(said[0], "40 connections of p40 (40) speak TLS that was not read: no library");
        assert_eq!(said[MAX_UNREAD], "41 connections of 8 processes more speak TLS that was not read");
    }

    #[test]
    fn why_there_are_no_probes_is_said_where_something_speaks_tls() {
        let none = UnreadConnections::default();
        let report =
            TlsReport::new(&[].into(), Some("too old".into()), &none, |_| String::new(), |_| "".into());
        assert_eq!(report.sentences(&Connections::default()), [""; 0]);
        let said = report.sentences(&Connections { n_tls: 1, ..Connections::default() });
        assert_eq!(said, ["no library for TLS has probes: too old"]);
        assert_eq!(report.sentences(&Connections { n_other: 1, ..Connections::default() }), said);
    }

    #[test]
    fn processes_beyond_the_limit_are_counted_together() {
        let mut counts = UnreadConnections::default();
        let n = u32::try_from(MAX_PROCESSES).expect("fits");
        (1..=n + 3).for_each(|pid| counts.add(pid));
        counts.add(1);
        assert_eq!(
            (counts.by_process.len(), counts.n_others, counts.n()),
            (MAX_PROCESSES, 3, u64::from(n) + 4)
        );
        assert_eq!(counts.by_process[&1], 2);
    }
}
