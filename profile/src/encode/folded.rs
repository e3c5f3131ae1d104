//! Folded text: one line for each stack, root first, and its count. What flamegraph tools read.
//!
//! `nginx;main;ngx_epoll_process_events;do_epoll_wait_[k] 12`: the first part is the process name, `_[k]` marks
//! kernel frames and `_[i]` inlined ones. Lines are in the order of their parts. Stacks with no weight are left
//! out, as the form has no way to write a negative count.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use super::{
    EncodeError,
    frame_text::{Part, folded_text, frame_text},
    writing,
};
use crate::{
    model::Profile,
    samples::{Sample, ThreadHandle},
    strings::UNKNOWN,
};

const FORMAT: &str = "folded";

/// Writes the profile by its weight.
pub fn write(profile: &Profile, out: &mut impl io::Write) -> Result<(), EncodeError> {
    for (parts, weight) in Folded::of(profile).lines() {
        for (depth, part) in parts.enumerate() {
            let separator = if depth == 0 { "" } else { ";" };
            write!(out, "{separator}{part}").map_err(writing(FORMAT))?;
        }
        writeln!(out, " {weight}").map_err(writing(FORMAT))?;
    }
    Ok(())
}

/// The lines of the folded form before they become text.
pub(super) struct Folded {
    /// Every part of a line once, in order, and what it stands for.
    names: Vec<(String, Part)>,
    /// Stacks as positions in `names`: a deep stack of long names then costs little until it is written.
    stacks: BTreeMap<Vec<usize>, u64>,
}

impl Folded {
    pub(super) fn of(profile: &Profile) -> Self {
        let frame_texts: Vec<String> = profile.frames().map(|frame| frame_text(profile, frame)).collect();
        let process_texts: HashMap<ThreadHandle, String> =
            profile.samples().map(|sample| (sample.thread, process_text(profile, sample.thread))).collect();

        let processes = process_texts.values().map(|text| (text, Part::Process));
        let frames = frame_texts.iter().zip(profile.frames().map(Part::of));
        let mut part_of: BTreeMap<&str, Part> = BTreeMap::new();
        for (text, part) in processes.chain(frames) {
            let known = part_of.entry(text).or_insert(part);
            *known = part.max(*known);
        }
        let position_of: HashMap<&str, usize> =
            part_of.keys().enumerate().map(|(index, &text)| (text, index)).collect();

        let path_of = |sample: &Sample<'_>| -> Vec<usize> {
            let frames = profile.leaf_to_root(sample.stack);
            let frames = frames.filter_map(|frame| frame_texts.get(frame.index()));
            let leaf_first = frames.chain(process_texts.get(&sample.thread));
            let mut path: Vec<usize> =
                leaf_first.filter_map(|text| position_of.get(text.as_str())).copied().collect();
            path.reverse();
            path
        };
        let mut stacks: BTreeMap<Vec<usize>, u64> = BTreeMap::new();
        for sample in profile.samples() {
            let weight = sample.values.get(profile.weight_idx()).copied().unwrap_or(0);
            if let Some(weight) = u64::try_from(weight).ok().filter(|&weight| weight > 0) {
                let sum = stacks.entry(path_of(&sample)).or_default();
                *sum = sum.saturating_add(weight);
            }
        }
        let names = part_of.into_iter().map(|(text, part)| (text.to_owned(), part)).collect();
        Self { names, stacks }
    }

    /// Every part of a line once, and what it stands for.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, Part)> {
        self.names.iter().map(|(text, part)| (text.as_str(), *part))
    }

    /// The parts of every line, root first, and its weight.
    pub(super) fn lines(&self) -> impl Iterator<Item = (impl Iterator<Item = &str>, u64)> {
        self.stacks.iter().map(|(path, &weight)| {
            let parts = path.iter().filter_map(|&index| self.names.get(index));
            (parts.map(|(text, _)| text.as_str()), weight)
        })
    }

    /// The sum of all lines; None if it does not fit.
    pub(super) fn total(&self) -> Option<u64> {
        self.stacks.values().try_fold(0, |sum: u64, &weight| sum.checked_add(weight))
    }
}

fn process_text(profile: &Profile, thread: ThreadHandle) -> String {
    let process = profile.thread_at(thread).and_then(|thread| profile.process_at(thread.process));
    process.map_or_else(|| UNKNOWN.to_owned(), |process| folded_text(profile.text(process.name)))
}
