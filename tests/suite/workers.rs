//! Workers that a master forks while it is recorded, as `nginx -s reload` does.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tests::{
    agent::{Recorder, Recording},
    process::Running,
    wait,
};

use crate::support::{pid_args, target};

/// IDs of the workers of a generation, from what the master printed.
fn workers(master: &Running, generation: u32) -> Result<Vec<u32>> {
    wait::until("the master has forked two workers", wait::PATIENCE, || {
        let text = master.stdout()?;
        let prefix = format!("worker {generation} ");
        let found: Result<Vec<u32>> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .map(|pid| pid.parse().context("no process ID"))
            .collect();
        Ok(found.ok().filter(|workers| workers.len() == 2))
    })
}

/// Reloads a master in the middle of a recording; gives its workers before and after, too.
fn record_a_reload(options: &[&str]) -> Result<(Running, Vec<u32>, Vec<u32>, Recording)> {
    let master = target("forker")?;
    let old = workers(&master, 1)?;
    let recorder = Recorder::start(pid_args(master.pid(), options))?;
    recorder.wait_until_sampling()?;
    std::thread::sleep(Duration::from_secs(1));
    master.signal(libc::SIGHUP)?;
    let new = workers(&master, 2)?;
    let recording = recorder.finish()?;
    Ok((master, old, new, recording))
}

#[test]
fn workers_forked_before_and_during_the_recording_are_sampled() -> Result<()> {
    let (_master, old, new, recording) = record_a_reload(&["--frequency", "199", "--duration", "3s"])?;
    for pid in old.iter().chain(&new) {
        let n = recording.report.samples_of(*pid);
        assert!(n > 2, "{n} samples of worker {pid} of {old:?} then {new:?}\n{recording}");
    }
    let named = recording.folded.share(|_| true, |stack| stack.has("worker_loop"));
    assert!(named > 0.95, "{named:.3} of samples in the workers' loop\n{recording}");
    assert_eq!(recording.report.lost, 0, "{recording}");
    Ok(())
}

#[test]
fn without_children_no_worker_is_sampled() -> Result<()> {
    let options = ["--frequency", "199", "--duration", "2s", "--no-children"];
    let (master, _, _, recording) = record_a_reload(&options)?;
    let others: Vec<_> = recording.report.processes.iter().filter(|it| it.pid != master.pid()).collect();
    assert!(others.is_empty(), "sampled besides the master {}: {others:?}\n{recording}", master.pid());
    assert!(recording.status.success(), "{recording}");
    Ok(())
}
