//! Any profile, with names and addresses as an enemy would choose them, gives well-formed output.

use std::io::Read as _;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::profiles::v1development::{Profile as OtlpProfile, ProfilesDictionary};
use profile::{BuildId, Frame, FrameKind, KERNEL_MAPPING, Mapping, Meta, Profile, Report, ValueType, encode};
use proptest::{collection::vec, prelude::*};
use prost::Message as _;
use proto::pprof;
use quick_xml::{Reader, events::Event};

/// A stack root first, as names, kinds and addresses; the thread it was seen on; how often.
type SampleSpec = (Vec<FrameSpec>, u32, i64);
type FrameSpec = (Option<String>, u8, u64, bool);

fn name() -> impl Strategy<Value = String> {
    let nasty = [
        "a;b",
        "two\nlines",
        "]]>",
        "</text><script>alert(1)</script>",
        "\"quoted\" 'and' &amp;",
        "worker 12 13",
        "# comment",
        " ",
        "",
        "--",
        "\u{0}\u{7}\u{1b}[2J",
        "\u{feff}\u{fffe}\u{ffff}\u{2028}",
        "tail_[k]",
        "größe 🦀",
    ];
    prop_oneof![
        proptest::sample::select(nasty.to_vec()).prop_map(str::to_owned),
        any::<String>(),
        vec(any::<u8>(), 0..40).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        "[a-z]{1,3}".prop_map(|part| part.repeat(10_000 / part.len())),
    ]
}

fn samples() -> impl Strategy<Value = Vec<SampleSpec>> {
    let address = prop_oneof![any::<u64>(), 0..0x10_0000_u64, Just(u64::MAX)];
    let frame = (proptest::option::of(name()), 0..5_u8, address, any::<bool>());
    vec((vec(frame, 0..6), 0..4_u32, 0..1_000_i64), 1..12)
}

fn built(samples: &[SampleSpec], process_name: &str) -> Result<Profile, TestCaseError> {
    let meta = Meta { host: process_name.to_owned(), command: process_name.to_owned(), ..Meta::default() };
    let mut profile = Profile::new(ValueType::CPU, meta);
    for (frames, thread, count) in samples {
        let mut stack = Vec::new();
        for (name, kind, address, inlined) in frames {
            let path = match kind {
                0 => KERNEL_MAPPING,
                1 => process_name,
                _ => "/usr/sbin/nginx",
            };
            let path = profile.intern(path);
            let mapping = profile.mapping(Mapping::file(path, BuildId::new(&address.to_le_bytes())));
            let kinds = [FrameKind::Kernel, FrameKind::Native, FrameKind::Native, FrameKind::Jit];
            let kind = kinds.get(usize::from(*kind)).copied().unwrap_or(FrameKind::Reason);
            let function = name.as_deref().map(|name| profile.intern(name));
            let frame = Frame { kind, function, inlined: *inlined, ..Frame::native(mapping, *address) };
            stack.push(profile.frame(frame));
        }
        let stack = profile.stack(stack);
        let process = profile.process(thread % 2, process_name);
        let thread = profile.thread(process, *thread, process_name);
        profile.add(stack, thread, &[*count, count * 1_000]).map_err(|error| fail(&error))?;
    }
    Ok(profile)
}

fn fail(error: &dyn std::error::Error) -> TestCaseError {
    TestCaseError::fail(format!("{error}: {:?}", error.source()))
}

fn text_of(
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), encode::EncodeError>,
) -> Result<String, TestCaseError> {
    let mut out = Vec::new();
    encode(&mut out).map_err(|error| fail(&error))?;
    String::from_utf8(out).map_err(|error| fail(&error))
}

/// Reads the whole document: every tag closed, every attribute and entity readable, no forbidden character.
fn check_xml(svg: &str) -> Result<(), TestCaseError> {
    let mut reader = Reader::from_str(svg);
    let mut n_open = 0;
    loop {
        let event = reader.read_event().map_err(|error| fail(&error))?;
        match &event {
            Event::Start(_) => n_open += 1,
            Event::End(_) => n_open -= 1,
            _ => {}
        }
        match event {
            Event::Eof => break,
            Event::Start(tag) | Event::Empty(tag) => {
                for attribute in tag.attributes() {
                    attribute.map_err(|error| fail(&error))?;
                }
            }
            Event::GeneralRef(entity) => {
                let known =
                    ["amp", "lt", "gt", "quot", "apos"].iter().any(|name| entity.as_ref() == name.as_bytes());
                prop_assert!(known || entity.is_char_ref(), "unknown entity {entity:?}");
            }
            _ => {}
        }
    }
    prop_assert_eq!(n_open, 0, "tags left open");
    let forbidden =
        |c: &char| (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    prop_assert_eq!(svg.chars().find(forbidden), None);
    Ok(())
}

fn config() -> ProptestConfig {
    // No file of past failures: a failing case is written as a test of its own instead.
    ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn folded_counts_add_up_to_the_samples(samples in samples(), process_name in name()) {
        let profile = built(&samples, &process_name)?;
        let folded = text_of(|out| encode::folded::write(&profile, out))?;
        let mut sum = 0;
        for line in folded.lines() {
            let (stack, count) = line.rsplit_once(' ').unwrap_or_default();
            let n_parts = stack.split(';').filter(|part| !part.is_empty() && part.trim() == *part).count();
            let deepest = samples.iter().map(|(frames, ..)| frames.len().max(1) + 1).max().unwrap_or(0);
            prop_assert!((2..=deepest).contains(&n_parts), "{} parts of at most {} in {:?}", n_parts, deepest, line);
            sum += count.parse::<i64>().map_err(|error| fail(&error))?;
        }
        prop_assert_eq!(sum, samples.iter().map(|(_, _, count)| count).sum::<i64>(), "{}", folded);
        prop_assert_eq!(sum, Report::new(&profile).samples);
    }

    #[test]
    fn every_reference_in_otlp_resolves_and_nothing_is_lost(samples in samples(), process_name in name()) {
        let profile = built(&samples, &process_name)?;
        let message = encode::otlp::message(&profile, &encode::otlp::Envelope::default());
        let tables = message.dictionary.unwrap_or_default();
        let profiles = message.resource_profiles.into_iter().flat_map(|it| it.scope_profiles);
        let profiles: Vec<_> = profiles.flat_map(|it| it.profiles).collect();
        for (value_idx, one) in profiles.iter().rev().enumerate() {
            let total: i64 = one.samples.iter().flat_map(|sample| &sample.values).sum();
            prop_assert_eq!(total, profile.total(value_idx));
        }
        check_otlp(&profiles, &tables)?;
    }

    #[test]
    fn every_reference_in_pprof_resolves(samples in samples(), process_name in name()) {
        let profile = built(&samples, &process_name)?;
        let mut gzipped = Vec::new();
        encode::pprof::write(&profile, &mut gzipped).map_err(|error| fail(&error))?;
        let mut bytes = Vec::new();
        GzDecoder::new(gzipped.as_slice()).read_to_end(&mut bytes).map_err(|error| fail(&error))?;
        check_pprof(&pprof::Profile::decode(bytes.as_slice()).map_err(|error| fail(&error))?)?;
    }

    #[test]
    fn no_name_breaks_the_flamegraph(samples in samples(), process_name in name()) {
        let profile = built(&samples, &process_name)?;
        check_xml(&text_of(|out| encode::svg::write(&profile, out))?)?;
    }

    #[test]
    fn no_name_breaks_the_json_forms_or_the_text(samples in samples(), process_name in name()) {
        let profile = built(&samples, &process_name)?;
        let report = text_of(|out| encode::json::write(&profile, out))?;
        let report: serde_json::Value = serde_json::from_str(&report).map_err(|error| fail(&error))?;
        prop_assert_eq!(report["samples"].as_i64(), Some(profile.total(0)));
        let text = Report::new(&profile).to_string();
        prop_assert_eq!(text.chars().find(|c| c.is_control() && *c != '\n'), None, "{}", text);

        let file = text_of(|out| encode::speedscope::write(&profile, out))?;
        check_speedscope(&serde_json::from_str(&file).map_err(|error| fail(&error))?, profile.total(1))?;
    }
}

fn check_pprof(file: &pprof::Profile) -> Result<(), TestCaseError> {
    prop_assert_eq!(file.string_table.first().map(String::as_str), Some(""));
    let labels = file.sample.iter().flat_map(|sample| &sample.label);
    let indexes = labels
        .flat_map(|label| [label.key, label.str, label.num_unit])
        .chain(file.mapping.iter().flat_map(|mapping| [mapping.filename, mapping.build_id]))
        .chain(
            file.function
                .iter()
                .flat_map(|function| [function.name, function.system_name, function.filename]),
        )
        .chain(file.sample_type.iter().flat_map(|sample_type| [sample_type.r#type, sample_type.unit]))
        .chain(file.comment.iter().copied());
    for index in indexes {
        let in_bounds = usize::try_from(index).is_ok_and(|index| index < file.string_table.len());
        prop_assert!(in_bounds, "string {} of {}", index, file.string_table.len());
    }
    for location in &file.location {
        let mapping = file.mapping.iter().find(|mapping| mapping.id == location.mapping_id);
        prop_assert!(mapping.is_some() || location.mapping_id == 0, "no mapping of {:?}", location);
        if let Some(mapping) = mapping {
            let range = mapping.memory_start..=mapping.memory_limit;
            prop_assert!(range.contains(&location.address), "{:x?} outside of {:x?}", location, mapping);
        }
        for line in &location.line {
            let n_found = file.function.iter().filter(|function| function.id == line.function_id).count();
            prop_assert_eq!(n_found, 1, "functions of {:?}", line);
        }
    }
    for id in file.sample.iter().flat_map(|sample| &sample.location_id) {
        prop_assert_eq!(
            file.location.iter().filter(|location| location.id == *id).count(),
            1,
            "location {}",
            id
        );
    }
    Ok(())
}

fn check_otlp(profiles: &[OtlpProfile], tables: &ProfilesDictionary) -> Result<(), TestCaseError> {
    let attributes = tables
        .mapping_table
        .iter()
        .flat_map(|it| &it.attribute_indices)
        .chain(tables.location_table.iter().flat_map(|it| &it.attribute_indices))
        .chain(profiles.iter().flat_map(|it| &it.attribute_indices))
        .chain(profiles.iter().flat_map(|it| &it.samples).flat_map(|it| &it.attribute_indices));
    let lines = tables.location_table.iter().flat_map(|it| &it.lines);
    let references = [
        ("attribute", tables.attribute_table.len(), attributes.copied().collect::<Vec<i32>>()),
        ("function", tables.function_table.len(), lines.map(|it| it.function_index).collect()),
        (
            "mapping",
            tables.mapping_table.len(),
            tables.location_table.iter().map(|it| it.mapping_index).collect(),
        ),
        (
            "location",
            tables.location_table.len(),
            tables.stack_table.iter().flat_map(|it| &it.location_indices).copied().collect(),
        ),
        (
            "stack",
            tables.stack_table.len(),
            profiles.iter().flat_map(|it| &it.samples).map(|it| it.stack_index).collect(),
        ),
        (
            "string",
            tables.string_table.len(),
            tables.function_table.iter().flat_map(|it| [it.name_strindex, it.filename_strindex]).collect(),
        ),
    ];
    for (kind, n_entries, indices) in references {
        let wild =
            indices.iter().find(|&&index| !usize::try_from(index).is_ok_and(|index| index < n_entries));
        prop_assert_eq!(wild, None, "{} of {}", kind, n_entries);
    }
    Ok(())
}

fn check_speedscope(file: &serde_json::Value, total_ns: i64) -> Result<(), TestCaseError> {
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let n_frames = list(&file["shared"]["frames"]).len();
    let mut sum_ns = 0;
    for thread in list(&file["profiles"]) {
        let (samples, weights) = (list(&thread["samples"]), list(&thread["weights"]));
        prop_assert_eq!(samples.len(), weights.len());
        let indexes = samples.iter().flat_map(list);
        for index in indexes {
            let in_range =
                index.as_u64().is_some_and(|index| usize::try_from(index).is_ok_and(|i| i < n_frames));
            prop_assert!(in_range, "frame {} of {}", index, n_frames);
        }
        let weight_ns: i64 = weights.iter().filter_map(serde_json::Value::as_i64).sum();
        prop_assert_eq!(thread["endValue"].as_i64(), Some(weight_ns));
        sum_ns += weight_ns;
    }
    prop_assert_eq!(sum_ns, total_ns);
    Ok(())
}
