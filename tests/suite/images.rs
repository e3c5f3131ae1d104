//! Lives of processes that are easily taken for something else.

use std::process::Command;

use anyhow::Result;
use tests::{
    agent::{self, Recorder},
    paths,
    process::Running,
};

use crate::support::{args, command_args};

#[test]
fn a_static_program_is_walked_whole_from_soon_after_its_exec() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("static");
    // No dynamic loader maps anything after the exec: what is known of it then must do.
    paths::compile(
        "programs/deep.c",
        &["-O2", "-fomit-frame-pointer", "-fno-optimize-sibling-calls", "-static"],
        &program,
    )?;
    let recording = agent::record(command_args(&["--frequency", "499"], &program, &["2"]))?;
    let whole = recording.folded.share(|_| true, |stack| stack.has("deep_01") && stack.has("deep_25"));
    assert!(whole > 0.9, "{whole:.3} of samples have all 25 frames\n{recording}");
    assert!(recording.report.stacks.complete * 10 > recording.report.samples * 9, "{recording}");
    Ok(())
}

#[test]
fn a_process_whose_first_thread_has_ended_is_still_sampled() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("leaderless");
    paths::compile("suite/leaderless.c", &["-O2", "-pthread"], &program)?;
    let target = Running::start(Command::new(&program).arg("20"))?;
    let recorder =
        Recorder::start(args(&["--pid", &target.pid().to_string(), "-F", "199", "--duration", "4s"]))?;
    let recording = recorder.finish()?;
    // Its first thread ended within the first second; the other uses a CPU of its own all the time.
    let seconds = recording.report.duration_ns as f64 / 1e9;
    assert!(seconds > 3.9, "ended after {seconds:.1} s\n{recording}");
    let n = recording.folded.count(|stack| stack.has("orphan_work"));
    assert!(n > 199 * 2, "{n} samples of the thread that is left\n{recording}");
    Ok(())
}
