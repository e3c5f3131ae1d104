//! OTLP profiles: turned into a pprof message, which is the same tables with other words, and read as one.

use std::collections::HashMap;

use opentelemetry_proto::tonic::{
    collector::profiles::v1development::ExportProfilesServiceRequest,
    common::v1::any_value::Value,
    profiles::v1development::{KeyValueAndUnit, Profile, ProfilesDictionary, Sample, ValueType},
};
use prost::Message as _;
use proto::pprof;

use super::{MAX_STACK_FRAMES, MAX_TYPES, ReadError, pprof as pprof_form, weigh, weighed};

/// Where the encoder puts what pprof has as comments.
const COMMENT: &str = "pprof.profile.comment";
const HOST: &str = "host.name";
/// Attributes of one sample. More say nothing of its stack.
const MAX_LABELS: usize = 64;
/// As hexadecimal digits.
const MAX_BUILD_ID_BYTES: usize = 128;

pub(super) fn read(content: &[u8]) -> Result<crate::Profile, ReadError> {
    weighed(content, &weigh::PROFILES)?;
    let message = ExportProfilesServiceRequest::decode(content)
        .map_err(|_| ReadError::Unknown("it is neither pprof nor OTLP"))?;
    let Some(dictionary) = message.dictionary else {
        return Err(ReadError::Unknown("it has no dictionary"));
    };
    let mut file = tables(&dictionary);
    let resources = message.resource_profiles.iter();
    let profiles: Vec<&Profile> =
        resources.flat_map(|it| &it.scope_profiles).flat_map(|it| &it.profiles).collect();
    // Readers of OTLP show the first, readers of pprof the last.
    for profile in profiles.iter().rev() {
        add(&mut file, &dictionary, profile)?;
    }
    let mut profile = pprof_form::from_message(&file)?;
    let resources = message.resource_profiles.iter().filter_map(|it| it.resource.as_ref());
    for attribute in resources.flat_map(|resource| &resource.attributes) {
        let value = attribute.value.as_ref().and_then(|value| value.value.as_ref());
        if let Some(Value::StringValue(value)) = value {
            match attribute.key.as_str() {
                HOST => profile.meta_mut().host.clone_from(value),
                key => profile.meta_mut().comments.push(format!("{key}={value}")),
            }
        }
    }
    Ok(profile)
}

/// The tables as pprof has them. An index there is an ID here; the first entry of each stands for none.
fn tables(dictionary: &ProfilesDictionary) -> pprof::Profile {
    let from_one = |len: usize| 1..u64::try_from(len).unwrap_or(u64::MAX);
    let mappings = from_one(dictionary.mapping_table.len()).zip(dictionary.mapping_table.iter().skip(1));
    let functions = from_one(dictionary.function_table.len()).zip(dictionary.function_table.iter().skip(1));
    let locations = from_one(dictionary.location_table.len()).zip(dictionary.location_table.iter().skip(1));
    let mut string_table = dictionary.string_table.clone();
    let mapping = mappings.map(|(id, mapping)| {
        let build_id = attributes(dictionary, &mapping.attribute_indices)
            .find(|(key, _)| key.starts_with("process.executable.build_id"));
        let build_id = match build_id.and_then(|(_, of)| of.value.as_ref()?.value.as_ref()) {
            Some(Value::StringValue(text)) if text.len() <= MAX_BUILD_ID_BYTES => {
                string_table.push(text.clone());
                i64::try_from(string_table.len().saturating_sub(1)).unwrap_or(0)
            }
            _ => 0,
        };
        pprof::Mapping {
            id,
            memory_start: mapping.memory_start,
            memory_limit: mapping.memory_limit,
            file_offset: mapping.file_offset,
            filename: mapping.filename_strindex.into(),
            build_id,
            ..pprof::Mapping::default()
        }
    });
    let mapping = mapping.collect();
    let function = functions.map(|(id, function)| pprof::Function {
        id,
        name: function.name_strindex.into(),
        system_name: function.system_name_strindex.into(),
        filename: function.filename_strindex.into(),
        start_line: function.start_line,
    });
    let location = locations.map(|(id, location)| pprof::Location {
        id,
        mapping_id: index(location.mapping_index),
        address: location.address,
        line: location
            .lines
            .iter()
            .map(|line| pprof::Line {
                function_id: index(line.function_index),
                line: line.line,
                column: line.column,
            })
            .collect(),
        is_folded: false,
    });
    pprof::Profile {
        mapping,
        function: function.collect(),
        location: location.collect(),
        string_table,
        ..pprof::Profile::default()
    }
}

/// Adds the samples of one value type.
fn add(
    file: &mut pprof::Profile,
    dictionary: &ProfilesDictionary,
    profile: &Profile,
) -> Result<(), ReadError> {
    let own = value_type(profile.sample_type.as_ref());
    let known = file.sample_type.iter().position(|known| *known == own);
    if known.is_none() && file.sample_type.len() >= MAX_TYPES {
        return Err(ReadError::TooLarge(format!("more than {MAX_TYPES} types of values")));
    }
    let column = known.unwrap_or_else(|| {
        file.sample_type.push(own);
        file.sample_type.len().saturating_sub(1)
    });
    let ns = |ns: u64| i64::try_from(ns).unwrap_or(0);
    (file.time_nanos, file.duration_nanos) = (ns(profile.time_unix_nano), ns(profile.duration_nano));
    file.period = profile.period;
    file.period_type = profile.period_type.as_ref().map(|of| value_type(Some(of)));
    let comment = attributes(dictionary, &profile.attribute_indices).find(|(key, _)| *key == COMMENT);
    let values = match comment.and_then(|(_, of)| of.value.as_ref()?.value.as_ref()) {
        Some(Value::ArrayValue(list)) if file.comment.is_empty() => list.values.as_slice(),
        _ => &[],
    };
    for text in values.iter().filter_map(|value| value.value.as_ref()) {
        if let Value::StringValue(text) = text {
            file.comment.push(i64::try_from(file.string_table.len()).unwrap_or(0));
            file.string_table.push(text.clone());
        }
    }
    let mut labels_of: HashMap<&[i32], Vec<pprof::Label>> = HashMap::new();
    // One text may stand in a million sets: it is copied once.
    let mut label_of: HashMap<i32, pprof::Label> = HashMap::new();
    for sample in &profile.samples {
        let stack = usize::try_from(sample.stack_index).ok().and_then(|at| dictionary.stack_table.get(at));
        let stack = stack.ok_or(ReadError::Dangling { what: "stack", index: sample.stack_index.into() })?;
        let mut value = vec![0; column];
        value.push(value_of(sample));
        let indices = sample.attribute_indices.as_slice();
        let label = labels_of
            .entry(indices)
            .or_insert_with(|| labels(file, dictionary, indices, &mut label_of))
            .clone();
        let location_indices = stack.location_indices.iter().take(MAX_STACK_FRAMES.saturating_add(1));
        file.sample.push(pprof::Sample {
            location_id: location_indices.map(|&at| index(at)).collect(),
            value,
            label,
        });
    }
    Ok(())
}

fn value_type(of: Option<&ValueType>) -> pprof::ValueType {
    let of = of.copied().unwrap_or_default();
    pprof::ValueType { r#type: of.type_strindex.into(), unit: of.unit_strindex.into() }
}

/// One value, or one for each time; times without values count.
fn value_of(sample: &Sample) -> i64 {
    match sample.values.as_slice() {
        [] => i64::try_from(sample.timestamps_unix_nano.len()).unwrap_or(i64::MAX),
        values => values.iter().fold(0, |sum, &value| sum.saturating_add(value)),
    }
}

fn labels(
    file: &mut pprof::Profile,
    dictionary: &ProfilesDictionary,
    indices: &[i32],
    known: &mut HashMap<i32, pprof::Label>,
) -> Vec<pprof::Label> {
    let mut labels = Vec::new();
    for at in indices.iter().take(MAX_LABELS) {
        if let Some(label) = known.get(at) {
            labels.push(*label);
            continue;
        }
        let Some((_, of)) = attributes(dictionary, std::slice::from_ref(at)).next() else { continue };
        let mut label = pprof::Label { key: of.key_strindex.into(), ..pprof::Label::default() };
        match of.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::IntValue(number)) => label.num = *number,
            Some(Value::StringValue(text)) => {
                label.str = i64::try_from(file.string_table.len()).unwrap_or(0);
                file.string_table.push(text.clone());
            }
            _ => continue,
        }
        known.insert(*at, label);
        labels.push(label);
    }
    labels
}

/// Keys and attributes. An index that leads nowhere is left out: what it names is no part of the stack.
fn attributes<'a>(
    dictionary: &'a ProfilesDictionary,
    indices: &'a [i32],
) -> impl Iterator<Item = (&'a str, &'a KeyValueAndUnit)> {
    indices.iter().filter_map(|&at| {
        let of = dictionary.attribute_table.get(usize::try_from(at).ok()?)?;
        let key = dictionary.string_table.get(usize::try_from(of.key_strindex).ok()?)?;
        Some((key.as_str(), of))
    })
}

fn index(at: i32) -> u64 {
    u64::try_from(at).unwrap_or(u64::MAX)
}
