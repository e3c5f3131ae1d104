//! Envoy, where `cargo xtask test` could fetch it.

use std::io::Write as _;

use anyhow::Result;
use tests::{
    agent, paths,
    servers::{self, Load},
};

use crate::support::pid_args;

#[test]
fn envoy_is_sampled_under_its_name() -> Result<()> {
    let Some(program) = paths::envoy() else {
        // Not by a macro: the test runner would swallow that.
        let _ = std::io::stderr().write_all(b"\nskipped: no Envoy (`cargo xtask test` fetches it)\n");
        return Ok(());
    };
    let envoy = servers::envoy(&program)?;
    let load = Load::start(&envoy)?;
    let pid = envoy.running().pid();
    let recording = agent::record(pid_args(pid, &["--frequency", "199", "--duration", "3s"]))?;
    assert!(load.is_alive(), "the load ended before the recording\n{recording}");
    let report = &recording.report;
    assert!(report.samples_of(pid) > 100, "{recording}");
    assert!(report.processes.iter().any(|it| it.pid == pid && it.name == "envoy"), "{recording}");
    assert!(report.threads.iter().any(|it| it.name.starts_with("wrk:")), "no worker thread\n{recording}");
    assert_eq!(report.lost, 0, "{recording}");
    Ok(())
}
