//! What is recorded on demand, beside what goes on: to a file, to the sinks, or refused with a reason.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{
    delivered::{Delivered, totals},
    folded::Folded,
    own_daemon::OwnDaemon,
    process::{Finished, Running},
    wait::PATIENCE,
};

use crate::support::{TAKEN_IN_ROUND, copy, n_altered};

/// Takes memory for as long as a test may last.
fn taker(program: &Path) -> Result<Running> {
    Running::start(Command::new(program).args(["1000000", "200"]))
}

fn refused_for(finished: &Finished, reason: &str) {
    let is_refused = finished.status.code() == Some(1) && finished.stderr.contains(reason);
    assert!(is_refused, "not refused for `{reason}`: {finished:?}");
}

#[test]
fn allocations_go_to_the_sinks_and_whatever_is_asked_for_into_a_file() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let [one, other] = ["one", "other"].map(|name| copy("allocate", dir.path(), name));
    let stranger = copy("hot321", dir.path(), "stranger")?;
    let (one, other) = (one?, other?);
    let running = [taker(&one)?, taker(&other)?, Running::start(Command::new(&stranger).arg("300"))?];
    let targets = format!("[[target]]\nname = \"edge\"\nexe = {one:?}\n[[target]]\nexe = {other:?}");
    let daemon = OwnDaemon::start(targets)?;
    // A capture by name is of a target that was seen.
    daemon.until("all targets are seen", |it| Ok((it.status()?["n_targets"] == 2).then_some(())))?;

    // Where others use the machine the probes' budget may leave nothing of one.
    let mut n_samples = 0;
    daemon.until("a capture has samples", |it| {
        let captured = it.ctl(["capture", "--event", "alloc", "--target", "edge", "--duration", "3s"])?;
        assert!(captured.status.success(), "{captured:?}");
        let summary: Value = serde_json::from_slice(&captured.stdout).context("no summary")?;
        n_samples = summary["n_samples"].as_u64().context("no samples")?;
        Ok((n_samples > 0).then_some(()))
    })?;
    let there = daemon.until("the capture is delivered", |it| {
        let all = it.delivered()?.into_iter().filter(|it| it.event == "alloc").collect::<Vec<_>>();
        Ok((!all.is_empty()).then_some(all))
    })?;
    assert_eq!(totals(&there).get("alloc"), Some(&n_samples), "{there:#?}");
    assert!(there.iter().all(|it| it.service() == "edge"), "{there:#?}");
    // How many it may take is for the probes' budget to say.
    let takes = |name: &str| TAKEN_IN_ROUND.iter().any(|(known, _)| *known == name) || name == "grown";
    let has_taken = |it: &Delivered| it.functions.iter().any(|name| takes(name));
    assert!(there.iter().any(has_taken), "{there:#?}");
    assert_eq!(n_altered(running[0].pid())?, 0, "probes are left in the target");

    let pid = running[2].pid().to_string();
    let args = ["capture", "--event", "cpu", "--pid", &pid, "--duration", "2s", "--output", "x.folded"];
    let captured = daemon.ctl(args)?;
    assert!(captured.status.success(), "{captured:?}");
    let folded = Folded::parse(&fs::read_to_string(daemon.path("x.folded"))?)?;
    let n_hot = folded.count(|stack| stack.has("spin_a"));
    assert!(n_hot > 0, "{n_hot} samples of whom nobody had named\n{folded}");

    let ended = daemon.finish()?;
    let n_delivered: u64 = totals(&ended.delivered).values().sum();
    assert_eq!(n_delivered, ended.told[0], "{}", ended.finished.stderr);
    assert!(ended.delivered.iter().all(|it| !it.pids.contains(&running[2].pid())), "{pid} is no target");
    Ok(())
}

#[test]
fn one_of_each_event_at_a_time_for_as_long_as_somebody_waits_of_somebody_who_is_there() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = copy("allocate", dir.path(), "taker")?;
    let running = taker(&program)?;
    let daemon = OwnDaemon::start(format!("[[target]]\nexe = {program:?}"))?;
    daemon.until("the target is seen", |it| Ok((it.status()?["n_targets"] == 1).then_some(())))?;
    let capture = |event: &str, who: &[&str], duration: &str| {
        let args = ["capture", "--event", event, "--duration", duration];
        daemon.start_ctl(args.iter().chain(who))
    };
    let captured = |event: &str, who: &[&str]| capture(event, who, "500ms")?.finish(PATIENCE);

    refused_for(
        &captured("alloc", &["--target", "nobody"])?,
        "no target is called `nobody` now; there are: taker",
    );
    refused_for(&captured("cpu", &["--pid", "4194304"])?, "no process has the ID 4194304");

    let n_before = daemon.objects().programs.len();
    let under_way = capture("alloc", &["--all"], "300s")?;
    daemon
        .until("a capture is under way", |it| Ok((it.objects().programs.len() > n_before).then_some(())))?;
    refused_for(&captured("alloc", &["--target", "taker"])?, "alloc is being captured already");
    let other = captured("cpu", &["--target", "taker"])?;
    assert!(other.status.success(), "{other:?}");

    under_way.signal(libc::SIGKILL)?;
    under_way.finish(PATIENCE)?;
    daemon.until("whoever waited is gone, and so is the capture", |it| {
        Ok((it.objects().programs.len() == n_before).then_some(()))
    })?;
    assert_eq!(n_altered(running.pid())?, 0, "probes are left in the target");
    daemon.until("there can be another", |_| {
        Ok(captured("alloc", &["--all"])?.status.success().then_some(()))
    })?;
    let flushed = daemon.ctl(["flush"])?;
    assert!(flushed.status.success(), "{flushed:?}");
    Ok(())
}
