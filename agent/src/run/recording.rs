//! What a recording brought and what it used.

use std::{collections::HashMap, sync::Arc, time::Duration};

use abi::{counter::Counter, event_loop::Worker};

use super::{End, ExitStatus, FirstStacks, Losses, ProbingReport};
use crate::{
    aggregate::Aggregate,
    assemble::Collected,
    heap::Heap,
    kernel::{Clock, Cost, KernelError, Source},
    object::ObjectFile,
    off_cpu::ThreadTimes,
    process::{FileId, ImageId, Processes},
    requests::{self, SlowRequest},
    symbolize::JitProcess,
    table_cache::CacheCounts,
    unwind::Functions,
};

/// What a recording used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Kernel programs; `None` if this kernel keeps no statistics for us.
    pub kernel: Option<Cost>,
    /// CPU time of the agent, user and system.
    pub agent_cpu: Duration,
    /// Resident memory of the agent.
    pub agent_rss_bytes: Option<u64>,
    /// Kernel memory of our maps.
    pub table_bytes: u64,
    /// What the cache of unwind tables did; `None` if there was none.
    pub table_cache: Option<CacheCounts>,
}

/// Everything that a recording brought, not symbolized yet.
pub struct Recording {
    /// Processes, images, files.
    pub processes: Processes,
    /// Counted stacks.
    pub aggregate: Aggregate,
    /// The stacks of long iterations of event loops, if those were looked at.
    pub stalled: Aggregate,
    /// Files that were mapped, open since they were first seen.
    pub objects: HashMap<FileId, Arc<ObjectFile>>,
    /// Where the functions of files are, by their unwind information.
    pub functions: HashMap<FileId, Functions>,
    /// Where images that make code at run time describe it.
    pub jit: HashMap<ImageId, Arc<JitProcess>>,
    /// Counted by the kernel side.
    pub counters: Vec<(Counter, u64)>,
    /// Counted by the agent.
    pub losses: Losses,
    /// Of changes to the kernel's tables that failed, why the first did.
    pub first_table_error: Option<KernelError>,
    /// How soon stacks were whole.
    pub first_stacks: FirstStacks,
    /// Stacks that the kernel side could not walk, for code too new, and the agent did, to their end.
    pub n_walked_late: u64,
    /// What lives of the allocations, if that was followed and every free was seen.
    pub heap: Option<Heap>,
    /// The end of the recording, in the time of samples.
    pub end_ns: u64,
    /// Those that the agent could not walk to their end either.
    pub n_cut_late: u64,
    /// Probes on allocators, if that is what was recorded.
    pub probing: Option<ProbingReport>,
    /// What it cost.
    pub usage: Usage,
    /// Why it ended.
    pub end: End,
    /// What samples fell due by.
    pub clocks: Vec<Clock>,
    /// What the profile is of.
    pub source: Source,
    /// Where the time of threads went that no sample tells of, if that was measured.
    pub threads: Option<ThreadTimes>,
    /// Event loops, by thread.
    pub workers: Vec<(ImageId, u32, Worker)>,
    /// Requests, if they were followed.
    pub requests: Option<requests::Report>,
    /// Their routes, if samples were joined with them.
    pub routes: Option<Vec<Arc<str>>>,
    /// The slowest of them, with what was seen meanwhile, likewise.
    pub slowest: Vec<SlowRequest>,
    /// How long it lasted.
    pub duration: Duration,
    /// When it began, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// Of the command that was run.
    pub exit_status: Option<ExitStatus>,
}

impl Recording {
    /// The part of it that a profile is made from.
    #[must_use]
    pub fn collected(&self) -> Collected<'_> {
        let source = match self.source {
            Source::Alloc { interval_bytes, .. } => {
                Source::Alloc { interval_bytes, live_heap: self.heap.is_some() }
            }
            source => source,
        };
        let aggregate = if source.stall_ns().is_some() { &self.stalled } else { &self.aggregate };
        self.collected_of(source, aggregate)
    }

    /// What was counted of one source, where several were recorded side by side.
    #[must_use]
    pub fn part(&self, source: Source) -> Aggregate {
        match source {
            Source::Loop { .. } => self.stalled.part(|_| true),
            _ => self.aggregate.part(|key| source.gives(key.event)),
        }
    }

    /// What a profile of one source is made from, of a [part](Self::part) of it.
    #[must_use]
    pub fn collected_of<'a>(&'a self, source: Source, aggregate: &'a Aggregate) -> Collected<'a> {
        Collected {
            source,
            aggregate,
            processes: &self.processes,
            objects: &self.objects,
            functions: &self.functions,
            jit: &self.jit,
            heap: self.heap.as_ref(),
            threads: self.threads.as_ref(),
            routes: self.routes.as_deref(),
            requests: self.requests.as_ref(),
            end_ns: self.end_ns,
            probed: self.probing.as_ref().map_or(&[], |probing| &probing.functions),
        }
    }
}
