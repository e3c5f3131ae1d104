//! Threads, and how long each was looked at: shares are of that time.

use std::collections::HashMap;

use serde::Serialize;

use super::Evidence;
use crate::{Profile, ThreadHandle};

/// A thread, as reports name it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, in docs/analyze.md")]
pub struct Whose {
    pub process: String,
    pub pid: u32,
    pub thread: String,
    pub tid: u32,
}

impl Whose {
    pub(super) fn of(profile: &Profile, handle: ThreadHandle) -> Option<Self> {
        let thread = profile.thread_at(handle)?;
        let process = profile.process_at(thread.process)?;
        Some(Self {
            process: profile.text(process.name).to_owned(),
            pid: process.pid,
            thread: profile.text(thread.name).to_owned(),
            tid: thread.tid,
        })
    }

    /// `nginx (4711)`, or `worker (4712) of nginx (4711)`.
    pub(super) fn text(&self) -> String {
        let Self { process, pid, thread, tid } = self;
        match (self.tid, self.pid) {
            (0, _) => process.clone(),
            (tid, pid) if tid == pid => format!("{process} ({pid})"),
            _ => format!("{thread} ({tid}) of {process} ({pid})"),
        }
    }
}

/// How long each thread was looked at, and which of them run an event loop.
pub(super) struct Threads {
    elapsed_ns: HashMap<u32, u64>,
    duration_ns: u64,
    /// By thread ID: its process.
    loops: HashMap<u32, u32>,
}

impl Threads {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let metas = [evidence.off_cpu, evidence.stalls, evidence.cpu];
        let metas: Vec<_> = metas.into_iter().flatten().map(Profile::meta).collect();
        let times = metas.iter().filter_map(|meta| meta.times.as_ref()).flat_map(|times| &times.threads);
        let workers = metas.iter().filter_map(|meta| meta.loops.as_ref()).flat_map(|loops| &loops.workers);
        let mut loops: HashMap<u32, u32> =
            workers.filter(|it| it.iterations > 0).map(|it| (it.tid, it.pid)).collect();
        // A file does not have the histograms, but whoever stalls has a loop.
        if let Some(stalls) = evidence.stalls {
            let stalled = stalls.samples().filter_map(|sample| Whose::of(stalls, sample.thread));
            loops.extend(stalled.filter(|whose| whose.tid != 0).map(|whose| (whose.tid, whose.pid)));
        }
        Self {
            elapsed_ns: times.map(|it| (it.tid, it.elapsed_ns)).collect(),
            duration_ns: metas.iter().map(|meta| meta.duration_ns).max().unwrap_or(0),
            loops,
        }
    }

    /// The share of a thread's time, in percent; `None` if it is not known how long it was looked at.
    pub(super) fn percent(&self, whose: &Whose, n_ns: f64) -> Option<f64> {
        let elapsed_ns = self.elapsed_ns.get(&whose.tid).copied().unwrap_or(self.duration_ns);
        (elapsed_ns > 0).then(|| (100.0 * n_ns / elapsed_ns as f64).min(100.0))
    }

    /// Whether others wait for it: it runs an event loop.
    pub(super) fn has_loop(&self, whose: &Whose) -> bool {
        self.loops.contains_key(&whose.tid)
    }

    /// Whether another thread of its process runs one: this one is a helper then, which waits in its place.
    pub(super) fn is_helper(&self, whose: &Whose) -> bool {
        !self.has_loop(whose) && self.loops.values().any(|pid| *pid == whose.pid)
    }
}
