//! `--event alloc`: who allocates how much, by the stack that called the allocator.

use anyhow::Result;
use tests::{
    agent::{self, Recording},
    paths,
    process::Running,
};

use crate::support::{TAKEN_IN_ROUND, args, command_args, own_name, pid_args};

const MIB: u64 = 1 << 20;

/// Bytes asked for by a function itself.
fn taken_by(recording: &Recording, function: &str) -> u64 {
    recording.folded.count(|stack| stack.frames.last().is_some_and(|leaf| leaf == function))
}

const N_ROUNDS: u64 = 3;
const ROUNDS_ARGUMENT: &str = "3";

/// `grown` goes on in groups of 36 KiB until 64 MiB are reached.
const GROWN_BYTES: u64 = (64 * MIB).div_ceil(36 << 10) * (36 << 10);

/// Processes of `suite/paced.c`, and what each allocates by the clock.
const N_PACED: usize = 12;
const PACED_BYTES_A_SECOND: f64 = 1000.0 * 65_536.0;

#[test]
fn what_each_function_allocates_is_estimated_from_16_bytes_to_16_mebibytes() -> Result<()> {
    let options = ["--event", "alloc", "--interval", "16KiB", "--probe-budget", "1000"];
    let recording = agent::record(command_args(&options, &paths::program("allocate")?, &[ROUNDS_ARGUMENT]))?;
    // Six thousand samples or more: a standard deviation of at most 1.3 %.
    for (function, expected) in TAKEN_IN_ROUND.into_iter().chain([("grown", GROWN_BYTES)]) {
        let (found, expected) = (taken_by(&recording, function), N_ROUNDS * expected);
        let ratio = found as f64 / expected as f64;
        assert!((ratio - 1.0).abs() < 0.05, "{function}: {found}, not {expected}: {ratio:.3}\n{recording}");
    }
    let n_objects = recording.report.total("alloc_objects") as f64;
    let expected = (N_ROUNDS * (2 * MIB + 3 * 65_536 + 2048 + 16 + GROWN_BYTES / (36 << 10) * 8)) as f64;
    assert!((n_objects / expected - 1.0).abs() < 0.06, "{n_objects} objects, not {expected}\n{recording}");
    let report = &recording.report;
    let n_stacks = report.stacks.complete + report.stacks.truncated.values().sum::<u64>();
    assert_eq!(n_stacks, report.samples, "{recording}");
    // A busy machine may come to the ring too late; nothing else is lost.
    let others: Vec<_> = report.lost_by_cause.iter().filter(|(cause, _)| *cause != "ring_full").collect();
    assert!(others.is_empty(), "{others:?}\n{recording}");
    assert_eq!(recording.folded.total(), report.total("alloc_space"), "{recording}");
    Ok(())
}

#[test]
fn a_target_without_an_allocator_is_told_of() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("static");
    paths::compile("programs/deep.c", &["-O2", "-fno-optimize-sibling-calls", "-static", "-s"], &program)?;
    let target = Running::start(std::process::Command::new(&program).arg("20"))?;
    let recording = agent::record(pid_args(target.pid(), &["--event", "alloc", "--duration", "500ms"]))?;
    let comments = &recording.report.comments;
    let said = comments.iter().find(|comment| comment.contains("nothing was probed"));
    // What was tried, and what to do instead.
    for part in
        [&program.to_string_lossy(), "no symbols", ".gnu_debugdata", "/usr/lib/debug", "--event faults"]
    {
        assert!(said.is_some_and(|said| said.contains(part)), "{part} in {comments:?}\n{recording}");
    }
    Ok(())
}

#[test]
fn only_what_is_allocated_within_the_duration_counts_however_long_probing_takes() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let name = own_name("paced");
    let program = dir.path().join(&name);
    paths::compile("suite/paced.c", &["-O2"], &program)?;
    let mut targets = Vec::new();
    for _ in 0..N_PACED {
        targets.push(Running::start(std::process::Command::new(&program).arg("60"))?);
    }
    let recording = agent::record(args(&[
        "--comm",
        &name,
        "--event",
        "alloc",
        "--interval",
        "16KiB",
        "--duration",
        "1s",
    ]))?;
    let expected = N_PACED as f64 * PACED_BYTES_A_SECOND * recording.report.duration_ns as f64 / 1e9;
    let ratio = recording.report.total("alloc_space") as f64 / expected;
    assert!((ratio - 1.0).abs() < 0.12, "{ratio:.3} of {expected} bytes\n{recording}");
    Ok(())
}
