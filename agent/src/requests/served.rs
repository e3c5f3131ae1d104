//! Requests that were answered, by method, route and status.

use abi::request::{CONTENT_COMPRESSED, CONTENT_COMPRESSIBLE};
use ahash::HashMap;

use super::{losses::Losses, open::OpenRequest, times::Times};

/// Routes with rows of their own.
const MAX_ROUTES: usize = 500;
/// Rows, as each route has several methods and statuses.
const MAX_ROWS: usize = 2000;
/// The route of all that has no row of its own.
pub(super) const OTHER: &str = "other";
/// Rows that are counted for each process apart; past it, for all together.
const MAX_PROCESS_ROWS: usize = 4 * MAX_ROWS;
/// Below, compression does not pay.
const MIN_COMPRESSED_BYTES: u64 = 1024;

/// What a row is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RowKey {
    pub(super) method: &'static str,
    pub(super) route: String,
    pub(super) status: u16,
}

/// The requests of a row.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) n_bytes_in: u64,
    pub(super) n_bytes_out: u64,
    /// Not asked of anybody else.
    pub(super) n_alone: u64,
    pub(super) total: Times,
    pub(super) first_byte: Times,
    pub(super) upstream: Times,
    pub(super) queue: Times,
}

/// Writes of answers, and their content.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Content {
    pub(super) n_writes: u64,
    pub(super) n_small_writes: u64,
    /// Answers that took several writes, some of them small.
    pub(super) n_with_small_writes: u64,
    /// Answers of a type that compresses well, and their bytes.
    pub(super) n_compressible: u64,
    pub(super) compressible_bytes: u64,
    /// Of them, those that were not compressed.
    pub(super) n_uncompressed: u64,
    pub(super) uncompressed_bytes: u64,
    /// From the end of their heads to their ends.
    pub(super) uncompressed_ns: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) rows: HashMap<RowKey, Tally>,
    routes: HashMap<String, u64>,
    pub(super) all: Tally,
    pub(super) content: Content,
    by_process: HashMap<(u32, RowKey), (u64, u64)>,
    n: u64,
}

/// What one process served of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRow {
    /// Which process; 0 for those that had no room of their own.
    pub pid: u32,
    /// Method and route: `GET /users/{n}`.
    pub route: String,
    /// Of the answer.
    pub status: u16,
    /// How many requests.
    pub n_requests: u64,
    /// Their time, from the read of the head to the write of the end of the answer.
    pub total_ns: u64,
}

impl Served {
    pub(super) fn n(&self) -> u64 {
        self.n
    }

    pub(super) fn add(&mut self, request: &OpenRequest, losses: &mut Losses) {
        self.n += 1;
        self.add_content(request);
        self.all.add(request);
        let key = self.key(request, losses);
        let has_room = self.by_process.len() < MAX_PROCESS_ROWS;
        let mut of_process = (request.key.tgid, key.clone());
        if !has_room && !self.by_process.contains_key(&of_process) {
            of_process.0 = 0;
        }
        let (n_requests, total_ns) = self.by_process.entry(of_process).or_default();
        *n_requests += 1;
        *total_ns = total_ns.saturating_add(request.end_ns.saturating_sub(request.start_ns));
        self.rows.entry(key).or_default().add(request);
    }

    /// Hands over what was answered since the last time, and begins anew; the number of all goes on.
    pub(super) fn cut(&mut self) -> Self {
        let n = self.n;
        std::mem::replace(self, Self { n, ..Self::default() })
    }

    /// The rows of each process, in a fixed order.
    pub(super) fn by_process(&self) -> Vec<ProcessRow> {
        let mut rows: Vec<ProcessRow> = self
            .by_process
            .iter()
            .map(|((pid, key), (n_requests, total_ns))| ProcessRow {
                pid: *pid,
                route: format!("{} {}", key.method, key.route),
                status: key.status,
                n_requests: *n_requests,
                total_ns: *total_ns,
            })
            .collect();
        rows.sort_by(|a, b| (a.pid, &a.route, a.status).cmp(&(b.pid, &b.route, b.status)));
        rows
    }

    fn key(&mut self, request: &OpenRequest, losses: &mut Losses) -> RowKey {
        let route = request.route_text();
        let key = RowKey { method: request.key.method_name(), route, status: request.status };
        if self.rows.contains_key(&key) {
            return key;
        }
        let has_room = self.rows.len() < MAX_ROWS
            && (self.routes.len() < MAX_ROUTES || self.routes.contains_key(&key.route));
        if !has_room {
            losses.routes_full += 1;
            return RowKey { route: OTHER.to_owned(), ..key };
        }
        *self.routes.entry(key.route.clone()).or_default() += 1;
        key
    }

    fn add_content(&mut self, request: &OpenRequest) {
        let content = &mut self.content;
        content.n_writes += u64::from(request.n_writes);
        content.n_small_writes += u64::from(request.n_small_writes);
        content.n_with_small_writes += u64::from(request.has_small_writes());
        let is_compressed = request.content & CONTENT_COMPRESSED != 0;
        let is_worth_it = request.n_bytes_out >= MIN_COMPRESSED_BYTES || is_compressed;
        if request.content & CONTENT_COMPRESSIBLE != 0 && is_worth_it {
            content.n_compressible += 1;
            content.compressible_bytes += request.n_bytes_out;
            if !is_compressed {
                content.n_uncompressed += 1;
                content.uncompressed_bytes += request.n_bytes_out;
                let head_ns = request.first_byte_ns.unwrap_or(request.end_ns);
                content.uncompressed_ns += request.end_ns.saturating_sub(head_ns);
            }
        }
    }
}

impl Tally {
    fn add(&mut self, request: &OpenRequest) {
        let since = |from_ns: u64, ns: u64| ns.saturating_sub(from_ns);
        self.n_bytes_in += request.n_bytes_in;
        self.n_bytes_out += request.n_bytes_out;
        self.total.add(since(request.start_ns, request.end_ns));
        self.first_byte.add(since(request.start_ns, request.first_byte_ns.unwrap_or(request.end_ns)));
        if request.n_upstream == 0 {
            self.n_alone += 1;
            return;
        }
        self.upstream.add(request.upstream_ns);
        self.queue.add(since(request.asked_ns.unwrap_or(request.start_ns), request.upstream_start_ns));
    }
}
