//! Threads under their own names, each with its own samples.

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{agent, paths};

use crate::support::{args, command_args, pid_args, target};

/// Each runs a function that is called after it.
const THREADS: [&str; 4] = ["parse", "route", "compress", "log"];

#[test]
fn threads_are_named_whether_they_are_there_before_or_start_later() -> Result<()> {
    let running = target("threads")?;
    let before = pid_args(running.pid(), &["--frequency", "199", "--duration", "2s"]);
    let later = command_args(&["--frequency", "199"], &paths::program("threads")?, &["2"]);
    for (options, what) in [(before, "there before"), (later, "started later")] {
        let recording = agent::record(options)?;
        let report = &recording.report;
        for name in THREADS {
            let percent: f64 = report.threads.iter().filter(|it| it.name == name).map(|it| it.percent).sum();
            // Nobody else runs the function, so whatever share of the CPUs it had, the thread had.
            let of_loop = report.self_percent(&format!("{name}_loop"));
            let is_right = percent > 1.0 && (percent - of_loop).abs() < 5.0;
            assert!(is_right, "{what}: {name} has {percent:.1} %, its loop {of_loop:.1} %\n{recording}");
        }
    }
    Ok(())
}

#[test]
fn the_samples_of_a_thread_are_its_own() -> Result<()> {
    let running = target("threads")?;
    let dir = tempfile::tempdir()?;
    let mut options = args(&["record", "-o", "x.speedscope.json", "-F", "199", "-d", "1s"]);
    options.extend(pid_args(running.pid(), &[]));
    let finished = agent::run(dir.path(), options)?;
    let file: Value = serde_json::from_slice(&std::fs::read(dir.path().join("x.speedscope.json"))?)
        .with_context(|| format!("{finished:?}"))?;
    let frames = file["shared"]["frames"].as_array().context("no frames")?;
    let name_of = |index: &Value| -> Option<&str> {
        frames.get(usize::try_from(index.as_u64()?).ok()?)?.get("name")?.as_str()
    };
    let profiles = file["profiles"].as_array().context("no profiles")?;
    for thread in THREADS {
        let text = format!("thread {thread} (");
        let own = profiles.iter().find(|it| it["name"].as_str().is_some_and(|name| name.contains(&text)));
        let samples = own.and_then(|it| it["samples"].as_array());
        let samples = samples.with_context(|| format!("no profile of {thread} in {profiles:?}"))?;
        let loops: Vec<&str> = samples
            .iter()
            .flat_map(|sample| sample.as_array().into_iter().flatten())
            .filter_map(name_of)
            .filter(|name| {
                name.ends_with("_loop") && !name.contains("syscall") && !name.contains("user_mode")
            })
            .collect();
        let expected = format!("{thread}_loop");
        assert!(!loops.is_empty(), "thread {thread} has no samples in its loop: {samples:?}");
        assert!(loops.iter().all(|name| *name == expected), "thread {thread} runs {loops:?}");
    }
    Ok(())
}
