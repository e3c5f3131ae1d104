//! Counts samples by event, image, thread and stack. Pure.
//!
//! A stack crosses from the kernel once. What it could not normalise there, for want of a mapping, is normalised
//! here, with the mappings of the image that the sample belongs to.

mod arrived;
mod over_time;
mod part;
mod woken;

use std::{collections::HashMap, sync::Arc};

use abi::{
    event::Event,
    fault::Fault,
    frame::{Frame, PackedFrame},
    sample::{NO_STACK, Sample, UNREPEATED_STACK},
};

use profile::growth::Timeline;

use crate::{
    decode::RawStack,
    estimate::Estimate,
    process::{Backing, FileId, Files, ImageId, Mappings},
    requests::RouteIndex,
};

use arrived::Arrived;
pub use over_time::Row;
pub use woken::Waker;

/// A user frame that needs nothing more to be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UserFrame {
    /// An instruction of a file.
    File {
        /// Which.
        file: FileId,
        /// Byte offset in it.
        offset: u64,
    },
    /// Code made at run time.
    Jit {
        /// In the process.
        address: u64,
    },
    /// An address in no mapping that was ever seen.
    Unmapped {
        /// In the process.
        address: u64,
    },
}

/// A user stack, leaf first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UserStack {
    /// Its frames.
    pub frames: Vec<UserFrame>,
    /// Why it ends where it ends.
    pub fault: Fault,
    /// Some frames were left by their frame pointer, for want of unwind information.
    pub has_frame_pointer_steps: bool,
}

/// A kernel stack, leaf first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KernelStack {
    /// Absolute addresses.
    pub addresses: Vec<u64>,
    /// Why it ends where it ends.
    pub fault: Fault,
}

/// Index of a distinct stack of one kind.
pub type StackIndex = u32;

/// What samples are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Of what.
    pub event: Event,
    /// Whose.
    pub image: ImageId,
    /// Which of its threads.
    pub tid: u32,
    /// Into [`Aggregate::user_stacks`].
    pub user: Option<StackIndex>,
    /// Into [`Aggregate::kernel_stacks`].
    pub kernel: Option<StackIndex>,
    /// Who ended the wait, if that is recorded: into [`Aggregate::wakers`].
    pub waker: Option<StackIndex>,
    /// What its thread was busy with, if requests are followed: into [`crate::requests::Requests::routes`].
    pub route: Option<RouteIndex>,
}

/// How much was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Samples.
    pub n_samples: u64,
    /// The events that they stand for.
    pub n_events: f64,
    /// The weight that they stand for.
    pub weight: u64,
    /// Variance of that weight, where it is an estimate.
    pub variance: f64,
}

impl Counted {
    fn add(&mut self, estimate: Estimate) {
        self.n_samples += 1;
        self.n_events += estimate.n_events;
        self.weight = self.weight.saturating_add(estimate.weight);
        self.variance += estimate.variance;
    }

    /// Samples whose number of events nobody asks for.
    fn over_time(n_samples: u64, weight: u64) -> Self {
        Self { n_samples, n_events: n_samples as f64, weight, variance: 0.0 }
    }
}

/// Samples counted so far.
#[derive(Debug, Default)]
pub struct Aggregate {
    arrived: Arrived,
    user_stacks: Interned<UserStack>,
    /// When each of them was last sampled.
    last_sampled_ns: Vec<u64>,
    /// When code of each file was last in a sampled stack that is forgotten.
    last_uses_ns: HashMap<FileId, u64>,
    kernel_stacks: Interned<KernelStack>,
    wakers: Interned<Waker>,
    /// Those of waits that no sample has told of yet, by thread.
    woken: HashMap<u32, StackIndex>,
    counted: HashMap<Key, Counted>,
    /// Time of iterations of event loops that took long: told of the samples in them a second time.
    stalled: HashMap<Key, Counted>,
    /// In the place of `counted` where it must be known when something was counted.
    over_time: Option<Timeline<Key, Event>>,
    n_samples: u64,
    n_stacks_missing: u64,
    /// Stacks that the last part needed that was [cut](Self::cut).
    n_stacks_cut: usize,
}

/// How the user half of a sample was walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// To the root.
    pub is_complete: bool,
    /// Only to this file, whose unwind table was not there.
    pub missing: Option<FileId>,
}

/// A sample that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Added {
    /// What it was counted by.
    pub key: Key,
    /// How its user half was walked, if it has one.
    pub walked: Option<Walked>,
}

impl Aggregate {
    /// Takes in a user stack.
    pub fn add_user_stack(&mut self, stack: RawStack) {
        self.arrived.insert_user(stack);
    }

    /// Takes in a kernel stack.
    pub fn add_kernel_stack(&mut self, stack: RawStack) {
        let RawStack { id, fault, words: mut addresses, .. } = stack;
        // As in a user stack: a return address names the instruction after the call.
        addresses.iter_mut().skip(1).for_each(|address| *address = address.saturating_sub(1));
        let index = self.kernel_stacks.intern(KernelStack { addresses, fault });
        self.arrived.insert_kernel(id, index);
    }

    /// Counts a sample of an image for what it stands for, with what the image had mapped at that moment and the route of the
    /// request that the thread was busy with.
    pub fn add(
        &mut self,
        sample: &Sample,
        route: Option<RouteIndex>,
        estimate: Estimate,
        image_id: ImageId,
        mappings: &Mappings,
        files: &Files,
    ) -> Added {
        let key = Key { route, ..self.take_in(sample, image_id, mappings, files) };
        match &mut self.over_time {
            // Threads that come and go would be rows without an end.
            Some(rows) => rows.add(Key { tid: sample.tgid, ..key }, sample.time_ns, estimate.weight),
            None => self.counted.entry(key).or_default().add(estimate),
        }
        Added { key, walked: key.user.and_then(|user| self.note_use(user, sample.time_ns)) }
    }

    /// Counts time of a long iteration for the key of a sample that was taken in it.
    pub fn count_stalled(&mut self, key: Key, estimate: Estimate) {
        self.stalled.entry(key).or_default().add(estimate);
    }

    /// Takes in a sample of an image without counting it; gives what it would be counted by.
    fn take_in(&mut self, sample: &Sample, image_id: ImageId, mappings: &Mappings, files: &Files) -> Key {
        let id = |id| id & !UNREPEATED_STACK;
        let resolve = |raw: &RawStack| resolve(raw, mappings, files);
        let user = self.arrived.user(id(sample.user_stack), image_id, &mut self.user_stacks, resolve);
        let kernel = self.arrived.kernel(id(sample.kernel_stack), &mut self.kernel_stacks);
        // What no other sample will ask for is not kept: a full table must not make ours grow.
        if sample.user_stack & UNREPEATED_STACK != 0 {
            self.arrived.remove_user(id(sample.user_stack), image_id);
        }
        if sample.kernel_stack & UNREPEATED_STACK != 0 {
            self.arrived.remove_kernel(id(sample.kernel_stack));
        }
        let is_missing = |id, found: Option<StackIndex>| id != NO_STACK && found.is_none();
        if is_missing(sample.user_stack, user) || is_missing(sample.kernel_stack, kernel) {
            self.n_stacks_missing += 1;
        }
        self.n_samples += 1;
        let waker = self.waker_of(sample);
        Key { event: sample.event, image: image_id, tid: sample.tid, user, kernel, waker, route: None }
    }

    /// Notes that a stack was sampled.
    fn note_use(&mut self, user: StackIndex, time_ns: u64) -> Option<Walked> {
        let index = user as usize;
        if self.last_sampled_ns.len() <= index {
            self.last_sampled_ns.resize(index + 1, 0);
        }
        self.last_sampled_ns[index] = self.last_sampled_ns[index].max(time_ns);
        let stack = self.user_stacks.values.get(index)?;
        let missing = match stack.frames.last() {
            Some(UserFrame::File { file, .. }) if stack.fault == Fault::TABLE_PENDING => Some(*file),
            _ => None,
        };
        Some(Walked { is_complete: stack.fault.is_complete(), missing })
    }

    /// When code of each file was last in a sampled stack.
    #[must_use]
    pub fn last_uses_ns(&self) -> HashMap<FileId, u64> {
        let mut last_uses_ns = self.last_uses_ns.clone();
        for (stack, time_ns) in self.user_stacks.values.iter().zip(&self.last_sampled_ns) {
            for frame in &stack.frames {
                if let UserFrame::File { file, .. } = frame {
                    let last = last_uses_ns.entry(*file).or_default();
                    *last = (*time_ns).max(*last);
                }
            }
        }
        last_uses_ns
    }

    /// What was counted, in no order.
    pub fn counted(&self) -> impl Iterator<Item = (&Key, Counted)> {
        let over_time = self.over_time.iter().flat_map(Timeline::sums);
        let over_time =
            over_time.map(|(key, n_samples, weight)| (key, Counted::over_time(n_samples, weight)));
        self.counted.iter().map(|(key, counted)| (key, *counted)).chain(over_time)
    }

    /// Distinct user stacks.
    #[must_use]
    pub fn user_stacks(&self) -> &[Arc<UserStack>] {
        &self.user_stacks.values
    }

    /// Distinct kernel stacks.
    #[must_use]
    pub fn kernel_stacks(&self) -> &[Arc<KernelStack>] {
        &self.kernel_stacks.values
    }

    /// Samples taken in.
    #[must_use]
    pub fn n_samples(&self) -> u64 {
        self.n_samples
    }

    /// Samples that refer to a stack that never came: none, unless the kernel side is wrong.
    #[must_use]
    pub fn n_stacks_missing(&self) -> u64 {
        self.n_stacks_missing
    }
}

/// Gives every frame its file. A return address outside all mappings ends the stack, as it would have in the
/// kernel had the mappings been known there.
fn resolve(raw: &RawStack, mappings: &Mappings, files: &Files) -> UserStack {
    let has_frame_pointer_steps = raw.has_frame_pointer_steps;
    let mut frames = Vec::with_capacity(raw.words.len());
    for word in &raw.words {
        let frame = match PackedFrame(*word).unpack() {
            Frame::File { file_id, offset } => {
                files.by_number(file_id).map(|file| UserFrame::File { file, offset })
            }
            Frame::Absolute(address) => mappings.find(address).map(|mapping| match mapping.backing {
                Backing::File(file) => {
                    UserFrame::File { file, offset: address - mapping.start + mapping.file_offset }
                }
                Backing::Anonymous => UserFrame::Jit { address },
            }),
        };
        match frame {
            Some(frame) => frames.push(frame),
            None if frames.is_empty() => {
                frames.push(UserFrame::Unmapped { address: *word & (u64::MAX >> 1) });
            }
            None => return UserStack { frames, fault: Fault::RETURN_UNMAPPED, has_frame_pointer_steps },
        }
    }
    UserStack { frames, fault: raw.fault, has_frame_pointer_steps }
}

/// Distinct values, numbered. Each is there once, whoever has it: stacks are most of what a recording keeps, and a window
/// has the same as the recording that it is cut from.
#[derive(Debug)]
struct Interned<T> {
    indices: HashMap<Arc<T>, StackIndex>,
    values: Vec<Arc<T>>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { indices: HashMap::new(), values: Vec::new() }
    }
}

impl<T: Eq + std::hash::Hash> Interned<T> {
    fn intern(&mut self, value: T) -> StackIndex {
        match self.indices.get(&value) {
            Some(index) => *index,
            None => self.push(Arc::new(value)),
        }
    }

    /// The same of one that is somebody else's, too.
    fn share(&mut self, value: &Arc<T>) -> StackIndex {
        match self.indices.get(value) {
            Some(index) => *index,
            None => self.push(Arc::clone(value)),
        }
    }

    fn get(&self, index: StackIndex) -> Option<Arc<T>> {
        self.values.get(index as usize).cloned()
    }

    fn push(&mut self, value: Arc<T>) -> StackIndex {
        let index = StackIndex::try_from(self.values.len()).unwrap_or(StackIndex::MAX);
        self.values.push(Arc::clone(&value));
        self.indices.insert(value, index);
        index
    }
}

#[cfg(test)]
mod tests;
