//! `cargo xtask bench`: measurements side by side, written into the tables of the pages in docs.
//!
//! Each measurement is one row of [`MEASUREMENTS`] and renders the table between its own markers.

mod awake;
mod bpf_stats;
mod bpftool;
pub(crate) mod child;
mod cost;
mod daemon;
mod held;
mod kernel_cost;
mod load;
mod loading;
mod machine;
mod markers;
mod median;
mod memory_tools;
pub(crate) mod nginx;
mod nginx_cost;
mod pairs;
mod peers;
mod profiler;
mod proxies;
mod recording;
mod ring;
mod servers;
mod session;
mod stacks;
mod switch_cost;
mod target_load;
mod usage;
mod whole_host;

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};

use crate::shell::{Workspace, is_root};

const PAGE: &str = "docs/benchmarks.md";
const MEMORY_PAGE: &str = "docs/memory.md";
const OFF_CPU_PAGE: &str = "docs/off-cpu.md";
const REQUESTS_PAGE: &str = "docs/requests.md";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure only these tables (default: all but daemon-memory, which takes half an hour)
    tables: Vec<String>,
    /// How often each value is measured; the median is kept
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long each run of nginx takes; a window on one program takes half of that
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Measure this agent, and build none
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// How long `daemon-memory` watches
    #[arg(long, default_value_t = 30, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=1440))]
    long: u64,
    /// Print the tables and leave the page alone
    #[arg(long)]
    dry_run: bool,
}

/// How much is measured.
struct Plan {
    n_rounds: u32,
    run_time: Duration,
    /// Of what is watched for long.
    n_minutes: u64,
    /// One for all tables, whatever happens to the sources meanwhile.
    agent: PathBuf,
}

/// A table: the name in its markers, the page that they are on, and what measures and renders it.
struct Measurement {
    name: &'static str,
    page: &'static str,
    table: fn(&Workspace, &Plan) -> Result<String>,
}

/// Takes so long that it is measured only if it is asked for.
const LONG: &str = "daemon-memory";

const MEASUREMENTS: [Measurement; 14] = [
    Measurement { name: "kernel-cost", page: PAGE, table: kernel_cost::table },
    Measurement { name: "recording-nginx", page: PAGE, table: recording::table },
    Measurement { name: "programs", page: PAGE, table: loading::table },
    Measurement { name: "target-load", page: PAGE, table: target_load::table },
    Measurement { name: "peers", page: PAGE, table: peers::table },
    Measurement { name: "proxies", page: PAGE, table: proxies::table },
    Measurement { name: "whole-host", page: PAGE, table: whole_host::table },
    Measurement { name: "memory-cost", page: MEMORY_PAGE, table: nginx_cost::of_memory },
    Measurement { name: "requests-cost", page: REQUESTS_PAGE, table: nginx_cost::of_requests },
    Measurement { name: "memory-tools", page: PAGE, table: memory_tools::table },
    Measurement { name: "switch-cost", page: OFF_CPU_PAGE, table: switch_cost::table },
    Measurement { name: "event-cost", page: OFF_CPU_PAGE, table: nginx_cost::of_waits },
    Measurement { name: "daemon", page: PAGE, table: daemon::table },
    Measurement { name: LONG, page: PAGE, table: daemon::long_table },
];

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
    let agent = match &args.agent {
        // Not every profiler is started from here.
        Some(agent) => agent.canonicalize().with_context(|| format!("no agent at `{}`", agent.display()))?,
        None => workspace.dist("agent")?,
    };
    let plan = Plan {
        n_rounds: args.rounds,
        run_time: Duration::from_secs(args.seconds),
        n_minutes: args.long,
        agent,
    };
    for measurement in &MEASUREMENTS {
        let is_named = args.tables.iter().any(|name| name == measurement.name);
        if !is_named && (!args.tables.is_empty() || measurement.name == LONG) {
            continue;
        }
        println!("measuring {} ({})", measurement.name, how_much(measurement.name, args));
        let table =
            (measurement.table)(workspace, &plan).with_context(|| format!("table `{}`", measurement.name))?;
        let table = format!("{table}\n\n{}\n", signature(measurement.name, args)?);
        println!("{table}");
        if !args.dry_run {
            // Read again for each table: a long run must not undo what was edited meanwhile.
            let name = measurement.page;
            let path = workspace.root.join(name);
            let page = fs::read_to_string(&path).with_context(|| format!("cannot read `{name}`"))?;
            let page = markers::replace(&page, measurement.name, &table)
                .with_context(|| format!("cannot place a table in `{name}`"))?;
            fs::write(&path, page).with_context(|| format!("cannot write `{name}`"))?;
        }
    }
    Ok(())
}

/// Where, when, and how to have it again.
fn signature(name: &str, args: &Args) -> Result<String> {
    Ok(format!("{}: `cargo xtask bench {name} {}`", machine::line()?, how_much(name, args)))
}

fn how_much(name: &str, args: &Args) -> String {
    let Args { rounds, seconds, long, .. } = args;
    match name {
        LONG => format!("--long {long}"),
        _ => format!("--rounds {rounds} --seconds {seconds}"),
    }
}
