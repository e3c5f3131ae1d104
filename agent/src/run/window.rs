//! A stretch of time out of a recording that goes on, with everything that its profiles are made from.

use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

use profile::{Labels, Meta};

use crate::{
    aggregate::{Aggregate, Key},
    assemble::{self, Collected},
    kernel::{Clock, Source},
    object::ObjectFile,
    process::{FileId, ImageId, Processes},
    requests::RequestsWindow,
    symbolize::JitProcess,
    unwind::Functions,
};

/// What was counted from one cut to the next.
pub struct Window {
    /// What was sampled, and what samples fell due by.
    pub sources: Vec<(Source, Clock)>,
    /// What was counted, with the stacks that it needs.
    pub aggregate: Aggregate,
    /// The images that something was counted of.
    pub processes: Processes,
    /// The files that their code is in.
    pub objects: HashMap<FileId, Arc<ObjectFile>>,
    /// Where the functions of these files are.
    pub functions: HashMap<FileId, Functions>,
    /// Where these images describe the code that they make at run time.
    pub jit: HashMap<ImageId, Arc<JitProcess>>,
    /// Functions of allocators that have a probe.
    pub probed: Vec<(FileId, Range<u64>)>,
    /// Requests, if they are followed.
    pub requests: Option<RequestsWindow>,
    /// When it began, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// How long it lasted.
    pub duration: Duration,
    /// The end, in the time of samples.
    pub end_ns: u64,
}

impl Window {
    /// To whom belongs what was counted by a key; `None` if nobody could be found.
    #[must_use]
    pub fn group_of(&self, key: &Key) -> Option<&Arc<Labels>> {
        self.processes.image(key.image)?.group.as_ref()
    }

    /// The part of it that a profile is made from: what was counted of one source, all of it or of some.
    #[must_use]
    pub fn collected<'a>(&'a self, source: Source, counted: &'a Aggregate) -> Collected<'a> {
        Collected {
            source,
            aggregate: counted,
            processes: &self.processes,
            objects: &self.objects,
            functions: &self.functions,
            jit: &self.jit,
            probed: &self.probed,
            heap: None,
            threads: None,
            routes: None,
            requests: None,
            end_ns: self.end_ns,
        }
    }
    /// What is known of such a profile here: not on which host, nor for whom.
    #[must_use]
    pub fn meta(&self, collected: Collected<'_>, clock: Clock) -> Meta {
        let frequency_hz = collected.source.frequency_hz();
        let (stacks_complete, truncated) = assemble::wholeness(collected);
        Meta {
            start_unix_ns: self.start_unix_ns,
            duration_ns: u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX),
            event: clock.name().to_owned(),
            frequency_hz,
            period_ns: 1_000_000_000_u64.checked_div(frequency_hz).unwrap_or(0),
            stacks_complete,
            truncated,
            ..Meta::default()
        }
    }
}
