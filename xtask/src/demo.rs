//! `cargo xtask demo`: a real nginx under load, one flamegraph, two minutes.

use std::{process::Command, time::Duration};

use anyhow::{Result, bail};

use crate::{
    bench::nginx::Nginx,
    shell::{self, Workspace, is_root},
};

const RECORD_TIME: Duration = Duration::from_secs(5);
/// Load before and after the recording, so that all of it sees a busy server.
const MARGIN: Duration = Duration::from_secs(3);

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    if !is_root() {
        bail!(
            "the demo reads another process from the kernel and needs root: try `sudo -E cargo xtask demo`"
        );
    }
    let agent = workspace.release_agent()?;
    let picture = workspace.target.join("nginx.svg");
    let nginx = Nginx::start()?;
    let load = nginx.load(RECORD_TIME + MARGIN)?;
    shell::run(
        Command::new(agent)
            .args(["record", "--pid", &nginx.pid().to_string()])
            .args(["--duration", &format!("{}s", RECORD_TIME.as_secs()), "--output"])
            .arg(&picture),
    )?;
    println!("{:.0} requests/s while it was watched", load.requests_per_s()?);
    println!("open {} in a browser", picture.display());
    Ok(())
}
