//! OTLP is read back with prost and must say what the model says.

use std::error::Error;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, any_value::Value},
    profiles::v1development::{ProfilesData, ProfilesDictionary},
};
use profile::{
    Labels, Profile,
    encode::{
        self,
        otlp::Envelope,
        otlp_metrics::{Metric, MetricKind, Number, Point},
    },
};
use prost::Message as _;

use crate::fixture::two_proxies;

type Outcome = Result<(), Box<dyn Error>>;

fn decoded(profile: &Profile) -> Result<ProfilesData, Box<dyn Error>> {
    let mut bytes = Vec::new();
    encode::otlp::write(profile, &mut bytes)?;
    Ok(ProfilesData::decode(bytes.as_slice())?)
}

fn at<T>(table: &[T], index: i32) -> Result<&T, Box<dyn Error>> {
    let entry = usize::try_from(index).ok().and_then(|index| table.get(index));
    Ok(entry.ok_or_else(|| format!("entry {index} of {}", table.len()))?)
}

fn value_text(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::ArrayValue(list)) => list.values.iter().map(value_text).collect::<Vec<_>>().join(" | "),
        other => format!("{other:?}"),
    }
}

fn attributes(tables: &ProfilesDictionary, indices: &[i32]) -> Result<Vec<String>, Box<dyn Error>> {
    let mut texts = Vec::new();
    for &index in indices {
        let entry = at(&tables.attribute_table, index)?;
        let value = entry.value.as_ref().map(value_text).unwrap_or_default();
        texts.push(format!("{}={value}", at(&tables.string_table, entry.key_strindex)?));
    }
    Ok(texts)
}

/// Attributes, functions root first, and the value of a sample.
type Reading = (Vec<String>, Vec<String>, i64);

/// Every sample of one of the profiles.
fn readings(data: &ProfilesData, profile_idx: usize) -> Result<Vec<Reading>, Box<dyn Error>> {
    let tables = data.dictionary.as_ref().ok_or("no dictionary")?;
    let profile = &data.resource_profiles[0].scope_profiles[0].profiles[profile_idx];
    let mut readings = Vec::new();
    for sample in &profile.samples {
        let mut names = Vec::new();
        for &location in &at(&tables.stack_table, sample.stack_index)?.location_indices {
            for line in &at(&tables.location_table, location)?.lines {
                let function = at(&tables.function_table, line.function_index)?;
                names.push(at(&tables.string_table, function.name_strindex)?.clone());
            }
        }
        names.reverse();
        readings.push((attributes(tables, &sample.attribute_indices)?, names, sample.values.iter().sum()));
    }
    Ok(readings)
}

#[test]
fn reading_otlp_back_gives_the_samples_and_totals_of_the_model() -> Outcome {
    let profile = two_proxies()?;
    let data = decoded(&profile)?;
    let tables = data.dictionary.as_ref().ok_or("no dictionary")?;
    let found = &data.resource_profiles[0].scope_profiles[0].profiles;
    let mut words = Vec::new();
    for one in found {
        let sample_type = one.sample_type.ok_or("no type")?;
        let total: i64 = one.samples.iter().flat_map(|sample| &sample.values).sum();
        let [kind, unit] = [sample_type.type_strindex, sample_type.unit_strindex];
        words.push((
            at(&tables.string_table, kind)?.as_str(),
            at(&tables.string_table, unit)?.as_str(),
            total,
        ));
    }
    assert_eq!(words, [("cpu", "nanoseconds", profile.total(1)), ("samples", "count", profile.total(0))]);

    let mut expected = Vec::new();
    for sample in profile.samples() {
        let thread = profile.thread_at(sample.thread).ok_or("no thread")?;
        let process = profile.process_at(thread.process).ok_or("no process")?;
        let labels = vec![
            format!("process.executable.name={}", profile.text(process.name)),
            format!("process.pid={}", process.pid),
            format!("thread.name={}", profile.text(thread.name)),
            format!("thread.id={}", thread.tid),
        ];
        let frames = profile.leaf_to_root(sample.stack).filter_map(|frame| profile.frame_at(frame));
        let mut names: Vec<String> = frames.map(|frame| profile.frame_name(frame).into_owned()).collect();
        names.reverse();
        expected.push((labels, names, sample.values[0]));
    }
    assert_eq!(readings(&data, 1)?, expected);
    assert_eq!(expected.len(), 7, "{expected:?}");
    Ok(())
}

#[test]
fn every_table_begins_with_nothing_and_mappings_and_locations_say_what_they_are() -> Outcome {
    let data = decoded(&two_proxies()?)?;
    let tables = data.dictionary.as_ref().ok_or("no dictionary")?;
    assert_eq!(tables.mapping_table.first(), Some(&Default::default()));
    assert_eq!(tables.location_table.first(), Some(&Default::default()));
    assert_eq!(tables.function_table.first(), Some(&Default::default()));
    assert_eq!(tables.link_table.first(), Some(&Default::default()));
    assert_eq!(tables.string_table.first().map(String::as_str), Some(""));
    assert_eq!(tables.attribute_table.first(), Some(&Default::default()));
    assert_eq!(tables.stack_table.first(), Some(&Default::default()));

    let mut found = Vec::new();
    for location in tables.location_table.iter().skip(1) {
        let mapping = at(&tables.mapping_table, location.mapping_index)?;
        let file = at(&tables.string_table, mapping.filename_strindex)?.as_str();
        let kind = attributes(tables, &location.attribute_indices)?.join(",");
        found.push((file, attributes(tables, &mapping.attribute_indices)?.join(","), kind));
    }
    found.sort();
    found.dedup();
    let native = "profile.frame.type=native".to_owned();
    let build_id = |hex: &str| format!("process.executable.build_id.gnu={hex}");
    let expected = [
        ("", String::new(), String::new()),
        ("/usr/bin/node", String::new(), native.clone()),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", build_id(&"51".repeat(20)), native.clone()),
        ("/usr/sbin/nginx", build_id("0abcdef0"), native),
        ("[kernel.kallsyms]", String::new(), "profile.frame.type=kernel".to_owned()),
    ];
    assert_eq!(found, expected);
    Ok(())
}

#[test]
fn the_resource_is_the_callers_and_each_profile_has_an_id_of_its_own() -> Outcome {
    let resource: Labels = [("service.name", "edge"), ("host.name", "other")].into_iter().collect();
    let message = encode::otlp::message(&two_proxies()?, &Envelope { resource, id: Some([7; 16]) });
    let found = message.resource_profiles[0].resource.clone().ok_or("no resource")?;
    let found: Vec<_> =
        found.attributes.iter().map(|it| (it.key.as_str(), it.value.as_ref().map(value_text))).collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found, [("service.name", text("edge")), ("host.name", text("other"))]);
    let profiles = &message.resource_profiles[0].scope_profiles[0].profiles;
    let ids: Vec<_> = profiles.iter().map(|profile| profile.profile_id.last().copied()).collect();
    assert_eq!(ids, [Some(8), Some(7)]);
    assert!(profiles.iter().all(|profile| profile.profile_id.len() == 16), "{ids:?}");
    Ok(())
}

#[test]
fn metrics_have_their_unit_kind_and_values_and_one_without_values_is_left_out() -> Outcome {
    let point = |value| Point { attributes: Labels::default().with("sink", "a"), unix_ns: 9, value };
    let metric = |name: &str, kind, points| Metric {
        name: name.into(),
        unit: "By".into(),
        description: "Bytes.".into(),
        kind,
        points,
    };
    let metrics = [
        metric("rss", MetricKind::Gauge, vec![point(Number::Integer(5)), point(Number::Float(0.5))]),
        metric("sent", MetricKind::Counter { since_unix_ns: 3 }, vec![point(Number::Integer(1 << 40))]),
        metric("spooled", MetricKind::UpDownCounter { since_unix_ns: 3 }, vec![point(Number::Integer(-1))]),
        metric("none", MetricKind::Gauge, Vec::new()),
    ];
    let message = encode::otlp_metrics::message([(&Labels::default(), metrics.as_slice())], "edge-1");
    crate::golden::check("otlp/metrics.txt", &format!("{message:#?}\n"))
}

#[test]
fn the_message_of_the_small_profile_is_the_one_on_file() -> Outcome {
    crate::golden::check("otlp/two_proxies.txt", &format!("{:#?}\n", decoded(&two_proxies()?)?))
}
