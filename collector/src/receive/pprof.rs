//! pprof files.

use std::collections::HashMap;

use prost::Message as _;
use proto::{log, pprof};

use super::{
    location::{Address, Line},
    unpack,
    value::Origin,
    weigh,
};
use crate::{
    limits::MAX_STACK_FRAMES,
    model::{Builder, FrameText, LabelSet, Room},
    refusal::{Reason, Refusal, Rejected},
};

/// What OpenTelemetry's conventions call the usual labels.
const ATTRIBUTE_OF_LABEL: [(&str, &str); 4] = [
    ("pid", "process.pid"),
    ("process", "process.executable.name"),
    ("tid", "thread.id"),
    ("thread", "thread.name"),
];

/// A file, decoded.
///
/// # Errors
/// If it is none, or a bomb.
pub(super) fn parse(file: &[u8], limit_bytes: u64) -> Result<pprof::Profile, Refusal> {
    let message = unpack::unpack_pprof(file, limit_bytes)?;
    weigh::weigh(&message, &weigh::PPROF)?;
    pprof::Profile::decode(message.as_slice())
        .map_err(|error| Refusal::new(Reason::Malformed, format!("it is no pprof file: {error}")))
}

/// When something was measured, as far as the request says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start_unix_ns: u64,
    pub(super) duration_ns: u64,
}

/// Adds what the file holds: a profile for each of its types. `span` is for a file that says no time.
pub(super) fn add(
    file: &pprof::Profile,
    origin: &Origin,
    span: Span,
    builder: &mut Builder<'_>,
    room: &mut Room,
    rejected: &mut Rejected,
) {
    let n_types = file.sample_type.len();
    let added = Converter::of(file).and_then(|mut converter| converter.profiles(origin, span, builder, room));
    match added {
        Ok(profiles) => profiles.into_iter().for_each(|profile| builder.profile(profile)),
        Err(refusal) => rejected.add(refusal, u64::try_from(n_types.max(1)).unwrap_or(u64::MAX)),
    }
}

struct Converter<'a> {
    file: &'a pprof::Profile,
    locations: HashMap<u64, &'a pprof::Location>,
    functions: HashMap<u64, &'a pprof::Function>,
    mappings: HashMap<u64, &'a pprof::Mapping>,
    frames: HashMap<u64, Vec<u32>>,
    labels: HashMap<&'a [pprof::Label], u32>,
}

impl<'a> Converter<'a> {
    fn of(file: &'a pprof::Profile) -> Result<Self, Refusal> {
        if file.sample_type.is_empty() {
            return Err(Refusal::new(Reason::NoType, "a pprof file that does not say what it counts"));
        }
        Ok(Self {
            file,
            locations: file.location.iter().map(|it| (it.id, it)).collect(),
            functions: file.function.iter().map(|it| (it.id, it)).collect(),
            mappings: file.mapping.iter().map(|it| (it.id, it)).collect(),
            frames: HashMap::new(),
            labels: HashMap::new(),
        })
    }

    fn profiles(
        &mut self,
        origin: &Origin,
        span: Span,
        builder: &mut Builder<'_>,
        room: &mut Room,
    ) -> Result<Vec<log::Profile>, Refusal> {
        let file = self.file;
        let [time_ns, duration_ns] =
            [file.time_nanos, file.duration_nanos].map(|ns| u64::try_from(ns).unwrap_or(0));
        let time_ns = if time_ns == 0 { span.start_unix_ns } else { time_ns };
        let duration_ns = if duration_ns == 0 { span.duration_ns } else { duration_ns };
        let time_unix_ns = builder.time(time_ns, duration_ns)?;
        let source = builder.source(&origin.service, &origin.host, &origin.labels)?;
        let period_type = file.period_type.unwrap_or_default();
        let [period_type, period_unit] =
            [self.text(period_type.r#type)?, self.text(period_type.unit)?].map(|text| builder.string(text));
        room.take_rows(file.sample.len().saturating_mul(file.sample_type.len()))?;
        let mut profiles = Vec::with_capacity(file.sample_type.len());
        for sample_type in &file.sample_type {
            let [name, unit] = [self.text(sample_type.r#type)?, self.text(sample_type.unit)?];
            if name.is_empty() {
                return Err(Refusal::new(Reason::NoType, "a sample type of a pprof file has no name"));
            }
            profiles.push(log::Profile {
                source,
                r#type: builder.string(name),
                unit: builder.string(unit),
                period_type,
                period_unit,
                period: file.period,
                time_unix_ns,
                duration_ns,
                samples: Vec::new(),
            });
        }
        for sample in &file.sample {
            let stack = self.stack(sample, builder, room)?;
            let labels = self.labels(&sample.label, builder)?;
            // Values beyond the types have no meaning; those missing are 0.
            for (profile, &value) in profiles.iter_mut().zip(&sample.value) {
                if value != 0 {
                    profile.samples.push(log::Sample { stack, labels, value });
                }
            }
        }
        Ok(profiles)
    }

    fn stack(
        &mut self,
        sample: &pprof::Sample,
        builder: &mut Builder<'_>,
        room: &mut Room,
    ) -> Result<u32, Refusal> {
        let mut frames: Vec<u32> = Vec::new();
        for &id in &sample.location_id {
            // One more than is kept, so that it is seen to be too deep.
            if frames.len() > MAX_STACK_FRAMES {
                break;
            }
            if !self.frames.contains_key(&id) {
                let new = self.location(id, builder)?;
                self.frames.insert(id, new);
            }
            frames.extend(self.frames.get(&id).into_iter().flatten());
        }
        builder.stack(frames, room)
    }

    fn location(&self, id: u64, builder: &mut Builder<'_>) -> Result<Vec<u32>, Refusal> {
        let location = self.locations.get(&id).ok_or_else(|| missing("location", id))?;
        let none = pprof::Mapping::default();
        let mapping = match location.mapping_id {
            0 => &none,
            id => self.mappings.get(&id).ok_or_else(|| missing("mapping", id))?,
        };
        let frame = FrameText {
            mapping: self.text(mapping.filename)?,
            build_id: self.text(mapping.build_id)?,
            ..FrameText::default()
        };
        let address = Address {
            address: location.address,
            start: mapping.memory_start,
            limit: mapping.memory_limit,
            file_offset: mapping.file_offset,
        };
        let lines = location.line.iter().map(|line| {
            let function = self.functions.get(&line.function_id);
            let function = function.ok_or_else(|| missing("function", line.function_id))?;
            let name = match self.text(function.name)? {
                "" => self.text(function.system_name)?,
                name => name,
            };
            Ok(Line { function: name, file: self.text(function.filename)?, number: line.line })
        });
        address.frames(frame, lines, builder)
    }

    fn labels(&mut self, labels: &'a [pprof::Label], builder: &mut Builder<'_>) -> Result<u32, Refusal> {
        if let Some(&known) = self.labels.get(labels) {
            return Ok(known);
        }
        let mut set = LabelSet::new();
        for label in labels {
            let key = self.text(label.key)?;
            let name =
                ATTRIBUTE_OF_LABEL.iter().find(|(known, _)| *known == key).map_or(key, |(_, name)| name);
            let value = if label.str == 0 { label.num.to_string() } else { self.text(label.str)?.to_owned() };
            if !name.is_empty() {
                set.insert(name.to_owned(), value);
            }
        }
        let index = builder.labels(&set)?;
        self.labels.insert(labels, index);
        Ok(index)
    }

    fn text(&self, index: i64) -> Result<&'a str, Refusal> {
        let table = &self.file.string_table;
        match usize::try_from(index).ok().and_then(|at| table.get(at)) {
            Some(text) => Ok(text),
            None if index == 0 => Ok(""),
            None => {
                let what = format!("there is no string {index}: the table has {}", table.len());
                Err(Refusal::new(Reason::IndexOutOfRange, what))
            }
        }
    }
}

fn missing(what: &str, id: u64) -> Refusal {
    Refusal::new(Reason::IndexOutOfRange, format!("there is no {what} {id}"))
}
