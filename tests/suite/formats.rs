//! The forms of a profile, read by readers that are not ours where there are such.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use quick_xml::{Reader, events::Event};
use serde_json::Value;
use tempfile::TempDir;
use tests::{agent, folded::Folded, paths, process::Finished, report::Report};

use crate::support::{args, build_id, pid_args, target};

/// Records hot321 into `file`; the report goes to standard output.
fn record(file: &str) -> Result<(TempDir, PathBuf, Report)> {
    let hot = target("hot321")?;
    let dir = tempfile::tempdir()?;
    let mut options = args(&["record", "-F", "1999", "-d", "1s", "--report", "json", "-o", file]);
    options.extend(pid_args(hot.pid(), &[]));
    let finished = agent::run(dir.path(), options)?;
    ensure!(finished.status.success() && finished.stderr.is_empty(), "{finished:?}");
    let report: Report =
        serde_json::from_slice(&finished.stdout).with_context(|| format!("no report: {finished:?}"))?;
    ensure!(report.samples > 100, "too few samples: {report:?}");
    let path = dir.path().join(file);
    Ok((dir, path, report))
}

fn sum_of(report: &Report, kind: &str) -> u64 {
    report.totals.iter().filter(|total| total.kind == kind).map(|total| total.value).sum()
}

#[test]
fn the_flamegraph_is_well_formed_and_says_what_it_shows() -> Result<()> {
    let (_dir, path, report) = record("x.svg")?;
    let text = fs::read_to_string(path)?;
    let mut reader = Reader::from_str(&text);
    reader.config_mut().check_end_names = true;
    let (mut texts, mut in_element) = (Vec::new(), None);
    loop {
        match reader.read_event().with_context(|| format!("not well-formed: {text}"))? {
            Event::Eof => break,
            Event::Start(start) => {
                let id = start.try_get_attribute("id")?.map(|id| id.value.into_owned());
                in_element = Some(id.unwrap_or_default());
            }
            Event::Text(content) => {
                let content = String::from_utf8_lossy(&content).into_owned();
                texts.push((in_element.clone().unwrap_or_default(), content));
            }
            _ => {}
        }
    }
    let text_of = |id: &str| texts.iter().find(|(of, _)| of == id.as_bytes()).map(|(_, text)| text.as_str());
    let title = text_of("title").unwrap_or_default();
    let subtitle = text_of("subtitle").unwrap_or_default();
    assert!(title.contains("hot321") && title.contains("CPU"), "title {title:?}");
    let n_samples = format!("{} samples", report.samples);
    assert!(subtitle.contains("1999 Hz") && subtitle.contains(&n_samples), "subtitle {subtitle:?}");
    for function in ["spin_a (", "spin_b (", "spin_c ("] {
        assert!(texts.iter().any(|(_, text)| text.starts_with(function)), "no {function:?} in {texts:?}");
    }
    Ok(())
}

/// `go tool pprof`, which must have nothing to complain about.
fn pprof(dir: &Path, options: &[&str], file: &Path) -> Result<String> {
    let mut command = Command::new(paths::find("go", "golang-1.19-go")?);
    command.args(["tool", "pprof"]).args(options).arg(file);
    command.env("HOME", dir).env("PPROF_TMPDIR", dir);
    let Output { status, stdout, stderr } = command.output().context("cannot start go")?;
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let messages = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "go tool pprof {options:?}: {status}\n{text}{messages}");
    Ok(text)
}

#[test]
fn go_tool_pprof_reads_the_same_sums_and_functions_as_the_report() -> Result<()> {
    let (dir, path, report) = record("x.pb.gz")?;
    for (options, kind, unit) in [
        (["-top", "-sample_index=samples", "-unit=count"], "samples", ""),
        (["-top", "-sample_index=cpu", "-unit=ns"], "cpu", "ns"),
    ] {
        let top = pprof(dir.path(), &options, &path)?;
        let expected = format!("of {}{unit} total", sum_of(&report, kind));
        assert!(top.contains(&expected), "no {expected:?} in\n{top}");
        // The first line of the table is the heaviest function itself.
        let table = top.split_once("cum%\n").context(top.clone())?.1;
        assert!(table.lines().next().is_some_and(|line| line.ends_with(" spin_a")), "{top}");
    }
    let peek = pprof(dir.path(), &["-peek=spin_a"], &path)?;
    assert!(peek.contains("spin_a") && !peek.contains("spin_b"), "{peek}");
    Ok(())
}

#[test]
fn go_tool_pprof_reads_build_ids_and_labels() -> Result<()> {
    let (dir, path, report) = record("x.pb.gz")?;
    let raw = pprof(dir.path(), &["-raw"], &path)?;
    let build_id = build_id(&paths::program("hot321")?)?;
    let mapping = raw.lines().find(|line| line.contains("/hot321 ") && line.contains(&build_id));
    assert!(mapping.is_some(), "no mapping with build ID {build_id} in\n{raw}");

    let tags = pprof(dir.path(), &["-tags", "-sample_index=samples"], &path)?;
    let process = report.processes.first().context("no process")?;
    let thread = report.threads.first().context("no thread")?;
    for (key, value) in [
        ("process", process.name.clone()),
        ("pid", process.pid.to_string()),
        ("thread", thread.name.clone()),
        ("tid", thread.tid.to_string()),
    ] {
        // ` pid: Total 499` and, below it, `499 ( 100%): 4711`.
        let block = tags.split("\n\n").find(|block| block.trim_start().starts_with(&format!("{key}: Total")));
        let block = block.with_context(|| format!("no label {key} in\n{tags}"))?;
        assert!(block.lines().any(|line| line.trim_end().ends_with(&format!(": {value}"))), "{key}: {block}");
    }
    Ok(())
}

#[test]
fn speedscope_and_json_hold_the_sums_of_the_report() -> Result<()> {
    let (_dir, path, report) = record("x.speedscope.json")?;
    let file: Value = serde_json::from_slice(&fs::read(path)?)?;
    let profiles = file["profiles"].as_array().context("no profiles")?;
    let weights = profiles.iter().flat_map(|profile| profile["weights"].as_array().into_iter().flatten());
    let sum: u64 = weights.filter_map(Value::as_u64).sum();
    assert_eq!(sum, sum_of(&report, "cpu"), "{file}");
    let frames = file["shared"]["frames"].as_array().context("no frames")?;
    assert!(frames.iter().any(|frame| frame["name"] == "spin_a"), "{frames:?}");

    let (_dir, path, report) = record("x.json")?;
    let text = fs::read_to_string(path)?;
    let own: Report = serde_json::from_str(&text).with_context(|| text.clone())?;
    assert_eq!((own.samples, own.processes.len()), (report.samples, report.processes.len()), "{text}");
    Ok(())
}

#[test]
fn otlp_holds_the_sums_of_the_report_for_a_reader_made_of_the_stubs_of_opentelemetry() -> Result<()> {
    let Some(packages) = paths::otlp_packages() else {
        // Not by a macro: the test runner would swallow that.
        let _ = std::io::stderr()
            .write_all(b"\nskipped: no OpenTelemetry stubs (`cargo xtask test` fetches them)\n");
        return Ok(());
    };
    let (_dir, path, report) = record("x.otlp")?;
    let output = Command::new(paths::find("python3", "python3")?)
        .env("PYTHONPATH", packages)
        .arg(paths::otlp_receiver()?)
        .arg("--read")
        .arg(path)
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(seen["totals"]["cpu/nanoseconds"], sum_of(&report, "cpu"), "{seen:#}");
    assert_eq!(seen["totals"]["samples/count"], report.samples, "{seen:#}");
    let functions = seen["functions"].as_array().context("no functions")?;
    assert!(functions.iter().any(|function| function == "spin_a"), "{functions:?}");
    Ok(())
}

#[test]
fn a_profile_on_standard_output_is_alone_there_and_the_report_goes_to_standard_error() -> Result<()> {
    let hot = target("hot321")?;
    let dir = tempfile::tempdir()?;
    for (form, expected) in [("json", "\"samples\":"), ("text", "spin_a")] {
        let mut options = args(&["record", "-F", "199", "-d", "500ms", "--report", form]);
        options.extend(pid_args(hot.pid(), &["-o", "-", "--format", "folded"]));
        let finished = agent::run(dir.path(), options)?;
        assert!(finished.status.success(), "{finished:?}");
        let text = String::from_utf8(finished.stdout.clone())?;
        let folded = Folded::parse(&text).with_context(|| format!("{finished:?}"))?;
        assert!(folded.count(|stack| stack.has("spin_a")) > 2, "{folded}");
        assert!(finished.stderr.contains(expected), "no {expected:?} in {finished:?}");
        assert_eq!(agent::list(dir.path())?, Vec::<PathBuf>::new());
    }
    let mut options = args(&["record", "-F", "199", "-d", "300ms", "--report", "none", "-o", "-"]);
    options.extend(pid_args(hot.pid(), &["--format", "folded"]));
    let finished: Finished = agent::run(dir.path(), options)?;
    assert!(finished.status.success() && finished.stderr.is_empty(), "{finished:?}");
    Ok(())
}
