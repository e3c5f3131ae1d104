//! `cargo xtask demo`: a real nginx under load and one flamegraph, two minutes; with `--live`, collector and daemon beside it.

mod live;

use std::{process::Command, time::Duration};

use anyhow::{Result, bail};

use crate::{
    bench::nginx::Nginx,
    shell::{self, Workspace, is_root},
};

const RECORD_TIME: Duration = Duration::from_secs(5);
/// Load before and after the recording, so that all of it sees a busy server.
const MARGIN: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Start a collector, a daemon and nginx under load, and look at the collector's page, until Ctrl-C
    #[arg(long)]
    live: bool,
    /// With --live, end after so many minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 10, requires = "live", value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if !is_root() {
        bail!(
            "the demo reads another process from the kernel and needs root: try `sudo -E cargo xtask demo`"
        );
    }
    if args.live {
        return live::run(workspace, Duration::from_secs(args.minutes * 60));
    }
    let agent = workspace.release("agent")?;
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
