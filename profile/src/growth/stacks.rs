//! The stacks of a profile that took most.
//!
//! A stack ends with who called the allocator, or another function of the C library that touched the memory first:
//! which of `malloc`, `memset` and the caller itself that is falls differently from page to page.

use std::collections::HashMap;

use serde::Serialize;

use crate::{
    frames::Frame,
    model::Profile,
    stacks::StackHandle,
    units::{percent, rounded},
};

/// Names of the C library's files begin so.
const C_LIBRARIES: [&str; 3] = ["libc.so", "libc-", "ld-musl"];
/// What allocates, in the C library and in what takes its place.
const ALLOCATORS: [&str; 8] =
    ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc", "memalign", "valloc", "pvalloc"];
const ALLOCATOR_PREFIXES: [&str; 5] = ["je_", "tc_", "mi_", "__libc_", "_rjem_"];

/// A function on a stack.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct TopFrame {
    /// The name shown for it.
    pub name: String,
    /// The file it lies in, without its folder.
    pub module: Option<String>,
}

/// A stack, and what was taken on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TopStack {
    /// Its functions, root first.
    pub frames: Vec<TopFrame>,
    /// File and offset of its innermost instruction, of one of the stacks that have these functions.
    pub leaf: Option<String>,
    /// What was taken.
    pub value: i64,
    /// Of the sum over all samples.
    pub percent: f64,
}

/// The stacks that took anything, the one that took most first, each with the handles that it stands for: stacks that
/// differ only in the instructions of the same functions, or below the allocator, are one.
#[must_use]
pub fn top_stacks(profile: &Profile, value_idx: usize) -> Vec<(TopStack, Vec<StackHandle>)> {
    let mut by_handle: HashMap<StackHandle, i64> = HashMap::new();
    for sample in profile.samples() {
        let sum = by_handle.entry(sample.stack).or_default();
        *sum = sum.saturating_add(sample.values.get(value_idx).copied().unwrap_or(0));
    }
    let mut by_frames: HashMap<Vec<TopFrame>, (i64, Vec<StackHandle>)> = HashMap::new();
    for (handle, value) in by_handle.into_iter().filter(|(_, value)| *value > 0) {
        let (sum, handles) = by_frames.entry(frames_of(profile, handle)).or_default();
        *sum = sum.saturating_add(value);
        handles.push(handle);
    }
    let total = profile.total(value_idx);
    let mut stacks: Vec<_> = by_frames
        .into_iter()
        .map(|(frames, (value, mut handles))| {
            handles.sort_unstable();
            let n_cut = |handle| profile.leaf_to_root(handle).count().saturating_sub(frames.len());
            let leaf = handles.first().and_then(|handle| profile.leaf_to_root(*handle).nth(n_cut(*handle)));
            let leaf = leaf.and_then(|leaf| place_of(profile, profile.frame_at(leaf)?));
            let percent = rounded(percent(value, total));
            (TopStack { frames, leaf, value, percent }, handles)
        })
        .collect();
    stacks.sort_unstable_by(|(a, by_a), (b, by_b)| b.value.cmp(&a.value).then_with(|| by_a.cmp(by_b)));
    stacks
}

/// `nginx+0x4a210`; of code without a file, nothing.
fn place_of(profile: &Profile, frame: &Frame) -> Option<String> {
    let module = profile.module_name(frame)?;
    Some(format!("{module}+{:#x}", frame.address))
}

fn frames_of(profile: &Profile, stack: StackHandle) -> Vec<TopFrame> {
    let frames = profile.leaf_to_root(stack).filter_map(|frame| profile.frame_at(frame));
    let mut frames: Vec<_> = frames
        .map(|frame| TopFrame {
            name: profile.frame_name(frame).into_owned(),
            module: profile.module_name(frame).map(str::to_owned),
        })
        .collect();
    frames.reverse();
    frames.truncate(n_of_taker(&frames));
    frames
}

/// How many frames, from the root, are those of whoever took the memory.
fn n_of_taker(frames: &[TopFrame]) -> usize {
    let is_library = |frame: &TopFrame| {
        frame.module.as_deref().is_some_and(|module| C_LIBRARIES.iter().any(|it| module.starts_with(it)))
    };
    let n_frames = frames
        .iter()
        .position(|frame| is_allocator(&frame.name))
        .or_else(|| frames.iter().rposition(|frame| !is_library(frame)).map(|last| last + 1));
    // What is the library's from the root on is its own.
    n_frames.filter(|n| frames.iter().take(*n).any(|frame| !is_library(frame))).unwrap_or(frames.len())
}

fn is_allocator(name: &str) -> bool {
    let bare = ALLOCATOR_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    ALLOCATORS.contains(&bare) || name.starts_with("operator new")
}

#[cfg(test)]
mod tests {
    use super::{TopFrame, n_of_taker, top_stacks};
    use crate::{Frame, Mapping, Meta, Profile, ValueType};

    #[test]
    fn a_stack_ends_with_who_called_the_allocator_or_the_c_library() {
        let nginx = |name: &str| TopFrame { name: name.to_owned(), module: Some("nginx".to_owned()) };
        let libc = |name: &str| TopFrame { name: name.to_owned(), module: Some("libc.so.6".to_owned()) };
        let cases = [
            (vec![nginx("main"), nginx("store")], 2),
            (vec![nginx("main"), nginx("store"), libc("malloc"), libc("sysmalloc")], 2),
            (vec![nginx("main"), nginx("store"), libc("__memset_avx2")], 2),
            (vec![nginx("main"), nginx("mi_malloc"), nginx("mi_page")], 1),
            (vec![nginx("main"), nginx("operator new(unsigned long)"), libc("malloc")], 1),
            // Called back by the library: it is not the library that took it.
            (vec![nginx("main"), libc("qsort"), nginx("compare")], 3),
            (vec![libc("start_thread"), libc("malloc")], 2),
            (vec![nginx("malloc")], 1),
            (vec![], 0),
        ];
        for (frames, expected) in cases {
            assert_eq!(n_of_taker(&frames), expected, "{frames:?}");
        }
    }

    #[test]
    fn stacks_of_the_same_functions_are_one_and_the_largest_comes_first() {
        let mut profile = Profile::new([ValueType::fixed("rss_growth", "bytes")], Meta::default());
        let path = profile.intern("/usr/sbin/nginx");
        let nginx = profile.mapping(Mapping::file(path, None));
        let process = profile.process(1, "nginx");
        let thread = profile.thread(process, 1, "nginx");
        for (leaf, address, value) in
            [("store", 0x10, 30), ("parse", 0x90, 50), ("store", 0x18, 120), ("free", 0x20, 0)]
        {
            let frames = ["main", leaf].map(|name| {
                let name = profile.intern(name);
                profile.frame(Frame::native(nginx, address).named(name))
            });
            let stack = profile.stack(frames);
            assert_eq!(profile.add(stack, thread, &[value]), Ok(()));
        }
        let stacks = top_stacks(&profile, 0);
        let found: Vec<_> = stacks
            .iter()
            .map(|(stack, handles)| (&*stack.frames[1].name, stack.value, stack.percent, handles.len()))
            .collect();
        assert_eq!(found, [("store", 150, 75.0, 2), ("parse", 50, 25.0, 1)]);
        assert_eq!(stacks[0].0.frames[0].module.as_deref(), Some("nginx"));
    }
}
