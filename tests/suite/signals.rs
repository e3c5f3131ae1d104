//! Signals to the agent: the first ends the recording, the second the agent, and SIGKILL leaves nothing.

use std::{
    ffi::CString,
    os::unix::{ffi::OsStrExt as _, process::ExitStatusExt as _},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tests::{
    agent::{self, Recorder},
    paths,
    process::Running,
};

use crate::support::{pid_args, target};

#[test]
fn one_signal_ends_the_recording_early_with_a_profile() -> Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let hot = target("hot321")?;
        let recorder = Recorder::start(pid_args(hot.pid(), &["--frequency", "199", "--duration", "60s"]))?;
        let objects = recorder.wait_until_sampling()?;
        std::thread::sleep(Duration::from_secs(1));
        recorder.running().signal(signal)?;
        let asked = Instant::now();
        let recording = recorder.finish()?;
        assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}\n{recording}", asked.elapsed());
        assert_eq!(recording.status.code(), Some(0), "signal {signal}\n{recording}");
        assert!(recording.report.samples > 20, "signal {signal}\n{recording}");
        assert!(recording.report.duration_ns < 5_000_000_000, "signal {signal}\n{recording}");
        let comments = &recording.report.comments;
        assert!(comments.iter().any(|it| it.contains("ended early")), "signal {signal}\n{recording}");
        objects.wait_until_gone()?;
    }
    Ok(())
}

/// The first signal leaves the agent waiting for a reader of its output: only the second can end it.
#[test]
fn a_second_signal_ends_the_agent_at_once() -> Result<()> {
    let hot = target("hot321")?;
    let dir = tempfile::tempdir()?;
    let pipe = dir.path().join("pipe");
    let path = CString::new(pipe.as_os_str().as_bytes()).context("a path with a zero byte")?;
    // SAFETY: the path is a C string that outlives the call.
    ensure!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) } == 0, "cannot make a pipe");
    let mut command = Command::new(paths::agent()?);
    command.arg("record").args(pid_args(hot.pid(), &["-d", "60s", "--format", "folded", "-o"])).arg(&pipe);
    let running = Running::start_notifying(&mut command)?;
    let objects = agent::wait_until_sampling(&running)?;
    running.signal(libc::SIGINT)?;
    std::thread::sleep(Duration::from_millis(700));
    assert!(!running.has_ended(), "one signal was enough: {:?}", running.stderr());
    running.signal(libc::SIGINT)?;
    let finished = running.finish(Duration::from_secs(1))?;
    assert_eq!(finished.status.code(), Some(130), "{finished:?}");
    objects.wait_until_gone()
}

#[test]
fn an_agent_that_is_killed_leaves_nothing_in_the_kernel() -> Result<()> {
    let hot = target("hot321")?;
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(paths::agent()?);
    command.current_dir(dir.path()).arg("record").args(pid_args(hot.pid(), &["-d", "60s", "-o", "x.svg"]));
    let running = Running::start_notifying(&mut command)?;
    let objects = agent::wait_until_sampling(&running)?;
    let (n_programs, n_maps) = (objects.programs.len(), objects.maps.len());
    assert!(n_programs >= 3 && n_maps >= 3, "it holds next to nothing: {objects:?}");
    running.signal(libc::SIGKILL)?;
    let finished = running.finish(Duration::from_secs(1))?;
    assert_eq!(finished.status.signal(), Some(libc::SIGKILL), "{finished:?}");
    objects.wait_until_gone()?;
    assert_eq!(agent::list(dir.path())?, Vec::<std::path::PathBuf>::new(), "left in its directory");
    Ok(())
}
