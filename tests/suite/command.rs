//! `agent record -- COMMAND`: its exit status passed on, its samples from the first instruction on.

use anyhow::Result;
use tests::{agent, bpf::Objects, paths};

use crate::support::{args, command_args};

#[test]
fn the_exit_status_of_the_command_is_passed_on() -> Result<()> {
    let sh = paths::find("sh", "dash")?;
    for (script, expected) in
        [("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 128 + 9), ("kill -TERM $$", 128 + 15)]
    {
        let recording = agent::record(command_args(&[], &sh, &["-c", script]))?;
        assert_eq!(recording.status.code(), Some(expected), "{script}\n{recording}");
        assert_eq!(recording.stderr, "", "{script}\n{recording}");
    }
    Ok(())
}

#[test]
fn a_command_that_does_nothing_is_seen_from_its_dynamic_loader_to_its_exit() -> Result<()> {
    let program = paths::find("true", "coreutils")?;
    // A millisecond of life has some samples at this rate only.
    let recording = agent::record(command_args(&["--frequency", "20000"], &program, &[]))?;
    let in_loader = recording
        .report
        .top
        .iter()
        .filter(|top| top.module.as_deref().is_some_and(|module| module.starts_with("ld-linux")));
    let n: u64 = in_loader.map(|top| top.self_value).sum();
    assert!(n > 0, "no sample in the dynamic loader\n{recording}");
    // Between fork and exec it is still the agent, which is not what was asked for.
    let others = recording.folded.count(|stack| stack.process != "true");
    assert_eq!(others, 0, "samples of something else\n{recording}");
    Ok(())
}

#[test]
fn the_whole_life_of_a_command_is_sampled() -> Result<()> {
    let recording = agent::record(command_args(&["--frequency", "997"], &paths::program("short")?, &[]))?;
    // 50 ms of CPU time in one function.
    let n = recording.folded.count(|stack| stack.has("short_lived_work"));
    assert!((40..=60).contains(&n), "{n} samples in short_lived_work, not 50\n{recording}");
    assert_eq!(recording.report.lost, 0, "{recording}");
    Ok(())
}

#[test]
fn a_command_that_does_not_exist_is_named_in_one_line_and_leaves_nothing() -> Result<()> {
    let before = Objects::all()?;
    let dir = tempfile::tempdir()?;
    let finished = agent::run(dir.path(), args(&["record", "-o", "x.svg", "--", "/no/such/program", "-x"]))?;
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
    assert!(finished.stderr.starts_with("agent: "), "{finished:?}");
    for part in ["/no/such/program", "No such file"] {
        assert!(finished.stderr.contains(part), "no {part:?} in {finished:?}");
    }
    assert_eq!(agent::list(dir.path())?, Vec::<std::path::PathBuf>::new());
    before.nothing_left_since()
}

#[test]
fn a_command_that_outlives_the_duration_is_ended_and_its_status_passed_on() -> Result<()> {
    let program = paths::program("hot321")?;
    let recording = agent::record(command_args(&["--duration", "500ms"], &program, &["60"]))?;
    assert_eq!(recording.status.code(), Some(128 + 15), "{recording}");
    assert!(recording.folded.count(|stack| stack.has("spin_a")) > 0, "{recording}");
    Ok(())
}
