//! `cargo xtask bench`: measurements side by side, written into the tables of docs/benchmarks.md.
//!
//! Each measurement is one row of [`MEASUREMENTS`] and renders the table between its own markers.

mod bpf_stats;
mod markers;
mod median;
pub(crate) mod nginx;
mod target_load;
mod usage;

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};

use crate::shell::{Workspace, is_root};

const PAGE: &str = "docs/benchmarks.md";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure only these tables (default: all)
    tables: Vec<String>,
    /// How often each value is measured; the median is kept
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// How long each run takes
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Print the tables and leave the page alone
    #[arg(long)]
    dry_run: bool,
}

/// How much is measured.
struct Plan {
    n_runs: u32,
    run_time: Duration,
}

/// A table: the name in its markers, and what measures and renders it.
struct Measurement {
    name: &'static str,
    table: fn(&Workspace, &Plan) -> Result<String>,
}

const MEASUREMENTS: [Measurement; 1] = [Measurement { name: "target-load", table: target_load::table }];

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if !is_root() {
        bail!("reading the kernel's statistics needs root");
    }
    for name in &args.tables {
        if !MEASUREMENTS.iter().any(|it| it.name == name) {
            let known: Vec<&str> = MEASUREMENTS.iter().map(|it| it.name).collect();
            bail!("no table `{name}`; there are: {}", known.join(", "));
        }
    }
    let plan = Plan { n_runs: args.runs, run_time: Duration::from_secs(args.seconds) };
    let path = workspace.root.join(PAGE);
    for measurement in &MEASUREMENTS {
        if !args.tables.is_empty() && !args.tables.iter().any(|name| name == measurement.name) {
            continue;
        }
        println!("measuring {} ({} runs of {} s)", measurement.name, args.runs, args.seconds);
        let table = (measurement.table)(workspace, &plan)?;
        println!("{table}");
        if !args.dry_run {
            // Read again for each table: a long run must not undo what was edited meanwhile.
            let page = fs::read_to_string(&path).with_context(|| format!("cannot read `{PAGE}`"))?;
            let page = markers::replace(&page, measurement.name, &table)
                .with_context(|| format!("cannot place a table in `{PAGE}`"))?;
            fs::write(&path, page).with_context(|| format!("cannot write `{PAGE}`"))?;
        }
    }
    Ok(())
}
