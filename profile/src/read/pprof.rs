//! pprof files, those of [`crate::encode::pprof`] and of other tools.

use std::collections::HashMap;

use prost::Message as _;
use proto::pprof;

use super::{MAX_FRAMES, MAX_STACK_FRAMES, MAX_TYPES, ReadError, TOO_DEEP, room, weigh, weighed};
use crate::{
    frames::{AddressRange, BuildId, Frame, FrameHandle, FrameKind, KERNEL_MAPPING, Mapping, MappingHandle},
    meta::Meta,
    model::Profile,
    samples::{ThreadHandle, ValueType},
};

pub(super) fn read(content: &[u8]) -> Result<Profile, ReadError> {
    weighed(content, &weigh::PPROF)?;
    let file = pprof::Profile::decode(content).map_err(|_| ReadError::Unknown("it is no pprof file"))?;
    from_message(&file)
}

/// The profile that a decoded file holds.
pub(super) fn from_message(file: &pprof::Profile) -> Result<Profile, ReadError> {
    if file.sample_type.is_empty() {
        return Err(ReadError::NoType);
    }
    if file.sample_type.len() > MAX_TYPES {
        return Err(ReadError::TooLarge(format!("more than {MAX_TYPES} types of values")));
    }
    let texts = Texts(&file.string_table);
    let types = file.sample_type.iter().map(|of| {
        let [kind, unit] = [texts.get(of.r#type)?, texts.get(of.unit)?].map(|text| text.to_owned().into());
        Ok(ValueType { kind, unit })
    });
    let types: Vec<ValueType> = types.collect::<Result<_, _>>()?;
    let mut profile = Profile::new(types, meta(file, texts)?);
    profile.weigh_by(main_type(file));
    let mut reader = Reader {
        texts,
        locations: file.location.iter().map(|it| (it.id, it)).collect(),
        functions: file.function.iter().map(|it| (it.id, it)).collect(),
        mappings: mappings(file, texts, &mut profile)?,
        frames: HashMap::new(),
        threads: HashMap::new(),
        n_frames_left: MAX_FRAMES,
        profile,
    };
    for sample in &file.sample {
        reader.add(sample)?;
    }
    Ok(reader.profile)
}

/// The default type if the file names one, else the last, by the habit of the format.
fn main_type(file: &pprof::Profile) -> usize {
    let named = file.sample_type.iter().position(|it| it.r#type == file.default_sample_type);
    named.filter(|_| file.default_sample_type != 0).unwrap_or(file.sample_type.len().saturating_sub(1))
}

#[derive(Clone, Copy)]
struct Texts<'a>(&'a [String]);

impl<'a> Texts<'a> {
    fn get(self, index: i64) -> Result<&'a str, ReadError> {
        match usize::try_from(index).ok().and_then(|at| self.0.get(at)) {
            Some(text) => Ok(text),
            None if index == 0 => Ok(""),
            None => Err(ReadError::Dangling { what: "string", index }),
        }
    }
}

fn meta(file: &pprof::Profile, texts: Texts<'_>) -> Result<Meta, ReadError> {
    let ns = |ns: i64| u64::try_from(ns).unwrap_or(0);
    let period_is_time = match &file.period_type {
        Some(period_type) => texts.get(period_type.unit)? == "nanoseconds",
        None => false,
    };
    let mut meta = Meta {
        start_unix_ns: ns(file.time_nanos),
        duration_ns: ns(file.duration_nanos),
        period_ns: if period_is_time { ns(file.period) } else { 0 },
        ..Meta::default()
    };
    for &comment in &file.comment {
        meta.comments.push(texts.get(comment)?.to_owned());
    }
    // What our encoder says first: `nginx on edge-1: cpu-clock at 99 Hz`.
    let first = meta.comments.first().and_then(|first| first.split_once(" on "));
    if let Some((command, (host, event))) =
        first.and_then(|(command, rest)| Some((command, rest.split_once(": ")?)))
    {
        let (event, rate) = event.split_once(" at ").unwrap_or((event, ""));
        (meta.command, meta.host, meta.event) = (command.to_owned(), host.to_owned(), event.to_owned());
        meta.frequency_hz = rate.strip_suffix(" Hz").and_then(|rate| rate.parse().ok()).unwrap_or(0);
        meta.comments.remove(0);
    }
    Ok(meta)
}

/// A mapping of the file, and its part of the address space.
#[derive(Clone, Copy)]
struct Placed {
    handle: MappingHandle,
    range: AddressRange,
    is_kernel: bool,
}

fn mappings(
    file: &pprof::Profile,
    texts: Texts<'_>,
    profile: &mut Profile,
) -> Result<HashMap<u64, Placed>, ReadError> {
    let mut placed = HashMap::new();
    for mapping in &file.mapping {
        let path = texts.get(mapping.filename)?;
        let is_kernel = path == KERNEL_MAPPING || path == "[kernel]";
        let path = profile.intern(if is_kernel { KERNEL_MAPPING } else { path });
        let build_id = BuildId::new(&hex(texts.get(mapping.build_id)?));
        let handle = profile.mapping(Mapping::file(path, build_id));
        let range = AddressRange {
            start: mapping.memory_start,
            limit: mapping.memory_limit,
            file_offset: mapping.file_offset,
        };
        placed.insert(mapping.id, Placed { handle, range, is_kernel });
    }
    Ok(placed)
}

/// Bytes as hexadecimal digits; none where they are not. Some tools put other texts there.
fn hex(text: &str) -> Vec<u8> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => {
            digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect()
        }
        _ => Vec::new(),
    }
}

struct Reader<'a> {
    texts: Texts<'a>,
    locations: HashMap<u64, &'a pprof::Location>,
    functions: HashMap<u64, &'a pprof::Function>,
    mappings: HashMap<u64, Placed>,
    /// The frames of a location, innermost first.
    frames: HashMap<u64, Vec<FrameHandle>>,
    threads: HashMap<&'a [pprof::Label], ThreadHandle>,
    n_frames_left: usize,
    profile: Profile,
}

impl<'a> Reader<'a> {
    fn add(&mut self, sample: &'a pprof::Sample) -> Result<(), ReadError> {
        room(&self.profile)?;
        let mut leaf_first: Vec<FrameHandle> = Vec::new();
        for &id in &sample.location_id {
            if leaf_first.len() >= MAX_STACK_FRAMES {
                let reason = self.profile.reason(TOO_DEEP);
                leaf_first.push(reason);
                break;
            }
            if !self.frames.contains_key(&id) {
                let frames = self.location(id)?;
                self.frames.insert(id, frames);
            }
            leaf_first.extend(self.frames.get(&id).into_iter().flatten());
        }
        let too_many = || ReadError::TooLarge(format!("more than {MAX_FRAMES} frames in all its stacks"));
        self.n_frames_left = self.n_frames_left.checked_sub(leaf_first.len()).ok_or_else(too_many)?;
        let stack = self.profile.stack(leaf_first.into_iter().rev());
        let thread = self.thread(&sample.label)?;
        // Values beyond the types have no meaning; those missing are 0.
        let n_types = self.profile.value_types().len();
        let values: Vec<i64> =
            sample.value.iter().copied().chain(std::iter::repeat(0)).take(n_types).collect();
        self.profile.add(stack, thread, &values).map_err(|_| ReadError::NoType)
    }

    fn location(&mut self, id: u64) -> Result<Vec<FrameHandle>, ReadError> {
        let dangling =
            |what, id: u64| ReadError::Dangling { what, index: i64::try_from(id).unwrap_or(i64::MAX) };
        let location = *self.locations.get(&id).ok_or_else(|| dangling("location", id))?;
        let mapping = match location.mapping_id {
            0 => None,
            id => Some(*self.mappings.get(&id).ok_or_else(|| dangling("mapping", id))?),
        };
        let mut frame = match mapping {
            Some(Placed { handle, is_kernel: true, .. }) => Frame::kernel(handle, location.address),
            Some(Placed { handle, range, .. }) => {
                let offset = location
                    .address
                    .checked_sub(range.start)
                    .and_then(|it| it.checked_add(range.file_offset));
                Frame::native(handle, offset.unwrap_or(location.address))
            }
            // Where files are known, code that is in none of them was made at run time.
            None if location.address > 0 && !self.mappings.is_empty() => Frame::jit(location.address),
            None => Frame { kind: FrameKind::Native, ..Frame::jit(location.address) },
        };
        let mut frames = Vec::new();
        let n_lines = location.line.len().min(MAX_STACK_FRAMES);
        for (index, line) in location.line.iter().take(n_lines).enumerate() {
            let function = self.functions.get(&line.function_id);
            let function = *function.ok_or_else(|| dangling("function", line.function_id))?;
            let name = match self.texts.get(function.name)? {
                "" => self.texts.get(function.system_name)?,
                name => name,
            };
            frame.inlined = index + 1 < n_lines;
            frame.source = match (self.texts.get(function.filename)?, u32::try_from(line.line)) {
                ("", _) => None,
                (file, line) => {
                    let file = self.profile.intern(file);
                    Some(crate::frames::Source { file, line: line.unwrap_or(0) })
                }
            };
            let named = self.named(frame, name);
            frames.push(self.profile.frame(named));
        }
        if frames.is_empty() {
            frames.push(self.profile.frame(frame));
        }
        Ok(frames)
    }

    /// The frame with its name; what the encoder wrote in the place of one is none.
    fn named(&mut self, frame: Frame, name: &str) -> Frame {
        let unnamed = Frame { function: None, ..frame };
        let is_bracketed = name.starts_with('[') && name.ends_with(']');
        match frame.mapping {
            None if name == "[jit]" => Frame { kind: FrameKind::Jit, ..unnamed },
            None if is_bracketed => Frame::reason(self.profile.intern(name)),
            _ if name.is_empty() || self.profile.frame_name(&unnamed) == name => unnamed,
            _ => unnamed.named(self.profile.intern(name)),
        }
    }

    fn thread(&mut self, labels: &'a [pprof::Label]) -> Result<ThreadHandle, ReadError> {
        if let Some(&known) = self.threads.get(labels) {
            return Ok(known);
        }
        let (mut names, mut ids) = (["", ""], [0, 0]);
        for label in labels {
            let id = || u32::try_from(label.num).unwrap_or(0);
            match self.texts.get(label.key)? {
                "process" | "process.executable.name" => names[0] = self.texts.get(label.str)?,
                "thread" | "thread.name" => names[1] = self.texts.get(label.str)?,
                "pid" | "process.pid" => ids[0] = id(),
                "tid" | "thread.id" => ids[1] = id(),
                _ => {}
            }
        }
        let process = self.profile.process(ids[0], names[0]);
        let thread = self.profile.thread(process, ids[1], names[1]);
        self.threads.insert(labels, thread);
        Ok(thread)
    }
}
