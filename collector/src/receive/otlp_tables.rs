//! The dictionary of an OTLP profiles message, entry by entry as samples ask for them. No index is believed.

use std::collections::HashMap;

use opentelemetry_proto::tonic::profiles::v1development::{Location, Mapping, ProfilesDictionary};

use super::{
    location::{Address, Line},
    value,
};
use crate::{
    limits::MAX_STACK_FRAMES,
    model::{Builder, FrameText, LabelSet, Room},
    refusal::{Reason, Refusal},
};

const BUILD_IDS: [&str; 3] = [
    "process.executable.build_id.gnu",
    "process.executable.build_id.go",
    "process.executable.build_id.htlhash",
];
const FRAME_TYPE: &str = "profile.frame.type";

/// What of a dictionary is in one batch already.
#[derive(Debug, Default)]
pub(super) struct Seen {
    locations: HashMap<i32, Vec<u32>>,
    stacks: HashMap<i32, u32>,
    labels: HashMap<Vec<i32>, u32>,
}

/// A dictionary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'a>(pub(super) &'a ProfilesDictionary);

impl<'a> Tables<'a> {
    /// A text; 0 is none, also where there is no table.
    pub(super) fn string(self, index: i32) -> Result<&'a str, Refusal> {
        if index == 0 {
            return Ok("");
        }
        entry(&self.0.string_table, index, "string").map(String::as_str)
    }

    pub(super) fn strings(self) -> &'a [String] {
        &self.0.string_table
    }

    /// Attributes by their indexes.
    pub(super) fn attributes(self, indices: &[i32]) -> Result<LabelSet, Refusal> {
        let mut labels = LabelSet::new();
        for &index in indices.iter().filter(|index| **index != 0) {
            let attribute = entry(&self.0.attribute_table, index, "attribute")?;
            let name = self.string(attribute.key_strindex)?;
            let text = attribute.value.as_ref().and_then(|it| value::text(it, self.strings()));
            if let Some(text) = text.filter(|_| !name.is_empty()) {
                labels.insert(name.to_owned(), text);
            }
        }
        Ok(labels)
    }

    /// The labels of a sample.
    pub(super) fn labels(
        self,
        indices: &[i32],
        seen: &mut Seen,
        builder: &mut Builder<'_>,
    ) -> Result<u32, Refusal> {
        if let Some(&known) = seen.labels.get(indices) {
            return Ok(known);
        }
        let labels = builder.labels(&self.attributes(indices)?)?;
        seen.labels.insert(indices.to_vec(), labels);
        Ok(labels)
    }

    /// A stack.
    pub(super) fn stack(
        self,
        index: i32,
        seen: &mut Seen,
        builder: &mut Builder<'_>,
        room: &mut Room,
    ) -> Result<u32, Refusal> {
        if let Some(&known) = seen.stacks.get(&index) {
            return Ok(known);
        }
        let mut frames = Vec::new();
        let locations: &[i32] = match index {
            0 if self.0.stack_table.is_empty() => &[],
            _ => &entry(&self.0.stack_table, index, "stack")?.location_indices,
        };
        for &location in locations {
            // One more than is kept, so that it is seen to be too deep.
            if frames.len() > MAX_STACK_FRAMES {
                break;
            }
            match seen.locations.get(&location) {
                Some(known) => frames.extend_from_slice(known),
                None => {
                    let new = self.location(entry(&self.0.location_table, location, "location")?, builder)?;
                    frames.extend_from_slice(&new);
                    seen.locations.insert(location, new);
                }
            }
        }
        let stack = builder.stack(frames, room)?;
        seen.stacks.insert(index, stack);
        Ok(stack)
    }

    /// The frames of a location: the innermost inlined one first.
    fn location(self, location: &Location, builder: &mut Builder<'_>) -> Result<Vec<u32>, Refusal> {
        let none = Mapping::default();
        let mapping = match location.mapping_index {
            0 => &none,
            index => entry(&self.0.mapping_table, index, "mapping")?,
        };
        let of_mapping = self.attributes(&mapping.attribute_indices)?;
        let of_location = self.attributes(&location.attribute_indices)?;
        let frame = FrameText {
            mapping: self.string(mapping.filename_strindex)?,
            build_id: BUILD_IDS.iter().find_map(|name| of_mapping.get(*name)).map_or("", String::as_str),
            kind: of_location.get(FRAME_TYPE).map_or("", String::as_str),
            ..FrameText::default()
        };
        let address = Address {
            address: location.address,
            start: mapping.memory_start,
            limit: mapping.memory_limit,
            file_offset: mapping.file_offset,
        };
        let lines = location.lines.iter().map(|line| {
            let (name, file) = match line.function_index {
                0 => ("", ""),
                index => {
                    let function = entry(&self.0.function_table, index, "function")?;
                    let name = match self.string(function.name_strindex)? {
                        "" => self.string(function.system_name_strindex)?,
                        name => name,
                    };
                    (name, self.string(function.filename_strindex)?)
                }
            };
            Ok(Line { function: name, file, number: line.line })
        });
        address.frames(frame, lines, builder)
    }
}

fn entry<'a, T>(table: &'a [T], index: i32, what: &str) -> Result<&'a T, Refusal> {
    let at = usize::try_from(index).ok().and_then(|at| table.get(at));
    at.ok_or_else(|| {
        let what = format!("there is no {what} {index}: the table has {}", table.len());
        Refusal::new(Reason::IndexOutOfRange, what)
    })
}
