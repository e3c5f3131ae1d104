//! The dictionary of an OTLP message, made from the tables of pprof.

use std::collections::HashMap;

use opentelemetry_proto::tonic::{
    common::v1::AnyValue,
    profiles::v1development::{
        Function, KeyValueAndUnit, Line, Link, Location, Mapping, ProfilesDictionary, Stack,
    },
};
use prost::Message as _;
use proto::pprof;

use super::{
    otlp::CountedStack,
    otlp_value::{integer, text},
};
use crate::frames::KERNEL_MAPPING;

/// What the conventions of OpenTelemetry call the labels of pprof.
const ATTRIBUTE_OF_LABEL: [(&str, &str); 4] = [
    ("pid", "process.pid"),
    ("process", "process.executable.name"),
    ("tid", "thread.id"),
    ("thread", "thread.name"),
];
const BUILD_ID: &str = "process.executable.build_id.gnu";
const FRAME_TYPE: &str = "profile.frame.type";

/// The index for a number of pprof; the format has no room for more than 2^31 entries, and 0 is none.
pub(super) fn index(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(0)
}

/// The tables. Each begins with an entry that stands for none.
pub(super) struct Dictionary {
    tables: ProfilesDictionary,
    stack_indices: HashMap<Vec<i32>, i32>,
    /// Of the few that are not names of code.
    string_indices: HashMap<String, i32>,
    /// By key and encoded value: the value may be a float, which has no hash.
    attribute_indices: HashMap<(i32, Vec<u8>), i32>,
}

impl Dictionary {
    pub(super) fn new(pprof: &pprof::Profile) -> Self {
        let tables = ProfilesDictionary {
            mapping_table: vec![Mapping::default()],
            location_table: vec![Location::default()],
            function_table: vec![Function::default()],
            link_table: vec![Link::default()],
            string_table: pprof.string_table.clone(),
            attribute_table: vec![KeyValueAndUnit::default()],
            stack_table: vec![Stack::default()],
        };
        let mut it = Self {
            tables,
            stack_indices: HashMap::new(),
            string_indices: HashMap::new(),
            attribute_indices: HashMap::new(),
        };
        it.mappings(pprof);
        it.functions(pprof);
        it.locations(pprof);
        it
    }

    pub(super) fn into_message(self) -> ProfilesDictionary {
        self.tables
    }

    /// The indexes of these attributes.
    pub(super) fn attributes<const N: usize>(&mut self, attributes: [(&str, AnyValue); N]) -> Vec<i32> {
        attributes.into_iter().map(|(key, value)| self.attribute(key, value)).collect()
    }

    /// The samples of all value types together.
    pub(super) fn samples(&mut self, pprof: &pprof::Profile) -> Vec<CountedStack> {
        let mut indices_of: HashMap<Vec<pprof::Label>, Vec<i32>> = HashMap::new();
        let mut samples = Vec::with_capacity(pprof.sample.len());
        for sample in &pprof.sample {
            let attribute_indices = match indices_of.get(&sample.label) {
                Some(known) => known.clone(),
                None => {
                    let new: Vec<i32> = sample.label.iter().map(|label| self.label(pprof, label)).collect();
                    indices_of.insert(sample.label.clone(), new.clone());
                    new
                }
            };
            let stack_index = self.stack(sample.location_id.iter().map(|&id| index(id)).collect());
            samples.push(CountedStack { stack_index, attribute_indices, values: sample.value.clone() });
        }
        samples
    }

    fn stack(&mut self, location_indices: Vec<i32>) -> i32 {
        let next = index(self.tables.stack_table.len());
        let known = *self.stack_indices.entry(location_indices.clone()).or_insert(next);
        if known == next {
            self.tables.stack_table.push(Stack { location_indices });
        }
        known
    }

    /// pprof has the kernel last and ids in the order of handles; an index is a place, so the ids decide.
    fn mappings(&mut self, pprof: &pprof::Profile) {
        let mut in_order: Vec<&pprof::Mapping> = pprof.mapping.iter().collect();
        in_order.sort_by_key(|mapping| mapping.id);
        for mapping in in_order {
            let attribute_indices = match text_at(pprof, mapping.build_id) {
                "" => Vec::new(),
                build_id => self.attributes([(BUILD_ID, text(build_id))]),
            };
            self.tables.mapping_table.push(Mapping {
                memory_start: mapping.memory_start,
                memory_limit: mapping.memory_limit,
                file_offset: mapping.file_offset,
                filename_strindex: index(mapping.filename),
                attribute_indices,
            });
        }
    }

    fn functions(&mut self, pprof: &pprof::Profile) {
        self.tables.function_table.extend(pprof.function.iter().map(|function| Function {
            name_strindex: index(function.name),
            system_name_strindex: index(function.system_name),
            filename_strindex: index(function.filename),
            start_line: function.start_line,
        }));
    }

    fn locations(&mut self, pprof: &pprof::Profile) {
        let [kernel, native] =
            ["kernel", "native"].map(|frame_type| self.attributes([(FRAME_TYPE, text(frame_type))]));
        let kernel_id = pprof.mapping.iter().find(|it| text_at(pprof, it.filename) == KERNEL_MAPPING);
        let kernel_id = kernel_id.map_or(0, |mapping| mapping.id);
        self.tables.location_table.extend(pprof.location.iter().map(|location| Location {
            mapping_index: index(location.mapping_id),
            address: location.address,
            lines: location.line.iter().map(line).collect(),
            attribute_indices: match location.mapping_id {
                0 => Vec::new(),
                id if id == kernel_id => kernel.clone(),
                _ => native.clone(),
            },
        }));
    }

    fn label(&mut self, pprof: &pprof::Profile, label: &pprof::Label) -> i32 {
        let key = text_at(pprof, label.key);
        let known = ATTRIBUTE_OF_LABEL.iter().find(|(name, _)| *name == key);
        let value = if label.str == 0 { integer(label.num) } else { text(text_at(pprof, label.str)) };
        self.attribute(known.map_or(key, |(_, attribute)| attribute), value)
    }

    fn attribute(&mut self, key: &str, value: AnyValue) -> i32 {
        let key_strindex = self.string(key);
        let next = index(self.tables.attribute_table.len());
        let known = *self.attribute_indices.entry((key_strindex, value.encode_to_vec())).or_insert(next);
        if known == next {
            self.tables.attribute_table.push(KeyValueAndUnit {
                key_strindex,
                value: Some(value),
                unit_strindex: 0,
            });
        }
        known
    }

    fn string(&mut self, text: &str) -> i32 {
        if let Some(&known) = self.string_indices.get(text) {
            return known;
        }
        let table = &mut self.tables.string_table;
        let position = table.iter().position(|known| known == text).unwrap_or_else(|| {
            table.push(text.to_owned());
            table.len().saturating_sub(1)
        });
        self.string_indices.insert(text.to_owned(), index(position));
        index(position)
    }
}

fn line(line: &pprof::Line) -> Line {
    Line { function_index: index(line.function_id), line: line.line, column: line.column }
}

fn text_at(pprof: &pprof::Profile, index: i64) -> &str {
    usize::try_from(index).ok().and_then(|index| pprof.string_table.get(index)).map_or("", String::as_str)
}
