//! Samples taken inside a system call keep their user half.

use std::path::Path;

use anyhow::Result;
use tests::{
    agent::{self, Recording},
    paths,
};

use crate::support::command_args;

/// Functions of the program itself.
const OWN: [&str; 4] = ["main", "pump", "send_block", "receive_block"];

fn record(program: &Path) -> Result<Recording> {
    let recording = agent::record(command_args(&["--frequency", "997"], program, &["2"]))?;
    let n = recording.folded.count(|stack| stack.kernel().next().is_some());
    assert!(n > 100, "{n} samples in the kernel: the program does not do what it is for\n{recording}");
    Ok(recording)
}

/// The share of samples in the kernel that have a user frame which `is_wanted`.
fn share(recording: &Recording, is_wanted: impl Fn(&str) -> bool) -> f64 {
    // Without a system call there is an interrupt or the exit of the process, which has no user side any more.
    recording.folded.share(
        |stack| stack.kernel().any(|frame| frame == "do_syscall_64"),
        |stack| stack.user().any(&is_wanted),
    )
}

#[test]
fn the_call_itself_stands_above_every_kernel_half() -> Result<()> {
    let recording = record(&paths::program("syscalls")?)?;
    let with_call = share(&recording, |frame| frame.ends_with("write") || frame.ends_with("read"));
    assert!(with_call > 0.95, "{with_call:.3} of kernel samples below the call\n{recording}");
    Ok(())
}

#[test]
fn with_frame_pointers_the_program_stands_above_its_system_calls() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("syscalls");
    let flags = ["-O2", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-fno-ipa-icf"];
    paths::compile("programs/syscalls.c", &flags, &program)?;
    let recording = record(&program)?;
    let own = share(&recording, |frame| OWN.contains(&frame));
    assert!(own > 0.95, "{own:.3} of kernel samples have a frame of the program\n{recording}");
    Ok(())
}

#[test]
fn without_frame_pointers_the_program_stands_above_its_system_calls() -> Result<()> {
    let recording = record(&paths::program("syscalls")?)?;
    let own = share(&recording, |frame| OWN.contains(&frame));
    assert!(own > 0.95, "{own:.3} of kernel samples have a frame of the program\n{recording}");
    Ok(())
}
