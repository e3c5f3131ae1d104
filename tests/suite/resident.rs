//! `--event faults`: what makes resident memory grow, in bytes, by the stack that touched it.

use std::process::Command;

use anyhow::Result;
use tests::{
    agent::{self, Recording},
    paths,
    process::Running,
};

use crate::support::{command_args, pid_args};

const MIB: u64 = 1 << 20;

/// Bytes by which memory grew in a function itself.
fn grown_in(recording: &Recording, function: &str) -> u64 {
    recording.folded.count(|stack| stack.frames.last().is_some_and(|leaf| leaf == function))
}

/// Samples lie 4 KiB apart on average, at random: an estimate of few has a deviation that counts.
fn assert_near(what: &str, found: u64, expected: u64, recording: &Recording) {
    let ratio = found as f64 / expected as f64;
    let tolerance = 0.02 + 4.0 * (4096.0 / expected as f64).sqrt();
    assert!(
        (ratio - 1.0).abs() < tolerance,
        "{what}: {found} bytes, not {expected}: {ratio:.3}\n{recording}"
    );
}

/// Every sample has a stack, whole or with its reason, and none is missing without a word.
fn assert_accounted(recording: &Recording) {
    let report = &recording.report;
    let n_stacks = report.stacks.complete + report.stacks.truncated.values().sum::<u64>();
    assert_eq!((n_stacks, report.lost), (report.samples, 0), "{recording}");
    let grown: u64 =
        ["shared", "file", "anonymous"].map(|kind| report.total(&format!("rss_growth_{kind}"))).iter().sum();
    assert_eq!([grown, recording.folded.total()], [report.total("rss_growth"); 2], "{recording}");
}

#[test]
fn growth_is_counted_in_bytes_by_the_function_that_touched_the_memory() -> Result<()> {
    let options = ["--event", "faults", "--interval", "4KiB"];
    let recording = agent::record(command_args(&options, &paths::program("grow")?, &[]))?;
    for (function, n_mib) in [("touch_anonymous", 48), ("touch_file", 24), ("touch_shared", 12)] {
        assert_near(function, grown_in(&recording, function), n_mib * MIB, &recording);
    }
    let whole = |function: &'static str| {
        recording.folded.share(|stack| stack.has(function), |stack| stack.has(function) && stack.has("main"))
    };
    for function in ["touch_anonymous", "touch_file", "touch_shared"] {
        assert!(whole(function) > 0.99, "{:.3} of {function} is below main\n{recording}", whole(function));
    }
    assert_near("released", recording.report.total("rss_released"), 48 * MIB, &recording);
    let stacks = &recording.report.top_stacks;
    let leaves: Vec<_> = stacks.iter().filter_map(|it| Some(it.frames.last()?.name.as_str())).collect();
    assert!(
        leaves.starts_with(&["touch_anonymous", "touch_file", "touch_shared"]),
        "{leaves:?}\n{recording}"
    );
    assert_near("the first stack", stacks[0].value, 48 * MIB, &recording);
    let percent: f64 = stacks.iter().map(|stack| stack.percent).sum();
    assert!((percent - 100.0).abs() < 1.0, "{percent} %\n{recording}");
    let rest = recording.report.total("rss_growth") - (48 + 24 + 12) * MIB;
    assert!(rest < 8 * MIB, "{rest} bytes elsewhere\n{recording}");
    assert_accounted(&recording);
    Ok(())
}

#[test]
fn the_estimate_from_fewer_samples_is_not_biased() -> Result<()> {
    // 768 MiB in changes of 4 KiB: one in sixteen is sampled.
    let recording = agent::record(command_args(&["--event", "faults"], &paths::program("grow")?, &["16"]))?;
    let n_changes = 16 * 48 * MIB / 4096;
    assert!(recording.report.samples * 8 < n_changes, "{} samples\n{recording}", recording.report.samples);
    assert_near("touch_anonymous", grown_in(&recording, "touch_anonymous"), 16 * 48 * MIB, &recording);
    assert_near("released", recording.report.total("rss_released"), 16 * 48 * MIB, &recording);
    assert_accounted(&recording);
    Ok(())
}

#[test]
fn what_a_running_process_had_before_is_not_counted_as_growth() -> Result<()> {
    let mut command = Command::new(paths::program("grow")?);
    let dir = tempfile::tempdir()?;
    let target = Running::start(command.current_dir(dir.path()).args(["1000", "20"]))?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let recording = agent::record(pid_args(target.pid(), &["--event", "faults", "--duration", "2s"]))?;
    // The 36 MiB that it touched once, and has ever since.
    for function in ["touch_file", "touch_shared"] {
        assert_eq!(grown_in(&recording, function), 0, "{function}\n{recording}");
    }
    let (grown, released) = (recording.report.total("rss_growth"), recording.report.total("rss_released"));
    assert!(grown > 96 * MIB, "too little to say\n{recording}");
    // A recording may begin and end in the middle of a round.
    let n_off = grown.abs_diff(released);
    assert!(n_off < 48 * MIB + grown / 20, "{grown} grown, {released} released\n{recording}");
    assert_accounted(&recording);
    Ok(())
}

/// Records `suite/lent.c`; gives also the bytes by which memory grew in a function that comes last.
fn record_lent(mode: &str, options: &[&str], last: &str) -> Result<(Recording, u64)> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("lent");
    paths::compile("suite/lent.c", &["-O2"], &program)?;
    let options = [&["--event", "faults", "--interval", "4KiB"], options].concat();
    let recording = agent::record(command_args(&options, &program, &[mode]))?;
    let own = grown_in(&recording, last);
    assert_accounted(&recording);
    Ok((recording, own))
}

#[test]
fn what_another_process_takes_away_is_not_released_by_the_next_own_change() -> Result<()> {
    let (recording, own) = record_lent("taken", &[], "read_own")?;
    assert_near("read_own", own, 4 * MIB, &recording);
    let released = recording.report.total("rss_released");
    assert!(released < 2 * MIB, "{released} of the 64 MiB that were taken\n{recording}");
    Ok(())
}

#[test]
fn what_a_child_touches_between_vfork_and_exec_counts_once_and_there() -> Result<()> {
    let (recording, own) = record_lent("lent", &[], "touch_own")?;
    let borrowed = grown_in(&recording, "touch_borrowed");
    assert_near("touch_borrowed", borrowed, 32 * MIB, &recording);
    assert_near("touch_own", own, 4 * MIB, &recording);
    let grown = recording.report.total("rss_growth");
    assert!(grown < (32 + 4 + 8) * MIB, "{grown} grown\n{recording}");
    Ok(())
}

#[test]
fn what_a_child_that_is_not_recorded_touches_does_not_count_for_its_parent() -> Result<()> {
    let (recording, own) = record_lent("lent", &["--no-children"], "touch_own")?;
    assert_near("touch_own", own, 4 * MIB, &recording);
    let grown = recording.report.total("rss_growth");
    assert!(grown < (4 + 8) * MIB, "{grown} grown\n{recording}");
    Ok(())
}
