//! Probes on allocators are put in and taken out over and over while a server answers requests, and nobody notices.

use std::{env, io::Write as _, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};
use tests::{
    agent,
    bpf::Objects,
    paths,
    process::Running,
    servers::{self, Load, Server},
};

use crate::support::{args, n_altered};

/// How often, if `BRAZIER_PROBE_CYCLES` does not say: 200 of them on six programs take five minutes.
const N_TIMES: u64 = 40;
/// At least so many in a recording: on a busy host a window comes late, and there are fewer.
const TIMES_OF_RECORDING: u64 = 10;

fn n_times() -> Result<u64> {
    match env::var("BRAZIER_PROBE_CYCLES") {
        Ok(text) => text.parse().with_context(|| format!("BRAZIER_PROBE_CYCLES is `{text}`")),
        Err(_) => Ok(N_TIMES),
    }
}

/// Puts probes into processes and takes them out again.
fn cycle(pids: &[u32]) -> Result<()> {
    let record = |others: &[&str]| {
        let mut all = args(&["--event", "alloc", "--interval", "1MiB"]);
        all.extend(args(others));
        all.extend(pids.iter().flat_map(|pid| args(&["--pid", &pid.to_string()])));
        agent::record(all)
    };
    let unbounded = record(&["--no-live-heap", "--probe-budget", "100000", "--duration", "2s"])?;
    let probes = unbounded.report.probes.clone().context("no probes")?;
    assert_eq!((probes.times_on, probes.on_percent), (1, 100.0), "{unbounded}");
    let cost: f64 = probes.each.iter().filter_map(|it| it.cpu_percent).sum();
    assert!(cost > 0.1, "{probes:?}\n{unbounded}");

    // Half of the time, or a third.
    let budget = format!("{:.3}", cost / 1.9);
    let wanted = n_times()?;
    let mut n_times = 0;
    for _ in 0..wanted.div_ceil(TIMES_OF_RECORDING) {
        let recording = record(&["--probe-budget", &budget, "--duration", "10s"])?;
        let probes = recording.report.probes.clone().context("no probes")?;
        assert!(probes.at_once, "{:?}\n{recording}", recording.report.comments);
        n_times += probes.times_on;
        if n_times >= wanted {
            return Ok(());
        }
    }
    bail!("{n_times} times with a budget of {budget} %")
}

/// The workers of a server that has some, else the server itself.
fn pid_of(server: &Server) -> Result<u32> {
    let children = server.running().children()?;
    Ok(children.first().copied().unwrap_or(server.running().pid()))
}

/// The server answers every request meanwhile, with the same process and the code that it had.
fn nobody_notices(server: &Server) -> Result<()> {
    let before = Objects::all()?;
    let pid = pid_of(server)?;
    let load = Load::start(server)?;
    cycle(&[pid])?;
    assert!(load.is_alive(), "the load ended before the recording");
    let answers = load.end()?;
    assert!(answers.n_requests > 1000 && answers.n_failed == 0, "{answers:?}");
    assert_eq!(pid_of(server)?, pid);
    assert!(!server.running().has_ended(), "{}", server.running().stderr()?);
    assert_eq!(n_altered(pid)?, 0, "process {pid}");
    before.nothing_left_since()
}

/// Not by a macro: the test runner would swallow that.
fn found(program: Option<PathBuf>, name: &str) -> Option<PathBuf> {
    if program.is_none() {
        let text = format!("\nskipped: no {name} (`cargo xtask test` gets it)\n");
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    program
}

#[test]
fn a_program_that_checks_what_it_allocates() -> Result<()> {
    let before = Objects::all()?;
    let churn = Running::start(Command::new(paths::program("churn")?).args(["300", "50"]))?;
    cycle(&[churn.pid()])?;
    assert_eq!(n_altered(churn.pid())?, 0);
    before.nothing_left_since()?;
    assert!(!churn.has_ended());
    churn.signal(libc::SIGTERM)?;
    let churn = churn.finish(tests::wait::PATIENCE)?;
    assert!(churn.status.success(), "{}", String::from_utf8_lossy(&churn.stdout));
    Ok(())
}

#[test]
fn nginx_answers_every_request() -> Result<()> {
    nobody_notices(&servers::nginx()?)
}

#[test]
fn haproxy_answers_every_request() -> Result<()> {
    nobody_notices(&servers::haproxy()?)
}

#[test]
fn envoy_answers_every_request() -> Result<()> {
    match found(paths::envoy(), "Envoy") {
        Some(program) => nobody_notices(&servers::envoy(&program)?),
        None => Ok(()),
    }
}

#[test]
fn pingora_answers_every_request() -> Result<()> {
    let Some(program) = found(paths::pingora(), "Pingora") else { return Ok(()) };
    let upstream = servers::nginx()?;
    nobody_notices(&servers::pingora(&program, &upstream)?)
}

#[test]
fn workerd_answers_every_request() -> Result<()> {
    match found(paths::workerd(), "workerd") {
        Some(program) => nobody_notices(&servers::workerd(&program)?),
        None => Ok(()),
    }
}
