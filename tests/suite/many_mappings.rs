//! Processes with more pieces of code than fit into a table of the usual size.

use std::{process::Command, time::Duration};

use anyhow::Result;
use tests::{agent, paths, process::Running};

use crate::support::{command_args, pid_args};

const RATE: [&str; 2] = ["--frequency", "499"];

#[test]
fn a_process_with_a_thousand_executable_mappings_is_walked_whole() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("many");
    paths::compile("suite/many_mappings.c", &["-O2", "-fomit-frame-pointer"], &program)?;
    for n in ["60", "100", "1000"] {
        let running = Running::start(Command::new(&program).args([n, "20"]))?;
        std::thread::sleep(Duration::from_millis(300));
        let options = ["--frequency", "499", "--duration", "1s"];
        let recording = agent::record(pid_args(running.pid(), &options))?;
        let whole = recording.folded.share(
            |_| true,
            |stack| ["mapped_inner", "mapped_outer", "main"].iter().all(|name| stack.has(name)),
        );
        assert!(whole > 0.95, "{n} mappings: {whole:.3} of samples lead to main\n{recording}");
        assert!(recording.report.samples > 30, "{n} mappings\n{recording}");
    }
    Ok(())
}

#[test]
fn mappings_made_during_the_recording_are_known_soon() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("many");
    paths::compile("suite/many_mappings.c", &["-O2", "-fomit-frame-pointer"], &program)?;
    let recording = agent::record(command_args(&RATE, &program, &["1000", "1"]))?;
    let whole = recording
        .folded
        .share(|stack| stack.has("mapped_inner"), |stack| stack.has("mapped_outer") && stack.has("main"));
    assert!(whole > 0.95, "{whole:.3} of samples lead to main\n{recording}");
    Ok(())
}

#[test]
fn past_the_bound_a_stack_is_cut_with_a_reason_and_nothing_is_lost() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("many");
    paths::compile("suite/many_mappings.c", &["-O2", "-fomit-frame-pointer"], &program)?;
    let recording = agent::record(command_args(&RATE, &program, &["3000", "1"]))?;
    // Addresses descend with each mapping, so that the last piece is in the table, and the library that called
    // `main` is not.
    let in_piece = |name: &str| name == "mapped_inner";
    let n = recording.folded.count(|stack| stack.user().any(in_piece) && stack.has("main"));
    let cut: u64 = recording.report.stacks.truncated.values().sum();
    assert!(n > 30 && cut > 30, "{n} samples lead to main, {cut} are cut\n{recording}");
    assert_eq!((recording.report.lost, recording.report.wrong_sums()), (0, vec![]), "{recording}");
    assert!(recording.report.samples > 30, "{recording}");
    Ok(())
}
