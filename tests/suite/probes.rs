//! Probes on allocators: put in, counted, taken out, and gone, whatever the target does meanwhile.

use std::process::Command;

use anyhow::{Context as _, Result};
use tests::{agent, bpf::Objects, paths, process::Running};

use crate::support::{command_args, n_altered, pid_args};

#[test]
fn what_is_seen_part_of_the_time_is_scaled_to_the_whole() -> Result<()> {
    let options = ["--event", "alloc", "--interval", "16KiB", "--probe-budget", "7"];
    let recording = agent::record(command_args(&options, &paths::program("churn")?, &["12", "50"]))?;
    let report = &recording.report;
    let probes = report.probes.clone().context("no probes")?;
    assert!(probes.on_percent < 80.0, "{probes:?}\n{recording}");
    let said = &recording.command_output;
    let (_, rate) = said.split_once("allocations, ").context("no rate")?;
    let rate: f64 = rate.split(' ').next().unwrap_or_default().parse().context("no rate")?;
    let found = report.total("alloc_space") as f64 / (report.duration_ns as f64 / 1e9);
    let ratio = found / rate;
    // Some dozens of windows of a steady program: what varies is how late its threads wake up.
    assert!((0.85..1.15).contains(&ratio), "{found} of {rate}: {ratio:.3}\n{recording}");
    let cost: f64 = probes.each.iter().filter_map(|it| it.cpu_percent).sum();
    assert!(cost < 10.0, "{cost} %: {probes:?}\n{recording}");
    Ok(())
}

#[test]
fn a_probe_that_the_kernel_refuses_is_told_of_and_the_others_go_in() -> Result<()> {
    let target = Running::start(Command::new(paths::program("refused")?).arg("30"))?;
    let recording = agent::record(pid_args(target.pid(), &["--event", "alloc", "--duration", "1s"]))?;
    let probes = recording.report.probes.clone().context("no probes")?;
    assert_eq!(probes.refused, 1, "{probes:?}\n{recording}");
    let said = recording.report.comments.iter().find(|it| it.contains("no probe on pvalloc")).cloned();
    let said = said.with_context(|| format!("{:?}", recording.report.comments))?;
    assert!(said.contains("in 1 processes: the kernel"), "{said}");
    let is_there = |function: &str| probes.each.iter().any(|it| it.function == function && it.hits > Some(0));
    assert!(is_there("valloc") && !is_there("pvalloc"), "{probes:?}\n{recording}");
    assert!(!target.has_ended(), "{recording}");
    Ok(())
}

#[test]
fn a_process_executes_another_program_and_ends_while_it_is_probed() -> Result<()> {
    let before = Objects::all()?;
    let churn = paths::program("churn")?;
    let script = format!("sleep 1; exec {} 2 50", churn.display());
    let target = Running::start(Command::new("sh").args(["-c", &script]))?;
    let recording = agent::record(pid_args(target.pid(), &["--event", "alloc", "--interval", "64KiB"]))?;
    let churned = recording.folded.count(|stack| stack.has("churn_one"));
    assert!(churned > 0, "the program that was executed is not seen\n{recording}");
    let ended_early = recording.report.comments.iter().any(|it| it.starts_with("every target had ended"));
    assert!(ended_early, "{:?}\n{recording}", recording.report.comments);
    assert_eq!(recording.report.probes.clone().context("no probes")?.refused, 0, "{recording}");
    let ended = target.finish(tests::wait::PATIENCE)?;
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    before.nothing_left_since()
}

#[test]
fn probes_that_would_cost_more_than_their_budget_are_in_part_of_the_time_and_say_so() -> Result<()> {
    let before = Objects::all()?;
    let target = Running::start(Command::new(paths::program("allocate")?).arg("10000"))?;
    let options = ["--event", "alloc", "--probe-budget", "1", "--duration", "3s"];
    let recording = agent::record(pid_args(target.pid(), &options))?;
    let probes = recording.report.probes.clone().context("no probes")?;
    let has = |text: &str| recording.report.comments.iter().any(|comment| comment.contains(text));
    // One by one, they cannot be put in again.
    let says_so = has("took themselves off") || has("windows at random moments");
    assert!(says_so && probes.on_percent < 50.0, "{:?}\n{recording}", recording.report.comments);
    assert!(!target.has_ended(), "the target did not survive\n{recording}");
    assert_eq!(n_altered(target.pid())?, 0, "{recording}");
    before.nothing_left_since()
}

#[test]
fn children_that_are_not_followed_keep_no_probes() -> Result<()> {
    let target = Running::start(Command::new("sh").args(["-c", "while :; do (sleep 0.2); done"]))?;
    let options = ["--event", "alloc", "--no-children", "--duration", "1s"];
    let recording = agent::record(pid_args(target.pid(), &options))?;
    let probes = recording.report.probes.clone().context("no probes")?;
    assert!(!probes.at_once, "{:?}\n{recording}", recording.report.comments);
    assert_eq!(n_altered(target.pid())?, 0, "{recording}");
    Ok(())
}
