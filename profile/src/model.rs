//! The profile: all tables together, filled from one side and read from the other.

use std::collections::HashSet;

use crate::{
    frames::{Frame, FrameHandle, Frames, Mapping, MappingHandle},
    meta::Meta,
    samples::{Process, ProcessHandle, Sample, Samples, Thread, ThreadHandle, ValueType, WrongValueCount},
    stacks::{StackHandle, Stacks},
    strings::{StrId, Strings},
};

/// What stands for a stack that has no frame at all.
const NO_FRAMES: &str = "[no frames]";

/// Counted stacks of threads, and the tables they refer to.
///
/// Interning the same thing twice gives the same handle. A handle that another profile gave out is never a
/// panic: it reads as unknown. The tables grow with what is distinct in the input; whoever fills them bounds
/// how much that is.
#[derive(Debug, Clone)]
pub struct Profile {
    meta: Meta,
    value_types: Vec<ValueType>,
    weight_idx: usize,
    strings: Strings,
    frames: Frames,
    stacks: Stacks,
    samples: Samples,
    routes: HashSet<FrameHandle>,
}

/// Filling.
impl Profile {
    /// An empty profile whose samples will have one value for each of `value_types`.
    pub fn new(value_types: impl Into<Vec<ValueType>>, meta: Meta) -> Self {
        Self {
            meta,
            value_types: value_types.into(),
            weight_idx: 0,
            strings: Strings::default(),
            frames: Frames::default(),
            stacks: Stacks::default(),
            samples: Samples::default(),
            routes: HashSet::new(),
        }
    }

    /// Chooses the value type that flamegraphs, folded text and the report go by; the first if never called.
    pub fn weigh_by(&mut self, value_idx: usize) {
        self.weight_idx = value_idx;
    }

    /// How the profile came to be, for the caller to complete at the end of the run.
    pub fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    /// The handle of a text.
    pub fn intern(&mut self, text: &str) -> StrId {
        self.strings.intern(text)
    }

    /// The handle of a mapping.
    pub fn mapping(&mut self, mapping: Mapping) -> MappingHandle {
        MappingHandle(self.frames.mappings.intern(mapping))
    }

    /// The handle of a frame.
    pub fn frame(&mut self, frame: Frame) -> FrameHandle {
        FrameHandle(self.frames.frames.intern(frame))
    }

    /// The handle of the frame that says why a stack stops, such as `[truncated: stack memory not readable]`.
    pub fn reason(&mut self, sentence: &str) -> FrameHandle {
        let sentence = self.intern(sentence);
        self.frame(Frame::reason(sentence))
    }

    /// The handle of the frame that cuts a profile by the route of requests: the root of every stack of one, below which is what
    /// was done for it. Forms that have labels have it as one, too.
    pub fn route(&mut self, name: &str) -> FrameHandle {
        let route = self.reason(name);
        self.routes.insert(route);
        route
    }

    /// Takes over which frames of another profile are routes; `own` has the frame of each of its frames here.
    pub(crate) fn take_routes(&mut self, other: &Self, own: &[FrameHandle]) {
        self.routes.extend(other.routes.iter().filter_map(|route| own.get(route.index())));
    }

    /// The handle of a stack whose frames come root first. One without frames says so in a frame.
    pub fn stack(&mut self, root_to_leaf: impl IntoIterator<Item = FrameHandle>) -> StackHandle {
        let mut stack = None;
        for frame in root_to_leaf {
            stack = Some(self.stacks.push(stack, frame));
        }
        match stack {
            Some(stack) => stack,
            None => {
                let reason = self.reason(NO_FRAMES);
                self.stacks.push(None, reason)
            }
        }
    }

    /// The handle of a process.
    pub fn process(&mut self, pid: u32, name: &str) -> ProcessHandle {
        let name = self.intern(name);
        ProcessHandle(self.samples.processes.intern(Process { pid, name }))
    }

    /// The handle of a thread.
    pub fn thread(&mut self, process: ProcessHandle, tid: u32, name: &str) -> ThreadHandle {
        let name = self.intern(name);
        ThreadHandle(self.samples.threads.intern(Thread { process, tid, name }))
    }

    /// Adds to the sums of a stack on a thread, one value for each value type.
    pub fn add(
        &mut self,
        stack: StackHandle,
        thread: ThreadHandle,
        values: &[i64],
    ) -> Result<(), WrongValueCount> {
        if values.len() != self.value_types.len() {
            return Err(WrongValueCount { n_given: values.len(), n_expected: self.value_types.len() });
        }
        self.samples.add(stack, thread, values);
        Ok(())
    }
}

/// Making one of another.
impl Profile {
    /// The same tables with some of the value types, in this order, and no samples.
    pub(crate) fn without_samples(&self, value_idx: impl Iterator<Item = usize>) -> Self {
        let mut samples = Samples::default();
        samples.processes = self.samples.processes.clone();
        samples.threads = self.samples.threads.clone();
        let value_types: Vec<ValueType> =
            value_idx.filter_map(|at| self.value_types.get(at)).cloned().collect();
        Self {
            meta: self.meta.clone(),
            value_types,
            weight_idx: 0,
            strings: self.strings.clone(),
            frames: self.frames.clone(),
            stacks: self.stacks.clone(),
            samples,
            routes: self.routes.clone(),
        }
    }
}

/// Reading.
impl Profile {
    /// How the profile came to be.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// What the values of a sample mean, in their order.
    pub fn value_types(&self) -> &[ValueType] {
        &self.value_types
    }

    /// The position of the value type that flamegraphs, folded text and the report go by.
    pub fn weight_idx(&self) -> usize {
        self.weight_idx
    }

    /// A text; `[unknown]` if the handle is not of this profile.
    pub fn text(&self, id: StrId) -> &str {
        self.strings.text(id)
    }

    /// A mapping by its handle.
    pub fn mapping_at(&self, handle: MappingHandle) -> Option<&Mapping> {
        self.frames.mappings.get(handle.0)
    }

    /// A frame by its handle.
    pub fn frame_at(&self, handle: FrameHandle) -> Option<&Frame> {
        self.frames.frames.get(handle.0)
    }

    /// A process by its handle.
    pub fn process_at(&self, handle: ProcessHandle) -> Option<&Process> {
        self.samples.processes.get(handle.0)
    }

    /// A thread by its handle.
    pub fn thread_at(&self, handle: ThreadHandle) -> Option<&Thread> {
        self.samples.threads.get(handle.0)
    }

    /// The mappings, in the order of their handles.
    pub fn mappings(&self) -> impl Iterator<Item = &Mapping> {
        self.frames.mappings.iter()
    }

    /// The frames, in the order of their handles.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.frames.iter()
    }

    /// The samples, in the order of first appearance.
    pub fn samples(&self) -> impl Iterator<Item = Sample<'_>> {
        self.samples.iter()
    }

    /// The frames of a stack from its leaf to its root.
    pub fn leaf_to_root(&self, stack: StackHandle) -> impl Iterator<Item = FrameHandle> {
        self.stacks.leaf_to_root(stack)
    }

    /// The route that a stack is of, if it begins with one.
    pub fn route_of(&self, stack: StackHandle) -> Option<&str> {
        if self.routes.is_empty() {
            return None;
        }
        let root = self.leaf_to_root(stack).last().filter(|root| self.routes.contains(root))?;
        self.frame_at(root)?.function.map(|name| self.text(name))
    }

    /// The sum of one value over all samples; 0 if there is no such value type.
    pub fn total(&self, value_idx: usize) -> i64 {
        self.samples().fold(0, |sum: i64, sample| {
            sum.saturating_add(sample.values.get(value_idx).copied().unwrap_or(0))
        })
    }

    /// How many distinct stacks and parts of stacks the profile holds: what its memory goes by.
    pub fn n_stack_nodes(&self) -> usize {
        self.stacks.n_nodes()
    }
}
