//! SIGHUP: a configuration that is wrong, or cannot be carried out, changes nothing; one that is right holds from then on;
//! and whoever adds up counters sees no step back.

use std::{
    collections::BTreeMap, fs, net::TcpListener, os::unix::fs::PermissionsExt as _, process::Command, thread,
    time::Duration,
};

use anyhow::Result;
use tests::{
    daemon::DaemonConfig,
    delivered::totals,
    own_daemon::{OwnDaemon, replace},
    paths,
    process::Running,
};

use crate::support::{copy, target};

const RELOADS: &str = "brazier_config_reloads_total";

/// Counters as they were seen last.
#[derive(Default)]
struct Watch(BTreeMap<String, f64>);

impl Watch {
    /// Looks at what the daemon tells now, and gives the sum of samples.
    fn look(&mut self, daemon: &OwnDaemon) -> Result<u64> {
        let metrics = daemon.daemon().metrics()?;
        let now = metrics.counters();
        for (name, value) in &now {
            let before = self.0.get(name).copied().unwrap_or(0.0);
            assert!(*value >= before, "{name} went back from {before} to {value}");
        }
        self.0.extend(now);
        Ok(metrics.count("brazier_samples_total", &[]))
    }

    fn wait_for_more(&mut self, daemon: &OwnDaemon) -> Result<()> {
        let n_before = self.look(daemon)?;
        daemon.until("there are more samples", |it| Ok((self.look(it)? > n_before).then_some(())))
    }

    /// Waits until so many reloads were answered; why the last one was refused.
    fn wait_for(&mut self, daemon: &OwnDaemon, result: &str, n: u64) -> Result<String> {
        daemon.until(&format!("{n} reloads are {result}"), |it| {
            self.look(it)?;
            let is_there = it.daemon().metrics()?.count(RELOADS, &[("result", result)]) == n;
            let status = it.status()?;
            let reason = status["config"]["last_refusal"].as_str().unwrap_or_default().to_owned();
            Ok((is_there && reason.is_empty() == (result == "taken")).then_some(reason))
        })
    }
}

#[test]
fn what_is_wrong_changes_nothing_what_is_right_holds_and_no_counter_goes_back() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let [one, two] = ["one", "two"].map(|name| copy("hot321", dir.path(), name));
    let (one, two) = (one?, two?);
    let _targets =
        [Running::start(Command::new(&one).arg("300"))?, Running::start(Command::new(&two).arg("300"))?];
    let daemon = OwnDaemon::start(format!("[[target]]\nexe = {one:?}"))?;
    let file = daemon.path("agent.toml");
    let sighup = |config: &DaemonConfig| {
        replace(&file, &config.text())?;
        daemon.daemon().running().signal(libc::SIGHUP)
    };
    let mut watch = Watch::default();
    watch.wait_for_more(&daemon)?;

    sighup(&DaemonConfig { window: "1d".to_owned(), ..daemon.config.clone() })?;
    let reason = watch.wait_for(&daemon, "refused", 1)?;
    assert!(reason.contains("agent.toml:1:") && reason.contains("window"), "{reason}");
    watch.wait_for_more(&daemon)?;

    let taken = TcpListener::bind(("127.0.0.3", 0))?;
    sighup(&DaemonConfig { listen: taken.local_addr()?, ..daemon.config.clone() })?;
    let reason = watch.wait_for(&daemon, "refused", 2)?;
    assert!(reason.contains(&taken.local_addr()?.to_string()), "{reason}");
    watch.wait_for_more(&daemon)?;

    // It gave up the right to write there.
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere)?;
    fs::set_permissions(&elsewhere, fs::Permissions::from_mode(0o700))?;
    replace(&file, &DaemonConfig { spool_dir: elsewhere.clone(), ..daemon.config.clone() }.text())?;
    let asked = daemon.ctl(["reload"])?;
    let reason = watch.wait_for(&daemon, "refused", 3)?;
    assert!(reason.contains(&elsewhere.display().to_string()), "{reason}");
    assert!(asked.status.code() == Some(1) && asked.stderr.contains("elsewhere"), "{asked:?}");
    watch.wait_for_more(&daemon)?;

    let both = format!("[[target]]\nexe = {one:?}\n[[target]]\nexe = {two:?}");
    sighup(&DaemonConfig { targets: both, window: "2s".to_owned(), ..daemon.config.clone() })?;
    watch.wait_for(&daemon, "taken", 1)?;
    watch.wait_for_more(&daemon)?;
    daemon.until("the other one is sampled", |it| {
        watch.look(it)?;
        Ok(it.delivered()?.iter().any(|it| it.service() == "two").then_some(()))
    })?;
    replace(&file, &daemon.config.text())?;
    let asked = daemon.ctl(["reload"])?;
    assert!(asked.status.success(), "{asked:?}");
    watch.wait_for(&daemon, "taken", 2)?;

    let ended = daemon.finish()?;
    assert!(ended.finished.status.success(), "{ended:#?}");
    let [n_samples, n_profiles, n_lost] = ended.told;
    let delivered = totals(&ended.delivered);
    assert_eq!(delivered.values().sum::<u64>(), n_samples, "{delivered:?} {}", ended.finished.stderr);
    assert_eq!((ended.delivered.len() as u64, n_lost), (n_profiles, 0), "{}", ended.finished.stderr);
    Ok(())
}

#[test]
fn whoever_waits_for_a_receiver_that_never_answers_does_not_hold_up_a_reload() -> Result<()> {
    // It connects, and that is all.
    let silent = TcpListener::bind(("127.0.0.3", 0))?;
    let address = silent.local_addr()?;
    let hot = target("hot321")?;
    let targets = format!("[[target]]\nexe = {:?}", paths::program("hot321")?);
    let daemon = OwnDaemon::start_with(targets, |config| {
        let sink = format!("kind = \"otlp-http\"\naddress = \"http://{address}\"\nproxy = \"none\"");
        config.sinks.push(("silent".to_owned(), sink));
        Ok(())
    })?;
    let mut watch = Watch::default();
    watch.wait_for_more(&daemon)?;
    let flush = daemon.start_ctl(["flush"])?;
    // It has been heard by then; if not, it is refused just the same.
    thread::sleep(Duration::from_secs(1));
    daemon.daemon().running().signal(libc::SIGHUP)?;
    watch.wait_for(&daemon, "taken", 1)?;
    watch.wait_for_more(&daemon)?;
    let flushed = flush.finish(tests::wait::PATIENCE)?;
    let is_told = flushed.status.success() || flushed.stderr.contains("begins or ends");
    assert!(is_told, "{flushed:?}");
    assert!(!hot.has_ended(), "the target ended before the test");
    let ended = daemon.finish()?;
    assert_eq!(ended.finished.status.code(), Some(0), "{ended:#?}");
    assert!(ended.finished.stderr.contains("batches for silent wait in the spool"), "{ended:#?}");
    Ok(())
}
