//! What is told of a target, now and then.

use profile::Profile;

use crate::requests::RouteWindow;

/// Something new.
pub enum Update {
    /// CPU time of the last second or so.
    Tick(Box<Tick>),
    /// A reading of memory.
    Memory(Memory),
    /// What was sampled is over, and why, if it is a failure.
    Ended(Option<String>),
}

/// A window of CPU time, and how event loops and requests fared in it.
pub struct Tick {
    /// What was sampled; its meta says for how long.
    pub profile: Profile,
    /// Event loops, the busiest first.
    pub loops: Vec<LoopRow>,
    /// Requests, if they are followed.
    pub routes: Option<RoutesTick>,
    /// Samples that did not get here, from the start.
    pub n_lost: u64,
}

/// Requests that were answered in a window.
pub struct RoutesTick {
    /// As `record --event requests` writes it.
    pub profile: Profile,
    /// The same by route.
    pub window: RouteWindow,
    /// Connections that speak TLS and were not read, from the start.
    pub n_tls_unread: u64,
    /// What else is missing, from the start.
    pub remarks: Vec<String>,
}

/// One event loop, in the last window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoopRow {
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// The share of iterations in its time.
    pub busy_percent: f64,
    /// Iterations a second.
    pub iterations_per_second: f64,
    /// The mean of those that ended.
    pub mean_ns: u64,
    /// The longest since the start.
    pub max_ns: u64,
    /// Stalls in this window.
    pub stalls: u64,
    /// Stalls since the start.
    pub all_stalls: u64,
}

/// A reading of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// From the start.
    pub time_ns: u64,
    /// Of all processes.
    pub resident_bytes: u64,
    /// What is theirs alone: anonymous, and swap.
    pub private_bytes: u64,
    /// How many processes there are.
    pub n_processes: usize,
}
