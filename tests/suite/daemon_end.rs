//! SIGTERM: what was counted is delivered, whoever waits gets an answer, and nothing is left in the kernel.

use std::{ffi::OsStr, process::Command, time::Duration};

use anyhow::Result;
use tests::{bpf::Objects, delivered::totals, own_daemon::OwnDaemon, paths, process::Running, servers};

#[test]
fn everything_that_was_counted_is_in_the_directory_and_a_capture_under_way_ends() -> Result<()> {
    let before = Objects::all()?;
    let server = servers::nginx()?;
    let _load = servers::Load::with_rests(&server, Duration::from_millis(1), Duration::from_secs(300))?;
    let grower = paths::program("grower")?;
    let _grower = Running::start(Command::new(&grower).args(["sawtooth", "4096", "3"]))?;
    let targets = format!("[[target]]\nexe = \"/usr/sbin/nginx\"\n[[target]]\nexe = {grower:?}");
    let daemon = OwnDaemon::start_with(targets, |config| {
        // It ends in the middle of one.
        config.window = "3s".to_owned();
        Ok(())
    })?;
    daemon.until("there is something of both events", |it| {
        let totals = totals(&it.delivered()?);
        Ok((totals.contains_key("cpu") && totals.contains_key("faults")).then_some(()))
    })?;
    let n_programs = daemon.objects().programs.len();
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("x.folded");
    let args = ["capture", "--event", "alloc", "--target", "nginx", "--duration", "300s", "--output"];
    let capture = daemon.start_ctl(args.map(OsStr::new).into_iter().chain([file.as_os_str()]))?;
    let held = daemon.until("a capture is under way", |it| {
        let held = it.objects();
        Ok((held.programs.len() > n_programs).then_some(held))
    })?;
    let told = daemon.daemon().metrics()?;
    let ended = daemon.finish()?;
    held.wait_until_gone()?;
    before.nothing_left_since()?;
    let captured = capture.finish(tests::wait::PATIENCE)?;

    assert_eq!(ended.finished.status.code(), Some(0), "{ended:#?}");
    let said = &ended.finished.stderr;
    let delivered = totals(&ended.delivered);
    let [n_samples, n_profiles, n_lost] = ended.told;
    assert_eq!(delivered.values().sum::<u64>(), n_samples, "{delivered:?} {said}");
    assert_eq!((ended.delivered.len() as u64, n_lost), (n_profiles, 0), "{said}");
    for event in ["cpu", "faults"] {
        let told = told.count("brazier_samples_total", &[("event", event)]);
        let there = delivered.get(event).copied().unwrap_or(0);
        assert!(there >= told && there > 0, "{event}: {there} of {told} that were told of; {said}");
    }
    let is_refused = captured.status.code() == Some(1) && captured.stderr.starts_with("agent: ");
    assert!(captured.status.success() || is_refused, "{captured:?}");
    assert_eq!(file.exists(), captured.status.success(), "{captured:?}");
    Ok(())
}
