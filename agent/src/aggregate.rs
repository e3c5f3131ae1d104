//! Counts samples by event, image, thread and stack. Pure.
//!
//! A stack crosses from the kernel once. What it could not normalise there, for want of a mapping, is normalised
//! here, with the mappings of the image that the sample belongs to.

use std::collections::HashMap;

use abi::{
    event::Event,
    fault::Fault,
    frame::{Frame, PackedFrame},
    sample::{NO_STACK, Sample, UNREPEATED_STACK},
};

use crate::{
    decode::RawStack,
    estimate::Estimate,
    process::{Backing, FileId, Files, ImageId, Mappings},
};

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

/// Samples counted so far.
#[derive(Debug, Default)]
pub struct Aggregate {
    raw_user: HashMap<u64, RawStack>,
    kernel: HashMap<u64, StackIndex>,
    /// Stacks without absolute frames are the same whatever the image, and stand under `None`.
    resolved: HashMap<(u64, Option<ImageId>), StackIndex>,
    user_stacks: Interned<UserStack>,
    /// When each of them was last sampled.
    last_sampled_ns: Vec<u64>,
    kernel_stacks: Interned<KernelStack>,
    counted: HashMap<Key, Counted>,
    n_samples: u64,
    n_stacks_missing: u64,
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
        self.raw_user.insert(stack.id, stack);
    }

    /// Takes in a kernel stack.
    pub fn add_kernel_stack(&mut self, stack: RawStack) {
        let RawStack { id, fault, words: mut addresses, .. } = stack;
        // As in a user stack: a return address names the instruction after the call.
        addresses.iter_mut().skip(1).for_each(|address| *address = address.saturating_sub(1));
        let index = self.kernel_stacks.intern(KernelStack { addresses, fault });
        self.kernel.insert(id, index);
    }

    /// Counts a sample of an image for what it stands for, with what the image had mapped at that moment.
    pub fn add(
        &mut self,
        sample: &Sample,
        estimate: Estimate,
        image_id: ImageId,
        mappings: &Mappings,
        files: &Files,
    ) -> Added {
        let id = |id| id & !UNREPEATED_STACK;
        let user = self.user_stack(id(sample.user_stack), image_id, mappings, files);
        let kernel = self.kernel.get(&id(sample.kernel_stack)).copied();
        // What no other sample will ask for is not kept: a full table must not make ours grow.
        if sample.user_stack & UNREPEATED_STACK != 0 {
            let id = id(sample.user_stack);
            self.raw_user.remove(&id);
            self.resolved.remove(&(id, None));
            self.resolved.remove(&(id, Some(image_id)));
        }
        if sample.kernel_stack & UNREPEATED_STACK != 0 {
            self.kernel.remove(&id(sample.kernel_stack));
        }
        let is_missing = |id, found: Option<StackIndex>| id != NO_STACK && found.is_none();
        if is_missing(sample.user_stack, user) || is_missing(sample.kernel_stack, kernel) {
            self.n_stacks_missing += 1;
        }
        let key = Key { event: sample.event, image: image_id, tid: sample.tid, user, kernel };
        let counted = self.counted.entry(key).or_default();
        counted.n_samples += 1;
        counted.n_events += estimate.n_events;
        counted.weight = counted.weight.saturating_add(estimate.weight);
        counted.variance += estimate.variance;
        self.n_samples += 1;
        Added { key, walked: user.and_then(|user| self.note_use(user, sample.time_ns)) }
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
        let mut last_uses_ns = HashMap::new();
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
        self.counted.iter().map(|(key, counted)| (key, *counted))
    }

    /// Distinct user stacks.
    #[must_use]
    pub fn user_stacks(&self) -> &[UserStack] {
        &self.user_stacks.values
    }

    /// Distinct kernel stacks.
    #[must_use]
    pub fn kernel_stacks(&self) -> &[KernelStack] {
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

    fn user_stack(
        &mut self,
        id: u64,
        image_id: ImageId,
        mappings: &Mappings,
        files: &Files,
    ) -> Option<StackIndex> {
        if let Some(index) =
            self.resolved.get(&(id, None)).or_else(|| self.resolved.get(&(id, Some(image_id))))
        {
            return Some(*index);
        }
        let raw = self.raw_user.get(&id)?;
        let is_portable =
            raw.words.iter().all(|word| matches!(PackedFrame(*word).unpack(), Frame::File { .. }));
        let index = self.user_stacks.intern(resolve(raw, mappings, files));
        self.resolved.insert((id, (!is_portable).then_some(image_id)), index);
        Some(index)
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

/// Distinct values, numbered.
#[derive(Debug)]
struct Interned<T> {
    indices: HashMap<T, StackIndex>,
    values: Vec<T>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self { indices: HashMap::new(), values: Vec::new() }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn intern(&mut self, value: T) -> StackIndex {
        if let Some(index) = self.indices.get(&value) {
            return *index;
        }
        let index = StackIndex::try_from(self.values.len()).unwrap_or(StackIndex::MAX);
        self.values.push(value.clone());
        self.indices.insert(value, index);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::{Aggregate, UserFrame};
    use crate::{
        decode::{MappedRegion, RawStack},
        estimate::Estimate,
        process::{Interest, Processes, Snapshot},
    };
    use abi::{
        event::Event,
        fault::Fault,
        frame::PackedFrame,
        sample::{KIND_SAMPLE, Sample, UNREPEATED_STACK},
    };

    fn processes() -> Processes {
        let mut processes = Processes::new(Interest::default());
        for (pid, start) in [(1, 0x10_000), (2, 0x50_000)] {
            let region = |start, inode, path: &str| MappedRegion {
                start,
                end: start + 0x1000,
                file_offset: 0x400,
                device: (8, 1),
                inode,
                path: path.into(),
            };
            let regions = vec![region(start, 7, "/bin/x"), region(0x90_000, 0, "")];
            processes.insert(Snapshot { pid, regions, ..Snapshot::default() }, 0, &mut Vec::new());
        }
        processes
    }

    fn stack(id: u64, words: &[PackedFrame]) -> RawStack {
        RawStack {
            id,
            fault: Fault::COMPLETE,
            has_frame_pointer_steps: false,
            words: words.iter().map(|frame| frame.0).collect(),
        }
    }

    fn add(aggregate: &mut Aggregate, processes: &Processes, tgid: u32, user_stack: u64) {
        let sample = Sample {
            kind: KIND_SAMPLE,
            cpu: 0,
            event: Event::CPU,
            time_ns: 9,
            tgid,
            tid: tgid,
            user_stack,
            kernel_stack: 0,
            weight: 1,
            context: 0,
        };
        let id = processes.image_at(tgid, 9).expect("an image");
        let image = processes.image(id).expect("by ID");
        aggregate.add(&sample, Estimate::whole(1), id, &image.mappings, processes.files());
    }

    #[test]
    fn one_raw_stack_of_two_processes_is_two_stacks_where_its_addresses_mean_two_things() {
        let (mut aggregate, processes) = (Aggregate::default(), processes());
        aggregate.add_user_stack(stack(5, &[0x10_010, 0x90_010].map(PackedFrame::absolute)));
        add(&mut aggregate, &processes, 1, 5);
        add(&mut aggregate, &processes, 2, 5);
        let file = processes.files().by_number(1).expect("the file");
        let stacks: Vec<_> =
            aggregate.user_stacks().iter().map(|stack| (&stack.frames[..], stack.fault)).collect();
        let whole = [UserFrame::File { file, offset: 0x410 }, UserFrame::Jit { address: 0x90_010 }];
        let lost = [UserFrame::Unmapped { address: 0x10_010 }, UserFrame::Jit { address: 0x90_010 }];
        assert_eq!(stacks, [(&whole[..], Fault::COMPLETE), (&lost[..], Fault::COMPLETE)]);
    }

    #[test]
    fn a_frame_normalised_in_the_kernel_and_one_normalised_here_are_the_same_stack() {
        let (mut aggregate, processes) = (Aggregate::default(), processes());
        aggregate.add_user_stack(stack(5, &[PackedFrame::absolute(0x10_010)]));
        aggregate.add_user_stack(stack(6, &[PackedFrame::file(1, 0x410)]));
        for id in [5, 6, 6] {
            add(&mut aggregate, &processes, 1, id);
        }
        let weights: Vec<_> = aggregate.counted().map(|(_, counted)| counted.weight).collect();
        assert_eq!((weights, aggregate.n_samples()), (vec![3], 3));
    }

    #[test]
    fn a_stack_that_is_not_repeated_is_counted_and_forgotten() {
        let (mut aggregate, processes) = (Aggregate::default(), processes());
        for id in 0..100 {
            aggregate.add_user_stack(stack(id, &[PackedFrame::file(1, 0x410)]));
            add(&mut aggregate, &processes, 1, id | UNREPEATED_STACK);
        }
        assert_eq!((aggregate.n_samples(), aggregate.n_stacks_missing()), (100, 0));
        assert_eq!(
            (aggregate.user_stacks().len(), aggregate.raw_user.len(), aggregate.resolved.len()),
            (1, 0, 0)
        );
    }

    #[test]
    fn a_return_address_outside_all_mappings_ends_the_stack_and_a_missing_stack_is_counted() {
        let (mut aggregate, processes) = (Aggregate::default(), processes());
        aggregate.add_user_stack(stack(5, &[0x10_010, 0x1234, 0x10_020].map(PackedFrame::absolute)));
        add(&mut aggregate, &processes, 1, 5);
        add(&mut aggregate, &processes, 1, 404);
        let [found] = aggregate.user_stacks() else { panic!("{:?}", aggregate.user_stacks()) };
        assert_eq!((found.frames.len(), found.fault), (1, Fault::RETURN_UNMAPPED));
        assert_eq!((aggregate.n_samples(), aggregate.n_stacks_missing()), (2, 1));
    }
}
