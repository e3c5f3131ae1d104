//! From counted stacks to a profile: names every frame once, then writes the stacks down.

mod allocations;
mod frames;
mod growth;
mod requests;
mod times;
mod values;
mod wakers;

use std::{collections::HashMap, ops::Range, sync::Arc};

use frames::{Frames, file_offsets};

pub use growth::{Growth, growth};
pub use requests::served;
pub use values::index_of as value_index;

use abi::{event::Event, fault::Fault};
use profile::{FrameHandle, Meta, Profile, StackHandle, Truncation};

use crate::{
    aggregate::{Aggregate, Counted, Key, UserFrame},
    heap::{Heap, InUse},
    kernel::Source,
    object::ObjectFile,
    off_cpu::ThreadTimes,
    process::{FileId, ImageId, Processes},
    requests::Report,
    symbolize::{JitProcess, Symbolizer},
    unwind::Functions,
};

/// In the place of a route: the thread was busy with none.
const NO_REQUEST: &str = "[no request]";

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
    /// Routes of requests, by index, if stacks are to begin with them.
    pub routes: Option<&'a [Arc<str>]>,
    /// Requests that were served, if those are what was recorded.
    pub requests: Option<&'a Report>,
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
    if matches!(collected.source, Source::Requests(_)) {
        requests::add(&mut profile, collected);
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

/// The names of stacks, root first.
#[must_use]
pub fn names(collected: Collected<'_>, symbolizer: &mut Symbolizer, keys: &[Key]) -> Vec<Vec<String>> {
    let collected = Collected { routes: None, ..collected };
    let (mut profile, frames) = begun(collected, symbolizer, Meta::default());
    let names = |key: &Key| {
        let path = path_of(&mut profile, &frames, collected, key);
        let frames = path.into_iter().filter_map(|handle| profile.frame_at(handle));
        frames.map(|frame| profile.frame_name(frame).into_owned()).collect()
    };
    keys.iter().map(names).collect()
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
    let has_wakers = collected.source.off_cpu().is_some_and(|it| it.has_wakers);
    if has_wakers && matches!(key.event, Event::BLOCKED | Event::IDLE) {
        wakers::push(&mut path, profile, frames, collected.aggregate, key);
    }
    if let Some(routes) = collected.routes {
        let route = key.route.and_then(|index| routes.get(index as usize));
        path.insert(0, profile.route(route.map_or(NO_REQUEST, |name| name)));
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
