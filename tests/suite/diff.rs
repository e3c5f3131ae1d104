//! `agent diff` on recordings of a real program: a function made slower is named, and runs that are equal are called so.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{agent, paths, process::Running};

use crate::support::{args, pid_args};

/// As many as it takes for windows to be what is drawn, and one to spare.
const N_RUNS: usize = 7;

/// Records `hot321`, of which one function takes so many percent more, in runs of its own.
fn record(dir: &Path, side: &str, more_percent: &str, n_runs: usize) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for run in 0..n_runs {
        let hot = Running::start(Command::new(paths::program("hot321")?).args(["60", more_percent]))?;
        let file = format!("{side}-{run}.pb.gz");
        let mut options = args(&["record", "-F", "1999", "-d", "3s", "--report", "none", "-o", &file]);
        options.extend(pid_args(hot.pid(), &[]));
        let finished = agent::run(dir, options)?;
        ensure!(finished.status.success(), "{finished:?}");
        files.push(dir.join(file));
    }
    Ok(files)
}

/// The exit code of a comparison, and its report.
fn compare(dir: &Path, baseline: &[PathBuf], comparison: &[PathBuf]) -> Result<(Option<i32>, Value)> {
    let mut options =
        args(&["diff", "--report", "json", "--fail-on-regression", "5%", "--output", "diff.svg"]);
    options.push("--baseline".into());
    options.extend(baseline.iter().map(OsString::from));
    options.push("--comparison".into());
    options.extend(comparison.iter().map(OsString::from));
    let finished = agent::run(dir, options)?;
    let report =
        serde_json::from_slice(&finished.stdout).with_context(|| format!("no report: {finished:?}"))?;
    Ok((finished.status.code(), report))
}

#[test]
fn a_function_made_8_percent_slower_is_named_and_equal_runs_are_called_equal() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let before = record(dir.path(), "before", "0", N_RUNS)?;
    let after = record(dir.path(), "after", "8", N_RUNS)?;

    let (code, report) = compare(dir.path(), &before, &after)?;
    let first = &report["functions"][0];
    assert_eq!(first["name"], "spin_a", "{report:#}");
    assert_eq!(first["self"]["verdict"], "gained", "{report:#}");
    let growth = first["self"]["growth_percent"].as_f64().context("no growth")?;
    // On a busy host the runs scatter, but not by as much as this.
    assert!((3.0..13.0).contains(&growth), "{growth} %: {report:#}");
    assert_eq!(code, Some(3), "{report:#}");
    let drawing = fs::read_to_string(dir.path().join("diff.svg"))?;
    assert!(drawing.contains("spin_a ("), "{drawing}");

    // The halves of one side are equal: of seven runs four are alone, and the chance is that of samples.
    let (few, rest) = before.split_at(4);
    let (code, report) = compare(dir.path(), few, rest)?;
    assert_eq!(
        (code, &report["gained"], &report["lost"]),
        (Some(0), &Value::from(0), &Value::from(0)),
        "{report:#}"
    );
    Ok(())
}
