//! The pprof format, gzipped protobuf: for `go tool pprof`, Pyroscope, Parca and the rest.
//!
//! A frame without a symbol gets a function that is called by its file and offset (`nginx+0x4a210`), since
//! viewers show nothing at all for a bare address. `has_functions` still tells the truth: it is set for a
//! mapping as soon as one real symbol of it is known. Readers then leave the mapping alone; one without any
//! symbol they may try to symbolize themselves, and `go tool pprof` says so when it does not find the file.

use std::{collections::BTreeMap, io};

use flate2::{Compression, write::GzEncoder};
use prost::Message as _;
use proto::pprof::{self, Label, Sample, ValueType};

use super::{
    EncodeError,
    address_layout::AddressLayout,
    pprof_tables::{CodeTables, StringTable, next_id},
    writing,
};
use crate::{
    frames::{Frame, KERNEL_MAPPING, Mapping},
    labels::Labels,
    model::Profile,
    samples::ThreadHandle,
};

const FORMAT: &str = "pprof";

/// Writes the profile, with all its values.
pub fn write(profile: &Profile, out: &mut impl io::Write) -> Result<(), EncodeError> {
    write_labelled(profile, &Labels::default(), out)
}

/// The same with labels of the whole profile. The format has no place for these but its comments, one `name=value` each.
pub fn write_labelled(
    profile: &Profile,
    labels: &Labels,
    out: &mut impl io::Write,
) -> Result<(), EncodeError> {
    let mut message = message(profile);
    for (name, value) in labels.iter() {
        message.comment.push(i64::try_from(message.string_table.len()).unwrap_or(0));
        message.string_table.push(format!("{name}={value}"));
    }
    let mut gzip = GzEncoder::new(out, Compression::default());
    io::Write::write_all(&mut gzip, &message.encode_to_vec()).map_err(writing(FORMAT))?;
    gzip.finish().map_err(writing(FORMAT))?;
    Ok(())
}

/// The profile as a message, for whoever sends it in an envelope of their own.
pub fn message(profile: &Profile) -> pprof::Profile {
    let meta = profile.meta();
    let layout = AddressLayout::of(profile);
    let mut strings = StringTable::new();
    let mut code = CodeTables::new(profile, &layout);
    let sample_type: Vec<ValueType> = profile
        .value_types()
        .iter()
        .map(|value_type| ValueType {
            r#type: strings.index(&*value_type.kind),
            unit: strings.index(&*value_type.unit),
        })
        .collect();
    let mut labels_of: BTreeMap<ThreadHandle, Vec<Label>> = BTreeMap::new();
    let sample = profile
        .samples()
        .map(|sample| {
            let leaf_to_root: Vec<_> = profile.leaf_to_root(sample.stack).collect();
            let of_thread = labels_of.entry(sample.thread);
            let location_id = code.stack(&leaf_to_root, &mut strings);
            let mut label = of_thread.or_insert_with(|| labels(profile, sample.thread, &mut strings)).clone();
            if let Some(route) = profile.route_of(sample.stack) {
                label.push(Label {
                    key: strings.index("route"),
                    str: strings.index(route),
                    num: 0,
                    num_unit: 0,
                });
            }
            Sample { location_id, value: sample.values.to_vec(), label }
        })
        .collect();
    // The last type is what viewers show first, by the habit of the format; it is what a period is made of.
    let main_type = sample_type.last().copied();
    let comment = comments(profile).map(|comment| strings.index(comment)).collect();
    pprof::Profile {
        sample,
        mapping: mappings(profile, &layout, &mut strings),
        location: code.locations,
        function: code.functions,
        time_nanos: nanos(meta.start_unix_ns),
        duration_nanos: nanos(meta.duration_ns),
        period_type: main_type,
        period: nanos(meta.period_ns),
        comment,
        default_sample_type: main_type.map_or(0, |main_type| main_type.r#type),
        sample_type,
        string_table: strings.into_texts(),
        ..pprof::Profile::default()
    }
}

fn labels(profile: &Profile, thread: ThreadHandle, strings: &mut StringTable) -> Vec<Label> {
    let Some(thread) = profile.thread_at(thread) else { return Vec::new() };
    let mut labels = Vec::with_capacity(4);
    let mut add = |name_key: &str, name: &str, id_key: &str, id: u32| {
        // A label without text is a number to readers: leave it out.
        if !name.is_empty() {
            labels.push(Label {
                key: strings.index(name_key),
                str: strings.index(name),
                num: 0,
                num_unit: 0,
            });
        }
        labels.push(Label { key: strings.index(id_key), str: 0, num: id.into(), num_unit: 0 });
    };
    if let Some(process) = profile.process_at(thread.process) {
        add("process", profile.text(process.name), "pid", process.pid);
    }
    add("thread", profile.text(thread.name), "tid", thread.tid);
    labels
}

/// Files first, as readers take the first mapping for the main program. Ids follow the handles.
fn mappings(profile: &Profile, layout: &AddressLayout, strings: &mut StringTable) -> Vec<pprof::Mapping> {
    let mut known = vec![Known::default(); profile.mappings().count()];
    for frame in profile.frames() {
        if let Some(known) = frame.mapping.and_then(|mapping| known.get_mut(mapping.index())) {
            known.learn(frame);
        }
    }
    let mut mapping_of = |((index, mapping), (range, known)): ((usize, &Mapping), (_, Known))| {
        let range: crate::frames::AddressRange = range;
        pprof::Mapping {
            id: next_id(index),
            memory_start: range.start,
            memory_limit: range.limit,
            file_offset: range.file_offset,
            filename: strings.index(profile.text(mapping.path)),
            build_id: mapping.build_id.map_or(0, |id| strings.index(id.to_string())),
            has_functions: known.functions,
            has_filenames: known.filenames,
            has_line_numbers: known.line_numbers,
            has_inline_frames: known.inline_frames,
        }
    };
    let in_order = profile.mappings().enumerate().zip(layout.ranges().zip(known));
    let is_kernel = |mapping: &Mapping| profile.text(mapping.path) == KERNEL_MAPPING;
    let (kernel, files): (Vec<_>, Vec<_>) = in_order.partition(|((_, mapping), _)| is_kernel(mapping));
    files.into_iter().chain(kernel).map(&mut mapping_of).collect()
}

/// What is known of some frame of a mapping.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    functions: bool,
    filenames: bool,
    line_numbers: bool,
    inline_frames: bool,
}

impl Known {
    fn learn(&mut self, frame: &Frame) {
        self.functions |= frame.function.is_some();
        self.filenames |= frame.source.is_some();
        self.line_numbers |= frame.source.is_some_and(|source| source.line > 0);
        self.inline_frames |= frame.inlined;
    }
}

fn comments(profile: &Profile) -> impl Iterator<Item = String> {
    let meta = profile.meta();
    let mut run = format!("{} on {}: {}", meta.command, meta.host, meta.event);
    if meta.frequency_hz > 0 {
        run.push_str(&format!(" at {} Hz", meta.frequency_hz));
    }
    let lost = meta.lost.iter().map(|loss| format!("lost: {}: {} samples", loss.cause, loss.count));
    let truncated =
        meta.truncated.iter().map(|cut| format!("truncated: {}: {} samples", cut.reason, cut.count));
    std::iter::once(run).chain(lost).chain(truncated).chain(meta.comments.iter().cloned())
}

/// The format has signed numbers only.
fn nanos(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}
