//! Requests, from what the kernel side tells of messages: which response is whose, what was asked of others for it, and how long
//! that took. Pure: time is what messages carry. Bounded: what has no room is counted.

mod avoidable;
mod connections;
mod evidence;
mod http2;
mod join;
mod losses;
mod network;
mod open;
mod pauses;
mod remarks;
mod repeats;
mod report;
mod rings;
mod route;
mod served;
mod server;
mod slow_text;
mod slowest;
mod times;
mod tls;
mod upstream;
mod window;

use std::sync::Arc;

use abi::request::{
    FOREIGN_HTTP2, FOREIGN_TLS, FOREIGN_UPGRADED, MESSAGE_APART, MESSAGE_CLOSED, MESSAGE_END,
    MESSAGE_FOREIGN, MESSAGE_FRAMES, MESSAGE_HEAD, MESSAGE_NO_DELAY, MESSAGE_OPENED, MESSAGE_PATH,
    MESSAGE_RESPONSE, MESSAGE_TLS, MESSAGE_UPSTREAM,
};
use ahash::HashMap;

pub use avoidable::Avoidable;
pub use connections::Connections;
pub use http2::{Http2Report, StreamsReport};
pub use join::{RouteIndex, Whose};
pub use losses::Losses;
pub use network::Network;
pub use report::{Report, Row, UpstreamReport, Writes, write_text};
pub use rings::{IoUring, RingUser};
pub use route::route;
pub use served::ProcessRow;
pub use slowest::{Seen, SeenStack, SlowRequest};
pub use times::TimesReport;
pub use tls::{TlsLibrary, TlsReport, UnreadConnections, UnreadOthers, UnreadTls};
pub use window::{RequestsWindow, RouteRow, RouteWindow};

use crate::{aggregate::Key, decode::MessageEvent};
use http2::Http2;
use join::Closed;
use open::OpenRequests;
use repeats::Repeats;
use served::Served;
use server::ServerConnection;
use slowest::Slowest;
use tls::Tls;
use upstream::UpstreamConnection;

/// Connections that are remembered, on each side. The kernel side follows fewer.
const MAX_CONNECTIONS: usize = 65_536;

/// Everything that is known of requests.
#[derive(Debug, Default)]
pub struct Requests {
    servers: HashMap<u64, ServerConnection>,
    upstreams: HashMap<u64, UpstreamConnection>,
    open: OpenRequests,
    repeats: Repeats,
    served: Served,
    closed: Closed,
    slowest: Slowest,
    tls: Tls,
    http2: Http2,
    connections: Connections,
    /// Of connections that are over.
    avoidable: Avoidable,
    losses: Losses,
}

impl Requests {
    /// Requests that samples are to be joined with.
    #[must_use]
    pub fn joined() -> Self {
        Self { open: OpenRequests::joined(), ..Self::default() }
    }

    /// Whether samples are joined with them.
    #[must_use]
    pub fn are_joined(&self) -> bool {
        self.open.are_joined()
    }

    /// Which request a thread is busy with that serves a connection, after all messages up to this moment: the oldest that is not
    /// answered whole; if there is none, the last that was.
    #[must_use]
    pub fn serving(&self, connection: u64) -> Option<Whose> {
        if let Some(it) = self.servers.get(&connection) {
            return it.serves(&self.open);
        }
        match self.upstreams.get(&connection) {
            Some(it) => it.asks_for(),
            None => self.closed.get(connection),
        }
    }

    /// A stack was seen while its thread was busy with a request.
    pub fn seen(&mut self, whose: Whose, key: Key, weight: u64) {
        let has_room = self.slowest.seen(whose.request, &self.open, key, weight);
        self.losses.stacks_full += u64::from(!has_room);
    }

    /// The slowest that were answered so far, with what was seen of them.
    #[must_use]
    pub fn slowest(&self) -> Vec<SlowRequest> {
        self.slowest.requests()
    }

    /// The routes that samples can belong to, by index: `GET /users/{n}`.
    #[must_use]
    pub fn routes(&self) -> &[Arc<str>] {
        self.open.routes()
    }

    /// Takes in what became of a message. They come in the order of time, but for what happened in one moment.
    pub fn apply(&mut self, event: &MessageEvent) {
        let flags = event.message.flags;
        if flags & MESSAGE_TLS != 0 {
            self.tls.is_read(&event.message);
        }
        if flags & MESSAGE_CLOSED != 0 {
            self.tls.closed(event.message.connection);
            self.http2.closed(event.message.connection);
        }
        if flags & MESSAGE_FOREIGN != 0 {
            return self.foreign(event);
        }
        if flags & MESSAGE_FRAMES != 0 {
            return self.http2.apply(&event.message);
        }
        if flags & MESSAGE_UPSTREAM != 0 { self.upstream(event) } else { self.server(event) }
    }

    fn server(&mut self, event: &MessageEvent) {
        let it = &event.message;
        if it.flags & MESSAGE_CLOSED != 0 {
            self.connections.n_closed += u64::from(it.flags & MESSAGE_APART == 0);
            if let Some(connection) = self.servers.remove(&it.connection) {
                self.closed.insert(it.connection, connection.serves(&self.open));
                self.leave_server(&connection);
            }
            return;
        }
        if !self.servers.contains_key(&it.connection) && self.servers.len() >= MAX_CONNECTIONS {
            self.losses.connections_full += 1;
            return;
        }
        let is_opened = it.flags & MESSAGE_OPENED != 0;
        let connection = self.servers.entry(it.connection).or_insert_with(|| {
            if is_opened {
                self.connections.n_accepted += 1;
            } else {
                self.connections.n_found += u64::from(it.flags & MESSAGE_APART == 0);
            }
            ServerConnection::new(is_opened)
        });
        connection.has_no_delay |= it.flags & MESSAGE_NO_DELAY != 0;
        if it.flags & MESSAGE_PATH != 0 {
            connection.path.clone_from(&event.path);
        }
        if it.flags & MESSAGE_RESPONSE == 0 {
            connection.request(event, &mut self.open, &mut self.losses);
            return;
        }
        if it.flags & MESSAGE_HEAD != 0 {
            connection.response_begins(it, &mut self.open, &mut self.losses);
        }
        if it.flags & MESSAGE_END != 0
            && let Some(request) = connection.response_ends(it, &mut self.open, &mut self.losses)
        {
            self.served.add(&request, &mut self.losses);
            if self.are_joined() {
                self.slowest.served(&request);
            }
        }
    }

    fn upstream(&mut self, event: &MessageEvent) {
        let it = &event.message;
        if it.flags & MESSAGE_CLOSED != 0 {
            if let Some(connection) = self.upstreams.remove(&it.connection) {
                self.closed.insert(it.connection, connection.asks_for());
                self.open.abandon(connection.into_asked());
            }
            return;
        }
        if !self.upstreams.contains_key(&it.connection) && self.upstreams.len() >= MAX_CONNECTIONS {
            self.losses.connections_full += 1;
            return;
        }
        let connection = self.upstreams.entry(it.connection).or_default();
        if it.flags & MESSAGE_OPENED != 0 {
            self.connections.n_connected += 1;
            connection.opened_for(self.open.last_of_thread(it.tid), it.time_ns);
        }
        if it.flags & MESSAGE_RESPONSE == 0 {
            if it.flags & MESSAGE_HEAD != 0 {
                if connection.is_first() {
                    self.connections.n_upstream_used += 1;
                }
                connection.asks(it, &mut self.open);
            }
            return;
        }
        if it.flags & MESSAGE_HEAD != 0 {
            connection.status = it.status;
        }
        if it.flags & MESSAGE_END != 0 {
            let status = connection.status;
            let (asked, is_known) = connection.answer_ends();
            if let Some(asked) = asked {
                self.open.answered(&asked, it.time_ns);
                self.repeats.add(&asked, status, it.n_bytes, it.time_ns, &mut self.losses);
            }
            self.losses.responses_alone += u64::from(!is_known);
        }
    }

    fn foreign(&mut self, event: &MessageEvent) {
        let it = &event.message;
        match it.status {
            // Its requests may be read before they are encrypted.
            FOREIGN_TLS if it.flags & MESSAGE_TLS == 0 => return self.tls.begins(it),
            FOREIGN_HTTP2 => self.connections.n_http2 += 1,
            FOREIGN_UPGRADED => self.connections.n_upgraded += 1,
            _ => self.connections.n_other += 1,
        }
        if let Some(connection) = self.servers.remove(&it.connection) {
            self.leave_server(&connection);
        }
        if let Some(connection) = self.upstreams.remove(&it.connection) {
            self.open.abandon(connection.into_asked());
        }
    }

    /// A connection is over: whoever has no answer will have none.
    fn leave_server(&mut self, connection: &ServerConnection) {
        self.connections.leave(connection);
        self.avoidable.leave(connection);
        for id in connection.unanswered() {
            if self.open.remove(*id).is_some() {
                self.losses.unanswered += 1;
            }
        }
    }

    /// Messages of requests that are not over.
    #[must_use]
    pub fn n_open(&self) -> usize {
        self.open.len()
    }

    /// Connections that speak TLS and were not read, by process.
    #[must_use]
    pub fn unread_tls(&self) -> UnreadConnections {
        self.tls.unread()
    }

    /// Requests served so far.
    #[must_use]
    pub fn n_served(&self) -> u64 {
        self.served.n()
    }

    /// What is to be said of all of them, after so long.
    #[must_use]
    pub fn report(&self, duration_ns: u64) -> Report {
        let mut connections = self.connections;
        self.tls.add_to(&mut connections);
        self.servers.values().for_each(|connection| connections.leave(connection));
        let (open, repeats, content) = (&self.open, &self.repeats, &self.served.content);
        let avoidable = Avoidable::new(open, repeats, content, &self.avoidable, self.servers.values());
        let losses = Losses { unfinished: self.open.len() as u64, ..self.losses };
        let http2 = self.http2.report();
        Report { http2, ..Report::new(duration_ns, &self.served, &self.open, connections, avoidable, losses) }
    }
}

#[cfg(test)]
mod tests;
