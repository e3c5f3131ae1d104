//! Processes that are gone when their frames are looked up.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result};
use tests::{
    agent::{self, Recorder, Recording},
    bpf::Objects,
    control_group::{self, ControlGroup},
    paths,
    process::Running,
};

use crate::support::{args, command_args, copy, own_name};

const N_RUNS: usize = 20;
/// Each uses 50 ms of CPU time.
const SAMPLES_PER_RUN: usize = 10;

fn check(recording: &Recording, name: &str) {
    let is_short = |process: &str| process == name;
    let runs = recording.report.processes.iter().filter(|process| is_short(&process.name));
    assert_eq!(runs.count(), N_RUNS, "processes named {name}\n{recording}");
    let n = recording.folded.count(|stack| is_short(&stack.process));
    let expected = N_RUNS * SAMPLES_PER_RUN;
    assert!(n as usize > expected * 4 / 5, "{n} samples of {name}, not {expected}\n{recording}");
    let named =
        recording.folded.share(|stack| is_short(&stack.process), |stack| stack.has("short_lived_work"));
    assert!(named > 0.9, "{named:.3} of the samples of {name} have its function\n{recording}");
    assert_eq!(recording.report.lost, 0, "{recording}");
}

#[test]
fn processes_of_50_ms_that_a_shell_starts_are_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let short = copy("short", dir.path(), &own_name("bzs"))?;
    let script =
        format!("i=0; while [ $i -lt {N_RUNS} ]; do {} >/dev/null; i=$((i+1)); done", short.display());
    let sh = paths::find("sh", "dash")?;
    let recording = agent::record(command_args(&["--frequency", "199"], &sh, &["-c", &script]))?;
    check(&recording, &own_name("bzs"));
    Ok(())
}

#[test]
fn processes_of_50_ms_that_start_later_are_found_by_name_and_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let name = own_name("bzc");
    let short = copy("short", dir.path(), &name)?;
    let recorder = Recorder::start(args(&["--comm", &name, "--frequency", "199", "--duration", "20s"]))?;
    recorder.wait_until_sampling()?;
    for _ in 0..N_RUNS {
        Running::start(&mut Command::new(&short))?.finish(tests::wait::PATIENCE)?;
    }
    recorder.running().signal(libc::SIGINT)?;
    check(&recorder.finish()?, &name);
    Ok(())
}

const N_LIVES: usize = 10_000;
/// Room for a few processes that have not been forgotten yet.
const SLACK_BYTES: u64 = 64 << 10;

/// Runs `/bin/true` in a control group, one after the other.
fn live(group: &ControlGroup, n: usize) -> Result<()> {
    let script = format!("i=0; while [ $i -lt {n} ]; do /bin/true; i=$((i+1)); done");
    let sh = paths::find("sh", "dash")?;
    let mut command = control_group::command_in(group.path(), &sh)?;
    let finished = Running::start(command.args(["-c", &script]))?.finish(Duration::from_secs(120))?;
    assert!(finished.status.success(), "{finished:?}");
    // The agent reads ten times a second.
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}

#[test]
fn ten_thousand_short_lives_leave_nothing_in_the_kernels_tables_and_none_is_lost_uncounted() -> Result<()> {
    let group = ControlGroup::create("lives")?;
    let mut options = args(&["--frequency", "997", "--duration", "200s", "--cgroup"]);
    options.push(group.path().into());
    let recorder = Recorder::start(options)?;
    recorder.wait_until_sampling()?;
    let pid = recorder.running().pid();
    live(&group, 100)?;
    let before = Objects::map_bytes(pid);
    live(&group, N_LIVES)?;
    let after = Objects::map_bytes(pid);
    recorder.running().signal(libc::SIGINT)?;
    let recording = recorder.finish()?;
    assert!(after < before + SLACK_BYTES, "tables grew from {before} to {after} bytes\n{recording}");
    let reported = recording.report.overhead.table_bytes.context("no figure for the tables")?;
    assert!(reported < before + SLACK_BYTES, "{reported} bytes reported, {before} before\n{recording}");
    assert!(recording.report.samples > N_LIVES as u64 / 10, "{recording}");
    assert_eq!((recording.report.lost, recording.report.wrong_sums()), (0, vec![]), "{recording}");
    Ok(())
}
