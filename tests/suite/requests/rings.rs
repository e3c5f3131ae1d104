//! Who reads and writes through `io_uring` is named: what goes through it makes no system call.

use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::json;
use tests::{paths, process::Running, servers, wait};

use super::Follower;

#[test]
fn a_process_with_rings_is_named_and_one_without_is_not() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let program = dir.path().join("ringed");
    paths::compile("suite/requests/ringed.c", &["-O2"], &program)?;
    let ringed = Running::start(&mut Command::new(&program))?;
    wait::until("there are rings", wait::PATIENCE, || {
        ensure!(!ringed.has_ended(), "it ended: {}", ringed.stderr()?);
        Ok(ringed.stdout()?.contains("ready").then_some(()))
    })?;
    let report = Follower::start(ringed.pid(), &[])?.end()?;
    let expected = json!([{ "pid": ringed.pid(), "process": "ringed", "rings": 2 }]);
    assert_eq!(report["io_uring"]["processes"], expected, "{report:#}");

    let nginx = servers::nginx()?;
    let report = Follower::start(nginx.running().pid(), &[])?.end()?;
    assert_eq!(report["io_uring"], json!({ "processes": [], "others": 0 }), "{report:#}");
    Ok(())
}
