//! From counted stacks to a profile: names every frame once, then writes the stacks down.

mod allocations;
mod growth;
mod times;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    sync::Arc,
};

pub use growth::{Growth, growth};
pub use values::index_of as value_index;

use abi::{event::Event, fault::Fault};
use profile::{
    BuildId, Frame, FrameHandle, KERNEL_MAPPING, Mapping, MappingHandle, Meta, Profile, StackHandle,
    Truncation,
};

use crate::{
    aggregate::{Aggregate, Counted, Key, UserFrame},
    heap::{Heap, InUse},
    kernel::Source,
    object::ObjectFile,
    off_cpu::ThreadTimes,
    process::{FileId, ImageId, Processes},
    symbolize::{JitProcess, Reason, Resolved, Symbol, Symbolizer},
    unwind::Functions,
};

/// What a profile is made from.
#[derive(Clone, Copy)]
pub struct Collected<'a> {
    /// What was sampled.
    pub source: Source,
    /// Counted stacks.
    pub aggregate: &'a Aggregate,
    /// Processes, images, files.
    pub processes: &'a Processes,
    /// Files that were mapped.
    pub objects: &'a HashMap<FileId, Arc<ObjectFile>>,
    /// Where the functions of files are, by their unwind information.
    pub functions: &'a HashMap<FileId, Functions>,
    /// Where images that make code at run time describe it.
    pub jit: &'a HashMap<ImageId, Arc<JitProcess>>,
    /// Functions of allocators that had a probe.
    pub probed: &'a [(FileId, Range<u64>)],
    /// What lives of the allocations, if that was followed to the end.
    pub heap: Option<&'a Heap>,
    /// Where the time of threads went that no sample tells of, if that was measured.
    pub threads: Option<&'a ThreadTimes>,
    /// The end of the recording, in the time of samples.
    pub end_ns: u64,
}

/// Builds the profile of what was collected, with the values of its source ([`values`]).
#[must_use]
pub fn profile(collected: Collected<'_>, symbolizer: &mut Symbolizer, meta: Meta) -> Profile {
    let (mut profile, frames) = begun(collected, symbolizer, meta);
    let mut all: Vec<(&Key, Counted)> = collected.aggregate.counted().collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    let in_use = collected.heap.map(Heap::in_use).unwrap_or_default();
    let mut allocations = allocations::Summary::of(&collected);
    let measured = times::Measured::of(collected);
    for (key, counted) in all {
        let path = path_of(&mut profile, &frames, collected, key);
        if is_nested(collected, key) {
            let counted = Counted { n_samples: counted.n_samples, ..Counted::default() };
            add(&mut profile, collected, key, path, counted, InUse::default());
            continue;
        }
        if key.event == Event::ALLOCATED {
            allocations.add(&profile, &path, key, counted);
        }
        if let (Some(measured), Event::CPU) = (&measured, key.event) {
            let pid = collected.processes.image(key.image).map_or(0, |image| image.pid);
            let n_ns = counted.weight as f64 * measured.cpu_sample_ns(pid, key.tid);
            // The conversion saturates.
            let counted = Counted { weight: n_ns.round() as u64, ..counted };
            add(&mut profile, collected, key, path, counted, InUse::default());
            continue;
        }
        let in_use = in_use.get(key).copied().unwrap_or_default();
        add(&mut profile, collected, key, path, counted, in_use);
    }
    profile.meta_mut().allocations = allocations.into_report();
    if let Some(measured) = measured {
        measured.add_rest(&mut profile, collected);
        profile.meta_mut().times = Some(measured.into_report(collected));
    }
    let remark = values::remark(&profile, collected.source);
    profile.meta_mut().comments.extend(remark);
    profile
}

/// Has the files' frames named of which parts will be asked for, one part after another: each file is read once.
pub fn name_ahead(
    aggregate: &Aggregate,
    objects: &HashMap<FileId, Arc<ObjectFile>>,
    symbolizer: &mut Symbolizer,
) {
    for (file, offsets) in file_offsets(aggregate) {
        if let Some(object) = objects.get(&file) {
            symbolizer.learn(object, &offsets);
        }
    }
}

/// A profile without samples, and every frame that they may have.
fn begun(collected: Collected<'_>, symbolizer: &mut Symbolizer, meta: Meta) -> (Profile, Frames) {
    let (types, weight_idx) = values::types(collected.source);
    let mut profile = Profile::new(types, meta);
    profile.weigh_by(weight_idx);
    let frames = Frames::resolve(&mut profile, collected, symbolizer);
    for (reason, n_frames) in &frames.nameless {
        profile.meta_mut().comments.push(format!("{n_frames} frames without a name: {reason}"));
    }
    (profile, frames)
}

/// The frames of a key, root first.
fn path_of(profile: &mut Profile, frames: &Frames, collected: Collected<'_>, key: &Key) -> Vec<FrameHandle> {
    let mut path = frames.root_to_leaf(profile, collected.aggregate, key);
    // Who allocates is who called the allocator, which itself is in every stack.
    if matches!(key.event, Event::ALLOCATED | Event::POOLED) && path.len() > 1 {
        path.pop();
    }
    // A blocked stack ends where the kernel waits. These two do not tell by themselves that the thread did not run.
    match key.event {
        Event::IDLE => path.push(profile.reason("[idle]")),
        Event::RUNNABLE => path.push(profile.reason("[waiting for a CPU]")),
        Event::STALLED => path.push(profile.reason("[stalled, no sample]")),
        _ => {}
    }
    path
}

/// Adds what was counted of one key, and gives its stack.
fn add(
    profile: &mut Profile,
    collected: Collected<'_>,
    key: &Key,
    path: Vec<FrameHandle>,
    counted: Counted,
    in_use: InUse,
) -> Option<StackHandle> {
    let image = collected.processes.image(key.image)?;
    let process = profile.process(image.pid, &image.name);
    let thread = profile.thread(process, key.tid, image.thread_name(key.tid));
    let stack = profile.stack(path);
    // The profile was made with the types of these values, so it cannot refuse them.
    let added = profile.add(stack, thread, &values::of(collected.source, key.event, counted, in_use));
    debug_assert!(added.is_ok(), "{added:?}");
    Some(stack)
}

/// Whether an allocator was called by another that has a probe, too: what it gave is counted there. In place of the
/// return address of that other one may be the kernel's, if its return is probed.
fn is_nested(collected: Collected<'_>, key: &Key) -> bool {
    let stack = key.user.and_then(|index| collected.aggregate.user_stacks().get(index as usize));
    let Some(stack) = stack else { return false };
    let is_probed = |frame: &UserFrame| match frame {
        UserFrame::File { file, offset } => {
            collected.probed.iter().any(|(of, offsets)| of == file && offsets.contains(offset))
        }
        UserFrame::Jit { .. } | UserFrame::Unmapped { .. } => false,
    };
    let has_lost_caller = stack.frames.len() == 1 && stack.fault == Fault::RETURN_UNMAPPED;
    let mut frames = stack.frames.iter();
    let is_leaf_probed = frames.next().is_some_and(is_probed);
    is_leaf_probed && has_lost_caller || frames.any(is_probed)
}

/// How many samples ended for which reason; [`Fault::COMPLETE`] for whole stacks. Those that count for nothing are as
/// whole as they need be.
#[must_use]
pub fn outcomes(collected: Collected<'_>) -> HashMap<Fault, u64> {
    let mut outcomes = HashMap::new();
    for (key, counted) in collected.aggregate.counted() {
        let fault =
            if is_nested(collected, key) { Fault::COMPLETE } else { faults(collected.aggregate, key).0 };
        *outcomes.entry(fault).or_default() += counted.n_samples;
    }
    outcomes
}

/// Samples whose stacks are whole, and those that are cut short, by reason, most first.
#[must_use]
pub fn wholeness(collected: Collected<'_>) -> (u64, Vec<Truncation>) {
    let mut n_complete = 0;
    let mut truncated = Vec::new();
    for (fault, count) in outcomes(collected) {
        if fault.is_complete() {
            n_complete += count;
        } else {
            truncated.push(Truncation { reason: fault.sentence().to_owned(), count });
        }
    }
    truncated.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.reason.cmp(&b.reason)));
    (n_complete, truncated)
}

/// Samples in whose stacks some frames had no unwind information.
#[must_use]
pub fn n_frame_pointer_samples(aggregate: &Aggregate) -> u64 {
    let has_steps = |key: &Key| {
        key.user
            .and_then(|index| aggregate.user_stacks().get(index as usize))
            .is_some_and(|stack| stack.has_frame_pointer_steps)
    };
    aggregate.counted().filter(|(key, _)| has_steps(key)).map(|(_, counted)| counted.n_samples).sum()
}

/// The first reason why a sample's stack is not whole, user half first, and that of the kernel half alone.
fn faults(aggregate: &Aggregate, key: &Key) -> (Fault, Fault) {
    let user = key.user.and_then(|index| aggregate.user_stacks().get(index as usize));
    let kernel = key.kernel.and_then(|index| aggregate.kernel_stacks().get(index as usize));
    let user = user.map_or(Fault::COMPLETE, |stack| stack.fault);
    let kernel = kernel.map_or(Fault::COMPLETE, |stack| stack.fault);
    (if user.is_complete() { kernel } else { user }, kernel)
}

/// Every distinct frame, named; several profile frames where functions were inlined, outermost first.
#[derive(Default)]
struct Frames {
    file: HashMap<(FileId, u64), Vec<FrameHandle>>,
    jit: HashMap<(ImageId, u64), Vec<FrameHandle>>,
    kernel: HashMap<u64, Vec<FrameHandle>>,
    /// Frames without a name, by why.
    nameless: BTreeMap<&'static str, u64>,
}

impl Frames {
    /// Names what occurs, each file's offsets in one go.
    fn resolve(profile: &mut Profile, collected: Collected<'_>, symbolizer: &mut Symbolizer) -> Self {
        let Collected { aggregate, objects, functions, processes, jit, .. } = collected;
        let mut frames = Self::default();

        for (file, offsets) in file_offsets(aggregate) {
            let object = objects.get(&file);
            let resolved = match object {
                Some(object) => symbolizer.file_frames(object, &offsets),
                None => vec![Resolved::Missing(Reason::FileUnreadable); offsets.len()],
            };
            let path = processes.files().path(file).map(|path| path.to_string_lossy()).unwrap_or_default();
            let path = profile.intern(&path);
            let build_id = object.and_then(|object| BuildId::new(object.build_id.as_ref()?.as_bytes()));
            let mapping = profile.mapping(Mapping::file(path, build_id));
            for (offset, resolved) in offsets.into_iter().zip(resolved) {
                frames.note(&resolved);
                // Without a name, a function is called by where it begins, so that its samples fall together.
                let place = match resolved {
                    Resolved::Missing(_) => {
                        functions.get(&file).and_then(|functions| functions.start_of(offset))
                    }
                    Resolved::Symbols(_) => None,
                };
                let bare = Frame::native(mapping, place.unwrap_or(offset));
                frames.file.insert((file, offset), named(profile, bare, resolved));
            }
        }

        let addresses: Vec<u64> = kernel_addresses(aggregate).into_iter().collect();
        let kernel = kernel_mapping(profile);
        for (address, resolved) in addresses.iter().zip(symbolizer.kernel_frames(&addresses)) {
            frames.note(&resolved);
            let named = named(profile, Frame::kernel(kernel, *address), resolved);
            frames.kernel.insert(*address, named);
        }

        for (image, addresses) in jit_addresses(aggregate) {
            let addresses: Vec<u64> = addresses.into_iter().collect();
            let resolved = match jit.get(&image) {
                Some(process) => symbolizer.jit_frames(process, &addresses),
                None => vec![Resolved::Missing(Reason::UnknownJit); addresses.len()],
            };
            for (address, resolved) in addresses.into_iter().zip(resolved) {
                frames.note(&resolved);
                let named = named(profile, Frame::jit(address), resolved);
                frames.jit.insert((image, address), named);
            }
        }
        frames
    }

    fn note(&mut self, resolved: &Resolved) {
        if let Resolved::Missing(reason) = resolved {
            *self.nameless.entry(reason.sentence()).or_default() += 1;
        }
    }

    /// The frames of one counted stack. A reason stands where the frames that it explains are missing: on the
    /// root's side of its half.
    fn root_to_leaf(&self, profile: &mut Profile, aggregate: &Aggregate, key: &Key) -> Vec<FrameHandle> {
        let mut path = Vec::new();
        if let Some(stack) = key.user.and_then(|index| aggregate.user_stacks().get(index as usize)) {
            if !stack.fault.is_complete() {
                path.push(profile.reason(&format!("[truncated: {}]", stack.fault.sentence())));
            }
            for frame in stack.frames.iter().rev() {
                match frame {
                    UserFrame::File { file, offset } => {
                        path.extend(self.file.get(&(*file, *offset)).into_iter().flatten());
                    }
                    UserFrame::Jit { address } => {
                        path.extend(self.jit.get(&(key.image, *address)).into_iter().flatten());
                    }
                    UserFrame::Unmapped { .. } => path.push(profile.reason("[address in no known mapping]")),
                }
            }
        }
        if let Some(stack) = key.kernel.and_then(|index| aggregate.kernel_stacks().get(index as usize)) {
            if !stack.fault.is_complete() {
                path.push(profile.reason(&format!("[truncated: {}]", stack.fault.sentence())));
            }
            for address in stack.addresses.iter().rev() {
                path.extend(self.kernel.get(address).into_iter().flatten());
            }
        }
        path
    }
}

fn file_offsets(aggregate: &Aggregate) -> HashMap<FileId, Vec<u64>> {
    let mut offsets: HashMap<FileId, Vec<u64>> = HashMap::new();
    for frame in aggregate.user_stacks().iter().flat_map(|stack| &stack.frames) {
        if let UserFrame::File { file, offset } = frame {
            offsets.entry(*file).or_default().push(*offset);
        }
    }
    for offsets in offsets.values_mut() {
        offsets.sort_unstable();
        offsets.dedup();
    }
    offsets
}

fn kernel_addresses(aggregate: &Aggregate) -> BTreeSet<u64> {
    aggregate.kernel_stacks().iter().flat_map(|stack| &stack.addresses).copied().collect()
}

fn jit_addresses(aggregate: &Aggregate) -> HashMap<ImageId, BTreeSet<u64>> {
    let mut addresses: HashMap<ImageId, BTreeSet<u64>> = HashMap::new();
    for (key, _) in aggregate.counted() {
        let stack = key.user.and_then(|index| aggregate.user_stacks().get(index as usize));
        for frame in stack.into_iter().flat_map(|stack| &stack.frames) {
            if let UserFrame::Jit { address } = frame {
                addresses.entry(key.image).or_default().insert(*address);
            }
        }
    }
    addresses
}

fn kernel_mapping(profile: &mut Profile) -> MappingHandle {
    let path = profile.intern(KERNEL_MAPPING);
    profile.mapping(Mapping::file(path, None))
}

/// The frames of one address, outermost first; the bare frame, if it has no name.
fn named(profile: &mut Profile, bare: Frame, resolved: Resolved) -> Vec<FrameHandle> {
    let symbols = match resolved {
        Resolved::Symbols(symbols) => symbols,
        Resolved::Missing(_) => return vec![profile.frame(bare)],
    };
    let frame = |symbol: &Symbol| {
        let mut frame = bare.named(profile.intern(&symbol.name));
        if let Some(source) = &symbol.source {
            frame = frame.at(profile.intern(&source.file), source.line);
        }
        if symbol.inlined {
            frame = frame.inlined();
        }
        profile.frame(frame)
    };
    symbols.iter().rev().map(frame).collect()
}
