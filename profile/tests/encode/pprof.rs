//! pprof is read back with prost and must say what the model says.

use std::{collections::BTreeMap, error::Error, io::Read as _};

use flate2::read::GzDecoder;
use profile::{Labels, Profile, Report, encode};
use prost::Message as _;
use proto::pprof;

use crate::fixture::two_proxies;

/// A sample as a person reads it: labels, functions root first, values.
type Reading = (BTreeMap<String, String>, Vec<String>, Vec<i64>);

fn decoded(profile: &Profile) -> Result<pprof::Profile, Box<dyn Error>> {
    let mut gzipped = Vec::new();
    encode::pprof::write(profile, &mut gzipped)?;
    let mut bytes = Vec::new();
    GzDecoder::new(gzipped.as_slice()).read_to_end(&mut bytes)?;
    Ok(pprof::Profile::decode(bytes.as_slice())?)
}

fn text(file: &pprof::Profile, index: i64) -> Result<&str, Box<dyn Error>> {
    let text = file.string_table.get(usize::try_from(index)?);
    Ok(text.ok_or_else(|| format!("string {index} of {}", file.string_table.len()))?)
}

fn readings_of_file(file: &pprof::Profile) -> Result<Vec<Reading>, Box<dyn Error>> {
    let mut readings = Vec::new();
    for sample in &file.sample {
        let mut labels = BTreeMap::new();
        for label in &sample.label {
            let value =
                if label.str == 0 { label.num.to_string() } else { text(file, label.str)?.to_owned() };
            labels.insert(text(file, label.key)?.to_owned(), value);
        }
        let mut names = Vec::new();
        for id in &sample.location_id {
            let location = file.location.iter().find(|location| location.id == *id);
            for line in &location.ok_or_else(|| format!("no location {id}"))?.line {
                let function = file.function.iter().find(|function| function.id == line.function_id);
                let function = function.ok_or_else(|| format!("no function {}", line.function_id))?;
                names.push(text(file, function.name)?.to_owned());
            }
        }
        names.reverse();
        readings.push((labels, names, sample.value.clone()));
    }
    Ok(readings)
}

fn readings_of_model(profile: &Profile) -> Result<Vec<Reading>, Box<dyn Error>> {
    let mut readings = Vec::new();
    for sample in profile.samples() {
        let thread = profile.thread_at(sample.thread).ok_or("no thread")?;
        let process = profile.process_at(thread.process).ok_or("no process")?;
        let labels = [
            ("process", profile.text(process.name).to_owned()),
            ("pid", process.pid.to_string()),
            ("thread", profile.text(thread.name).to_owned()),
            ("tid", thread.tid.to_string()),
        ];
        let frames = profile.leaf_to_root(sample.stack).filter_map(|frame| profile.frame_at(frame));
        let mut names: Vec<String> = frames.map(|frame| profile.frame_name(frame).into_owned()).collect();
        names.reverse();
        let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        readings.push((labels, names, sample.values.to_vec()));
    }
    Ok(readings)
}

#[test]
fn reading_pprof_back_gives_the_samples_of_the_model() -> Result<(), Box<dyn Error>> {
    let profile = two_proxies()?;
    let readings = readings_of_file(&decoded(&profile)?)?;
    assert_eq!(readings, readings_of_model(&profile)?);
    assert_eq!(readings.len(), 7, "{readings:?}");
    Ok(())
}

#[test]
fn the_totals_of_pprof_are_those_of_the_report() -> Result<(), Box<dyn Error>> {
    let profile = two_proxies()?;
    let file = decoded(&profile)?;
    let mut totals = Vec::new();
    for (index, sample_type) in file.sample_type.iter().enumerate() {
        let total: i64 = file.sample.iter().filter_map(|sample| sample.value.get(index)).sum();
        totals.push((text(&file, sample_type.r#type)?, text(&file, sample_type.unit)?, total));
    }
    let report = Report::new(&profile);
    let expected: Vec<_> =
        report.totals.iter().map(|total| (&*total.kind, &*total.unit, total.value)).collect();
    assert_eq!(totals, expected);
    assert_eq!(totals, [("samples", "count", 90), ("cpu", "nanoseconds", 900_000_000)]);
    Ok(())
}

#[test]
fn an_inlined_function_shares_the_location_of_its_caller_and_comes_first() -> Result<(), Box<dyn Error>> {
    let file = decoded(&two_proxies()?)?;
    let mut lines = Vec::new();
    for location in file.location.iter().filter(|location| location.line.len() > 1) {
        for line in &location.line {
            let function = file.function.iter().find(|function| function.id == line.function_id);
            lines.push((text(&file, function.ok_or("no function")?.name)?, line.line));
        }
    }
    assert_eq!(lines, [("ngx_http_parse_request_line", 113), ("ngx_http_process_request_line", 1071)]);
    Ok(())
}

#[test]
fn mappings_have_files_build_ids_and_honest_flags_and_the_kernel_comes_last() -> Result<(), Box<dyn Error>> {
    let file = decoded(&two_proxies()?)?;
    let mut found = Vec::new();
    for mapping in &file.mapping {
        let flags = [mapping.has_functions, mapping.has_line_numbers, mapping.has_inline_frames];
        found.push((text(&file, mapping.filename)?, text(&file, mapping.build_id)?, flags));
    }
    let expected = [
        ("/usr/sbin/nginx", "0abcdef0", [true, true, true]),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", &"51".repeat(20), [true, false, false]),
        ("/usr/bin/node", "", [true, false, false]),
        ("[kernel.kallsyms]", "", [true, false, false]),
    ];
    assert_eq!(found, expected);
    Ok(())
}

#[test]
fn the_header_of_pprof_tells_when_how_long_and_what_was_lost() -> Result<(), Box<dyn Error>> {
    let file = decoded(&two_proxies()?)?;
    let comments: Result<Vec<_>, _> = file.comment.iter().map(|&comment| text(&file, comment)).collect();
    let expected = [
        "pids 4711, 4800 on edge-1: cpu-clock at 100 Hz",
        "lost: ring buffer full: 2 samples",
        "lost: stack table full: 1 samples",
        "truncated: [truncated: stack memory not readable]: 4 samples",
        "truncated: [no frames]: 1 samples",
        "rate lowered once",
    ];
    assert_eq!(comments?, expected);
    let times = (file.time_nanos, file.duration_nanos, file.period);
    assert_eq!(times, (1_700_000_000_000_000_000, 5_000_000_000, 10_000_000));
    let period_type = file.period_type.ok_or("no period type")?;
    let words = [period_type.r#type, period_type.unit, file.default_sample_type];
    let words: Result<Vec<_>, _> = words.iter().map(|&word| text(&file, word)).collect();
    assert_eq!(words?, ["cpu", "nanoseconds", "cpu"]);
    Ok(())
}

#[test]
fn labels_of_the_whole_are_comments_behind_all_others() -> Result<(), Box<dyn Error>> {
    let profile = two_proxies()?;
    let labels: Labels = [("service.name", "edge"), ("team", "a=b")].into_iter().collect();
    let mut gzipped = Vec::new();
    encode::pprof::write_labelled(&profile, &labels, &mut gzipped)?;
    let mut bytes = Vec::new();
    GzDecoder::new(gzipped.as_slice()).read_to_end(&mut bytes)?;
    let labelled = pprof::Profile::decode(bytes.as_slice())?;
    let plain = decoded(&profile)?;
    let texts = |file: &pprof::Profile| {
        file.comment
            .iter()
            .map(|at| Ok(text(file, *at)?.to_owned()))
            .collect::<Result<Vec<_>, Box<dyn Error>>>()
    };
    let mut expected = texts(&plain)?;
    expected.extend(["service.name=edge".to_owned(), "team=a=b".to_owned()]);
    assert_eq!(texts(&labelled)?, expected);
    assert_eq!(readings_of_file(&labelled)?, readings_of_file(&plain)?);
    Ok(())
}

#[test]
fn the_route_of_a_stack_is_a_label_and_its_first_frame_and_other_stacks_have_none()
-> Result<(), Box<dyn Error>> {
    let mut profile = Profile::new(profile::ValueType::CPU, profile::Meta::default());
    let process = profile.process(7, "nginx");
    let thread = profile.thread(process, 7, "nginx");
    let (route, leaf) = (profile.route("GET /users/{n}"), profile.reason("[waiting for a CPU]"));
    for path in [vec![route, leaf], vec![leaf]] {
        let stack = profile.stack(path);
        profile.add(stack, thread, &[1, 10])?;
    }
    let readings = readings_of_file(&decoded(&profile)?)?;
    let found: Vec<_> = readings
        .iter()
        .map(|(labels, names, _)| (labels.get("route").map(String::as_str), names.len()))
        .collect();
    assert_eq!(found, [(Some("GET /users/{n}"), 2), (None, 1)], "{readings:?}");
    Ok(())
}
