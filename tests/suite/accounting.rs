//! Every sample that the kernel took is in the profile or among the lost, whatever it is counted by.

use anyhow::Result;
use tests::{
    agent::{self, Recording},
    paths,
};

use crate::support::{args, command_args, pid_args, target};

fn check(what: &str, recording: &Recording) {
    let mut wrong = recording.report.wrong_sums();
    if recording.folded.total() != recording.report.samples {
        wrong.push(format!("folded: {}, not {}", recording.folded.total(), recording.report.samples));
    }
    assert!(wrong.is_empty(), "{what}: {wrong:?}\n{recording}");
    assert!(recording.report.samples > 20, "{what}: too few samples to say\n{recording}");
}

#[test]
fn sums_agree_for_one_process_and_for_threads() -> Result<()> {
    for name in ["hot321", "threads"] {
        let running = target(name)?;
        check(name, &agent::record(pid_args(running.pid(), &["--frequency", "499", "--duration", "1s"]))?);
    }
    Ok(())
}

#[test]
fn sums_agree_when_processes_come_and_go() -> Result<()> {
    let sh = paths::find("sh", "dash")?;
    let script = "i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done";
    let recording = agent::record(command_args(&["--frequency", "1999"], &sh, &["-c", script]))?;
    check("200 short processes", &recording);
    assert_eq!(recording.report.lost, 0, "{recording}");
    Ok(())
}

#[test]
fn sums_agree_for_the_whole_host() -> Result<()> {
    let _running = target("syscalls")?;
    check("--all", &agent::record(args(&["--all", "--frequency", "499", "--duration", "2s"]))?);
    Ok(())
}
