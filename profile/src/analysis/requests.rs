//! Requests: how many, how fast, what was asked of others for them, and how answers were written.

use serde::Serialize;

/// Requests of a run. Whoever follows them fills it; with no request there is nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, in docs/analyze.md")]
pub struct RequestAnalysis {
    pub duration_ns: u64,
    pub count: u64,
    pub per_second: f64,
    pub bytes_out: u64,
    /// From the end of the request's head to the end of the answer.
    pub total: RequestTimes,
    /// To the end of the answer's head.
    pub first_byte: RequestTimes,
    /// What others took.
    pub upstream_time: RequestTimes,
    /// Before the first of them was asked.
    pub queue: RequestTimes,
    /// Those that take most of the time of all requests.
    pub routes: Vec<RouteShare>,
    pub upstream: UpstreamUse,
    pub connections: ConnectionUse,
    pub writes: WriteUse,
    /// Of all sockets of the target's network namespaces; none if that is not known.
    pub network: Option<NetworkUse>,
    /// What became of messages and was lost: with many, nothing is sure.
    pub messages_lost: u64,
}

/// How long something took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct RequestTimes {
    pub count: u64,
    pub min_ns: u64,
    pub mean_ns: u64,
    pub median_ns: u64,
    pub p90_ns: u64,
    pub p95_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
}

/// A method, route and status.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct RouteShare {
    pub method: String,
    pub route: String,
    pub status: u16,
    pub count: u64,
    /// Of the time of all requests.
    pub percent: f64,
    pub mean_ns: u64,
    pub p99_ns: u64,
}

/// What was asked of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct UpstreamUse {
    pub requests: u64,
    pub connections: u64,
    pub requests_per_connection: f64,
    pub opened_per_second: f64,
    /// Waiting for a connection to be opened, until the request is written there.
    pub connect: RequestTimes,
    pub served_alone_percent: f64,
    /// `GET`s of what was being asked for already.
    pub doubled: u64,
    /// `GET`s that were answered.
    pub gets: u64,
    /// Of them, those that were answered as the one for the same path before, and how many paths that were.
    pub repeated: u64,
    pub repeated_paths: u64,
    pub repeated_ns: u64,
}

/// Connections of clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct ConnectionUse {
    pub accepted: u64,
    pub accepted_per_second: f64,
    /// Those that speak TLS that was not read, or HTTP/2: their requests are not seen.
    pub unseen: u64,
}

/// How answers were written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct WriteUse {
    pub calls: u64,
    pub small: u64,
    pub answers_with_small: u64,
    /// Connections on which `TCP_NODELAY` was never set and answers came in several writes; their answers, those of several writes,
    /// and those whose last write the other end was waiting for.
    pub delayed_connections: u64,
    pub delayed_answers: u64,
    pub delayed_with_small: u64,
    pub held_back: u64,
    pub held_back_ns: u64,
    /// Pauses after other answers there: what clients take by themselves.
    pub other_pauses: u64,
    pub other_pauses_ns: u64,
    pub compressible: u64,
    pub compressible_bytes: u64,
    pub uncompressed: u64,
    pub uncompressed_bytes: u64,
    /// Writing those, without their heads.
    pub uncompressed_ns: u64,
}

/// What a network namespace has counted meanwhile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct NetworkUse {
    pub listen_overflows: u64,
    pub listen_drops: u64,
    pub sent_segments: u64,
    pub retransmitted_segments: u64,
}

impl RequestTimes {
    /// All of them together.
    pub(super) fn sum_ns(&self) -> f64 {
        self.mean_ns as f64 * self.count as f64
    }
}

impl RequestAnalysis {
    /// Of the time of all requests, in percent.
    pub(super) fn percent(&self, ns: f64) -> f64 {
        let all_ns = self.total.sum_ns();
        if all_ns > 0.0 { (100.0 * ns / all_ns).min(100.0) } else { 0.0 }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.duration_ns as f64 / 1e9
    }
}
