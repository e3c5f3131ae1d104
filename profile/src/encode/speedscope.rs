//! The speedscope file format: one sampled profile for each thread, over one table of frames.
//!
//! Weights are the first value type in nanoseconds, so that the viewer shows times; without one, the weight of
//! the profile in its own unit.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    io,
};

use serde::Serialize;

use super::{EncodeError, writing};
use crate::{
    frames::Frame,
    model::Profile,
    samples::{Sample, ThreadHandle},
    strings::UNKNOWN,
};

const FORMAT: &str = "speedscope";

/// The largest whole number that JavaScript, the reader of this form, can hold.
const MAX_SUM: u64 = (1 << 53) - 1;

/// Writes the profile.
pub fn write(profile: &Profile, out: &mut impl io::Write) -> Result<(), EncodeError> {
    let (value_idx, unit) = weight_type(profile);
    let (frames, index_of) = frame_table(profile);
    let mut threads: BTreeMap<_, ThreadProfile> = BTreeMap::new();
    for sample in profile.samples() {
        let weight = sample.values.get(value_idx).and_then(|&value| u64::try_from(value).ok()).unwrap_or(0);
        if weight == 0 {
            continue;
        }
        let thread = thread_name(profile, sample.thread);
        let entry = threads.entry((thread.pid, thread.tid, thread.text.clone()));
        let thread = entry.or_insert_with(|| ThreadProfile::new(thread.text, unit));
        thread.add(profile, &sample, weight, &index_of)?;
    }
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: &profile.meta().command,
        exporter: concat!("brazier ", env!("CARGO_PKG_VERSION")),
        active_profile_index: 0,
        shared: Shared { frames },
        profiles: threads.into_values().collect(),
    };
    serde_json::to_writer(&mut *out, &file).map_err(|source| EncodeError::Json { format: FORMAT, source })?;
    writeln!(out).map_err(writing(FORMAT))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: &'a str,
    exporter: &'static str,
    active_profile_index: usize,
    shared: Shared<'a>,
    profiles: Vec<ThreadProfile>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<FrameEntry<'a>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct FrameEntry<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThreadProfile {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

impl ThreadProfile {
    fn new(name: String, unit: &'static str) -> Self {
        Self {
            r#type: "sampled",
            name,
            unit,
            start_value: 0,
            end_value: 0,
            samples: Vec::new(),
            weights: Vec::new(),
        }
    }

    fn add(
        &mut self,
        profile: &Profile,
        sample: &Sample<'_>,
        weight: u64,
        index_of: &[usize],
    ) -> Result<(), EncodeError> {
        let end_value = self.end_value.checked_add(weight).filter(|&sum| sum <= MAX_SUM);
        self.end_value = end_value.ok_or(EncodeError::SumTooLarge { format: FORMAT, limit: MAX_SUM })?;
        let frames = profile.leaf_to_root(sample.stack);
        let mut stack: Vec<usize> = frames.filter_map(|frame| index_of.get(frame.index())).copied().collect();
        stack.reverse();
        self.samples.push(stack);
        self.weights.push(weight);
        Ok(())
    }
}

/// The position of the value to weigh by, and the format's word for its unit.
fn weight_type(profile: &Profile) -> (usize, &'static str) {
    let in_ns = profile.value_types().iter().position(|value_type| value_type.unit == "nanoseconds");
    let value_idx = in_ns.unwrap_or(profile.weight_idx());
    let unit = match profile.value_types().get(value_idx).map(|value_type| &*value_type.unit) {
        Some("nanoseconds") => "nanoseconds",
        Some("bytes") => "bytes",
        _ => "none",
    };
    (value_idx, unit)
}

/// The distinct frames as this format tells them apart, and for each frame of the profile its position.
fn frame_table(profile: &Profile) -> (Vec<FrameEntry<'_>>, Vec<usize>) {
    let mut entries = Vec::new();
    let mut index_of = HashMap::new();
    let by_frame = profile
        .frames()
        .map(|frame| {
            let entry = frame_entry(profile, frame);
            *index_of.entry(entry.clone()).or_insert_with(|| {
                entries.push(entry);
                entries.len() - 1
            })
        })
        .collect();
    (entries, by_frame)
}

/// The source file where it is known, else the file of the code.
fn frame_entry<'a>(profile: &'a Profile, frame: &Frame) -> FrameEntry<'a> {
    let mapping = frame.mapping.and_then(|mapping| profile.mapping_at(mapping));
    let file = frame.source.map(|source| source.file).or(mapping.map(|mapping| mapping.path));
    FrameEntry {
        name: profile.frame_name(frame),
        file: file.map(|file| profile.text(file)),
        line: frame.source.map(|source| source.line),
    }
}

struct ThreadName {
    pid: u32,
    tid: u32,
    text: String,
}

fn thread_name(profile: &Profile, thread: ThreadHandle) -> ThreadName {
    let Some(thread) = profile.thread_at(thread) else {
        return ThreadName { pid: 0, tid: 0, text: UNKNOWN.into() };
    };
    let process = profile.process_at(thread.process);
    let pid = process.map_or(0, |process| process.pid);
    let process_name = process.map_or(UNKNOWN, |process| profile.text(process.name));
    let text = format!("{process_name} ({pid}), thread {} ({})", profile.text(thread.name), thread.tid);
    ThreadName { pid, tid: thread.tid, text }
}
