//! A file that takes everything out of the kernel for as long as it is there.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;
use tests::{bpf::Objects, delivered::totals, own_daemon::OwnDaemon, process::Running};

use crate::support::copy;

/// It is a second on a machine that has time for the daemon. Here others may use the machine, too.
const AT_MOST: Duration = Duration::from_secs(5);

/// Programs, links and perf events that a process holds.
fn n_attached(pid: u32) -> (usize, usize, usize) {
    let held = Objects::held_by(pid);
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = files.filter_map(|entry| fs::read_link(entry.path()).ok());
    let n_events = targets.filter(|target| target.to_string_lossy().contains("[perf_event]")).count();
    (held.programs.len(), held.n_links, n_events)
}

#[test]
fn while_its_file_exists_nothing_is_attached_and_captures_neither_go_on_nor_begin() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = copy("hot321", dir.path(), "switched")?;
    let _target = Running::start(Command::new(&program).arg("300"))?;
    let daemon = OwnDaemon::start(format!("[[target]]\nexe = {program:?}"))?;
    let count =
        |it: &OwnDaemon| Ok::<_, anyhow::Error>(it.daemon().metrics()?.count("brazier_samples_total", &[]));
    daemon.until("it samples", |it| Ok((count(it)? > 0).then_some(())))?;
    let before = daemon.objects();
    let args = ["capture", "--event", "cpu", "--all", "--duration", "300s", "--output", "x.folded"];
    let capture = daemon.start_ctl(args)?;
    let held = daemon.until("a capture is under way", |it| {
        let held = it.objects();
        Ok((held.programs.len() > before.programs.len()).then_some(held))
    })?;

    let switch = daemon.path("off");
    fs::write(&switch, "")?;
    let switched = Instant::now();
    daemon.until("nothing is attached", |it| Ok((n_attached(it.pid()) == (0, 0, 0)).then_some(())))?;
    let took = switched.elapsed();
    assert!(took < AT_MOST, "it took {took:?}");
    held.wait_until_gone()?;
    let captured = capture.finish(AT_MOST * 6)?;
    let has_file = daemon.path("x.folded").exists();
    assert_eq!(captured.status.success(), has_file, "{captured:?}");

    let status = daemon.until("it says so", |it| {
        let status = it.status()?;
        Ok((status["kill_switch"]["is_on"] == true).then_some(status))
    })?;
    let reasons = status["health"]["reasons"].as_array().cloned().unwrap_or_default();
    assert!(reasons.iter().any(|reason| reason["code"] == "kill_switch"), "{status:#}");
    assert_eq!(status["health"]["status"], "degraded", "{status:#}");
    let refused = daemon.ctl(args)?;
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("kill switch"), "{refused:?}");
    assert_eq!(n_attached(daemon.pid()), (0, 0, 0));

    let n_before = count(&daemon)?;
    fs::remove_file(&switch)?;
    daemon.until("it samples again", |it| Ok((count(it)? > n_before).then_some(())))?;
    let ended = daemon.finish()?;
    let n_delivered: u64 = totals(&ended.delivered).values().sum();
    assert_eq!((n_delivered, ended.told[2]), (ended.told[0], 0), "{}", ended.finished.stderr);
    Ok(())
}
