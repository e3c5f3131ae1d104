//! A host on which programs come and go by the thousand, all of them targets.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tests::{delivered::totals, own_daemon::OwnDaemon, paths};

const N_PROCESSES: usize = 2_000;
/// On a machine that others use, fewer have to do.
const AT_MOST: Duration = Duration::from_secs(20);
const ENOUGH: usize = 500;

#[test]
fn thousands_of_short_programs_cost_no_memory_and_no_sample_that_is_not_counted() -> Result<()> {
    let program = paths::find("true", "coreutils")?;
    let daemon = OwnDaemon::start_with("", |config| {
        // So much that an agent built for tests keeps to it without its guard.
        config.top = "all = true\nrss_limit = \"192MiB\"".to_owned();
        Ok(())
    })?;
    let start = Instant::now();
    let mut n_started = 0;
    let mut most_bytes = 0.0_f64;
    while n_started < N_PROCESSES && start.elapsed() < AT_MOST {
        for _ in 0..100 {
            let status = Command::new(&program).stdout(Stdio::null()).status().context("cannot start one")?;
            n_started += usize::from(status.success());
        }
        let told = daemon.daemon().metrics()?.sum("brazier_agent_memory_bytes", &[]);
        most_bytes = most_bytes.max(told.context("it tells nothing of its memory")?);
    }
    assert!(n_started >= ENOUGH, "{n_started} programs in {AT_MOST:?}");
    let status = daemon.status()?;
    let limit_bytes = status["budget"]["rss_limit_bytes"].as_f64().context("no limit")?;
    assert!(most_bytes < limit_bytes, "{most_bytes} bytes of {limit_bytes} after {n_started} programs");
    let n_events_lost = status["process_events_lost"].as_u64().context("it does not tell what it lost")?;
    let metrics = daemon.daemon().metrics()?;
    let lost = metrics.sum("brazier_lost_others_total", &[("cause", "process_events")]);
    assert!(lost.is_some(), "{metrics:?}");
    assert_ne!(status["health"]["status"], "unhealthy", "{status:#}");

    let ended = daemon.finish()?;
    let said = &ended.finished.stderr;
    assert_eq!(ended.finished.status.code(), Some(0), "{said}");
    let delivered = totals(&ended.delivered);
    assert_eq!(delivered.values().sum::<u64>(), ended.told[0], "{n_events_lost} events lost; {said}");
    let is_seen = ended.delivered.iter().any(|it| it.label("process.executable.name") == "true");
    assert!(is_seen, "no sample of {n_started} programs; {delivered:?}");
    Ok(())
}
