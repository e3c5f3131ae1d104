//! The first samples of a process are as whole as the others: also before its mappings have reached the kernel side.

use anyhow::Result;
use tests::{
    agent::{self, Recording},
    folded::Stack,
    paths,
};

use crate::support::command_args;

const N_LIVES: u64 = 100;

/// Each life uses 10 ms of CPU time in functions without frame pointers.
fn record_lives() -> Result<Recording> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("life");
    paths::compile("suite/life.c", &["-O2", "-fomit-frame-pointer"], &program)?;
    let sh = paths::find("sh", "dash")?;
    let script = format!("i=0; while [ $i -lt {N_LIVES} ]; do {}; i=$((i+1)); done", program.display());
    agent::record(command_args(&["--frequency", "1999"], &sh, &["-c", &script]))
}

#[test]
fn the_first_stack_of_nearly_every_new_process_is_whole() -> Result<()> {
    let recording = record_lives()?;
    let first = &recording.report.first_stacks;
    assert!(first.new_images >= N_LIVES * 9 / 10, "{first:?}\n{recording}");
    // What is left: a stack page that is not there while the sample is taken, and stacks that are being torn down.
    assert!(first.whole_at_once * 100 >= first.new_images * 95, "{first:?}\n{recording}");
    assert!(first.until_first_whole_ns.is_some(), "{first:?}\n{recording}");
    let lives = |process: &str| process == "life";
    let n = recording.folded.count(|stack| lives(&stack.process));
    let whole = recording.folded.share(
        |stack| lives(&stack.process) && stack.has("life_inner"),
        |stack| stack.has("life_outer") && stack.has("main"),
    );
    assert!(n > N_LIVES * 5 && whole > 0.99, "{whole:.3} of {n} samples lead to main\n{recording}");
    assert_eq!((recording.report.lost, recording.report.wrong_sums()), (0, vec![]), "{recording}");
    Ok(())
}

#[test]
fn known_code_called_from_a_library_loaded_a_moment_ago_is_whole() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (program, library) = (dir.path().join("fresh"), dir.path().join("through.so"));
    let flags = ["-O2", "-fomit-frame-pointer"];
    paths::compile("suite/fresh.c", &[&flags[..], &["-ldl"]].concat(), &program)?;
    paths::compile("suite/through.c", &[&flags[..], &["-shared", "-fPIC"]].concat(), &library)?;
    let mut copies = Vec::new();
    for i in 0..N_LIVES {
        let copy = dir.path().join(format!("{i}.so"));
        std::fs::copy(&library, &copy)?;
        copies.push(copy.to_string_lossy().into_owned());
    }
    let arguments: Vec<&str> = copies.iter().map(String::as_str).collect();
    let recording = agent::record(command_args(&["--frequency", "1999"], &program, &arguments))?;
    let spins = |stack: &Stack| stack.has("spin_inner");
    let n = recording.folded.count(spins);
    let whole = recording.folded.share(spins, |stack| stack.has("call_through") && stack.has("main"));
    // One library of a hundred that the agent comes to late, as a CPU was busy, is one sample of a hundred.
    assert!(n > N_LIVES * 4 && whole > 0.95, "{whole:.3} of {n} samples lead to main\n{recording}");
    Ok(())
}
