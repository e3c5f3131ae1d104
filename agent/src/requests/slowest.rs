//! The slowest requests, and the stacks that were seen while they ran.

use abi::event::Event;
use ahash::HashMap;
use serde::Serialize;

use super::open::{OpenRequest, OpenRequests, RequestId};
use crate::aggregate::Key;

/// So many are told of.
const N_SLOWEST: usize = 10;
/// Distinct stacks of one request.
const MAX_STACKS: usize = 64;
/// Requests under way that have stacks.
const MAX_HELD: usize = 16_384;

/// How often a stack was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which, and of what event.
    pub key: Key,
    /// Samples.
    pub n_samples: u64,
    /// The time that they stand for, if they are of waits.
    pub off_cpu_ns: u64,
}

/// A request that was answered.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SlowRequest {
    /// `GET`, ...
    pub method: String,
    /// Without its query; its hash, if it stays in the kernel.
    pub path: String,
    /// The same with what is one of many folded.
    pub route: String,
    /// Of the answer.
    pub status: u16,
    /// From the read that had the end of the head to the write that had the end of the answer.
    pub total_ns: u64,
    /// To the write that had the end of the answer's head.
    pub first_byte_ns: u64,
    /// How long others took.
    pub upstream_ns: u64,
    /// Requests to others.
    pub upstream_requests: u32,
    /// What was seen meanwhile.
    #[serde(skip)]
    pub seen: Vec<Seen>,
    /// The same with names, the longest first.
    pub stacks: Vec<SeenStack>,
}

/// A stack that was seen while a request ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenStack {
    /// `cpu`, `blocked`, `runnable` or `idle`.
    pub kind: &'static str,
    /// How often.
    pub samples: u64,
    /// The time that it stands for.
    pub ns: u64,
    /// Root first.
    pub frames: Vec<String>,
}

impl Seen {
    /// With the names of its frames; a sample of CPU time stands for `period_ns`.
    #[must_use]
    pub fn named(&self, frames: Vec<String>, period_ns: u64) -> SeenStack {
        let (kind, ns) = match self.key.event {
            Event::BLOCKED => ("blocked", self.off_cpu_ns),
            Event::RUNNABLE => ("runnable", self.off_cpu_ns),
            Event::IDLE => ("idle", self.off_cpu_ns),
            _ => ("cpu", self.n_samples.saturating_mul(period_ns)),
        };
        SeenStack { kind, samples: self.n_samples, ns, frames }
    }
}

/// Those that are known to be slow, and what was seen of those under way.
#[derive(Debug, Default)]
pub(super) struct Slowest {
    held: HashMap<RequestId, Vec<Seen>>,
    /// The slowest first.
    slowest: Vec<(RequestId, SlowRequest)>,
}

impl Slowest {
    /// A stack was seen while its thread was busy with a request, which is under way or has just been answered. Gives whether
    /// there was room, if there was any need.
    pub(super) fn seen(&mut self, request: RequestId, open: &OpenRequests, key: Key, weight: u64) -> bool {
        let seen = match self.slowest.iter_mut().find(|(id, _)| *id == request) {
            Some((_, slow)) => &mut slow.seen,
            None if open.whose(request).is_none() => return true,
            None => {
                if self.held.len() >= MAX_HELD && !self.held.contains_key(&request) {
                    // Those that have gone without an answer.
                    self.held.retain(|id, _| open.whose(*id).is_some());
                    if self.held.len() >= MAX_HELD {
                        return false;
                    }
                }
                self.held.entry(request).or_default()
            }
        };
        let off_cpu_ns = if key.event == Event::CPU { 0 } else { weight };
        let has_room = seen.len() < MAX_STACKS;
        match seen.iter_mut().find(|it| it.key == key) {
            Some(it) => {
                it.n_samples += 1;
                it.off_cpu_ns = it.off_cpu_ns.saturating_add(off_cpu_ns);
            }
            None if has_room => seen.push(Seen { key, n_samples: 1, off_cpu_ns }),
            None => return false,
        }
        true
    }

    /// A request has been answered.
    pub(super) fn served(&mut self, request: &OpenRequest) {
        let seen = self.held.remove(&request.id).unwrap_or_default();
        let since_start = |ns: u64| ns.saturating_sub(request.start_ns);
        let total_ns = since_start(request.end_ns);
        let place = self.slowest.partition_point(|(_, slow)| slow.total_ns >= total_ns);
        if place >= N_SLOWEST {
            return;
        }
        self.slowest.truncate(N_SLOWEST - 1);
        let route = request.route_text();
        let slow = SlowRequest {
            method: request.key.method_name().to_owned(),
            path: if request.is_path_hidden { route.clone() } else { plain(&request.path) },
            route,
            status: request.status,
            total_ns,
            first_byte_ns: since_start(request.first_byte_ns.unwrap_or(request.end_ns)),
            upstream_ns: request.upstream_ns,
            upstream_requests: request.n_upstream,
            seen,
            stacks: Vec::new(),
        };
        self.slowest.insert(place, (request.id, slow));
    }

    /// The slowest first.
    pub(super) fn requests(&self) -> Vec<SlowRequest> {
        self.slowest.iter().map(|(_, slow)| slow.clone()).collect()
    }
}

/// For a terminal.
fn plain(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
