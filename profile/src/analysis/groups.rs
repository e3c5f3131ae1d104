//! What CPU time is for, in the words of somebody who runs a proxy.

use serde::Serialize;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Handshakes, ciphers and hashes.
    Tls,
    /// gzip, brotli, zstd, in either direction.
    Compression,
    /// Request lines, headers, frames, URLs, JSON.
    Parsing,
    /// Regular expressions.
    Regex,
    /// Moving bytes from one place to another.
    Copying,
    /// The kernel, on request.
    SystemCalls,
    /// Waiting for others, awake.
    Locks,
    /// Access logs and error logs.
    Logging,
    /// Taking and returning memory, and touching it for the first time.
    Allocation,
    /// Finding out what is garbage.
    GarbageCollection,
    /// The kernel for other reasons: interrupts, and what they brought.
    Interrupts,
    /// Stops at probes: of whoever measures, not of the target.
    Probes,
    /// None of these.
    Other,
    /// No CPU time: a thread waits for a disk, a lock, a peer.
    Waiting,
    /// No kind of work: what keeps an event loop from its events.
    EventLoop,
    /// No time at all: memory that grows.
    Memory,
    /// Time of requests: connections to others.
    Upstream,
    /// The same: asking others for what is known.
    Caching,
    /// The same: writes that wait for the one before to be acknowledged.
    SmallWrites,
    /// No time of requests that are seen: connections that find no room.
    AcceptQueue,
}

impl Group {
    /// As people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Compression => "compression",
            Self::Parsing => "parsing",
            Self::Regex => "regular expressions",
            Self::Copying => "copying",
            Self::SystemCalls => "system calls",
            Self::Locks => "locks",
            Self::Logging => "logging",
            Self::Allocation => "allocation",
            Self::GarbageCollection => "garbage collection",
            Self::Interrupts => "interrupts",
            Self::Probes => "probes",
            Self::Other => "other",
            Self::Waiting => "waiting",
            Self::EventLoop => "event loop",
            Self::Memory => "memory",
            Self::Upstream => "connections to others",
            Self::Caching => "caching",
            Self::SmallWrites => "small writes",
            Self::AcceptQueue => "accept queue",
        }
    }
}
