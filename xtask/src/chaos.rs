//! `cargo xtask chaos`: things go wrong while the daemon runs, and nothing may be lost that is not counted.

use anyhow::{Result, ensure};

use crate::{
    fetch,
    shell::{self, Workspace, is_root},
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// For how long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// What decides the order of faults and their times
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The run is a program of its own: it needs the agent, and xtask must not.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    ensure!(is_root(), "the daemon and its networks take root");
    let otlp = fetch::otlp::find(workspace)?;
    let agent = workspace.release("agent")?;
    let mut command = workspace.cargo();
    command.args(["run", "--quiet", "--package", "tests", "--bin", "chaos", "--"]);
    command.args([args.minutes.to_string(), args.seed.to_string()]);
    shell::run(command.env("BRAZIER_AGENT", agent).env("BRAZIER_OTLP", otlp))
}
