//! Connections of targets, counted.

use std::io::{self, Write};

use serde::Serialize;

use super::server::ServerConnection;

/// Connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Connections {
    /// Accepted.
    #[serde(rename = "accepted")]
    pub n_accepted: u64,
    /// There before.
    #[serde(rename = "found")]
    pub n_found: u64,
    /// Accepted, and over.
    #[serde(rename = "closed")]
    pub n_closed: u64,
    /// Opened by the targets.
    #[serde(rename = "connected")]
    pub n_connected: u64,
    /// On which somebody else was asked.
    #[serde(rename = "upstream_used")]
    pub n_upstream_used: u64,
    /// Accepted, with `TCP_NODELAY` set by the target.
    #[serde(rename = "no_delay")]
    pub n_no_delay: u64,
    /// Accepted, without that, several answers, and among them some of several writes of which some were small.
    #[serde(rename = "delayed")]
    pub n_delayed: u64,
    /// That speak TLS.
    #[serde(rename = "tls")]
    pub n_tls: u64,
    /// Of them, those of which was read what they say.
    #[serde(rename = "tls_read")]
    pub n_tls_read: u64,
    /// That speak HTTP/2, in clear or within TLS that is read.
    #[serde(rename = "http2")]
    pub n_http2: u64,
    /// That have become a tunnel or a web socket.
    #[serde(rename = "upgraded")]
    pub n_upgraded: u64,
    /// That speak neither.
    #[serde(rename = "other")]
    pub n_other: u64,
}

impl Connections {
    /// A connection that was accepted is looked at for the last time.
    pub(super) fn leave(&mut self, connection: &ServerConnection) {
        if connection.is_opened {
            self.n_no_delay += u64::from(connection.has_no_delay);
            self.n_delayed += u64::from(connection.is_delayed());
        }
    }
}

/// Writes it for people.
pub(super) fn write_text(it: &Connections, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "connections: {} accepted, {} closed, {} there before; {} opened to others",
        it.n_accepted, it.n_closed, it.n_found, it.n_connected
    )?;
    if it.n_delayed > 0 {
        writeln!(out, "{} of them wait with small writes: TCP_NODELAY was not set", it.n_delayed)?;
    }
    Ok(())
}
