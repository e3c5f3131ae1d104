//! `cargo xtask alloc-accuracy`: how near the estimates of `--event alloc` come to 10 GiB that are known.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use xtask::{
    programs,
    sites::{SITES, Site},
};

use crate::shell::{Workspace, is_root, output};

/// Error of one site in one run, at most, in percent.
const MAX_PERCENT: f64 = 5.0;
/// The same of the mean over all runs.
const MAX_MEAN_PERCENT: f64 = 1.0;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often the program is recorded
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Mean distance of two samples
    #[arg(long, default_value = "8KiB", value_name = "SIZE")]
    interval: String,
    /// Measure this agent, and build none
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
}

/// Errors of one sum of one site, in percent, one for each run.
struct Errors {
    site: Site,
    what: &'static str,
    percent: Vec<f64>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    ensure!(is_root(), "probing takes root");
    let agent = match &args.agent {
        Some(agent) => agent.clone(),
        None => workspace.release("agent")?,
    };
    let dir = workspace.target.join("programs");
    programs::build_all(&workspace.root, &dir)?;
    let profile = workspace.target.join("alloc-accuracy.folded");
    let mut all: Vec<Errors> = SITES
        .iter()
        .flat_map(|site| {
            let live = site.keeps.then_some("live");
            ["allocated"].into_iter().chain(live).map(|what| Errors {
                site: *site,
                what,
                percent: Vec::new(),
            })
        })
        .collect();
    for number in 1..=args.runs {
        let mut command = Command::new(&agent);
        command.args(["record", "--event", "alloc", "--probe-budget", "1000", "--report", "json"]);
        command.args(["--interval", &args.interval, "--output"]).arg(&profile);
        command.arg("--").arg(dir.join("accounted"));
        let report: Value = serde_json::from_str(&output(&mut command)?).context("the report is no JSON")?;
        let lost = report.pointer("/lost").and_then(Value::as_u64).context("no `lost` in the report")?;
        for errors in &mut all {
            errors.percent.push(error_percent(&report, errors)?);
        }
        println!("run {number}: {} samples, {lost} lost", report["samples"]);
    }
    fs::remove_file(&profile).context("cannot remove the profile")?;
    table(&all)
}

fn error_percent(report: &Value, errors: &Errors) -> Result<f64> {
    let stacks = report.pointer("/allocations/stacks").and_then(Value::as_array);
    let stacks = stacks.context("no `allocations` in the report")?;
    let key = if errors.what == "live" { "/live/bytes" } else { "/alloc_bytes" };
    let is_of = |stack: &&Value| {
        let frames = stack.pointer("/frames").and_then(Value::as_array);
        frames.is_some_and(|frames| frames.iter().any(|frame| frame == errors.site.function))
    };
    let of_site = stacks.iter().filter(is_of);
    let found: u64 = of_site.filter_map(|stack| stack.pointer(key).and_then(Value::as_u64)).sum();
    let expected = (errors.site.mib << 20) as f64;
    Ok(100.0 * (found as f64 - expected) / expected)
}

fn table(all: &[Errors]) -> Result<()> {
    println!("\n| function | | MiB | mean error | largest error |\n|---|---|---|---|---|");
    let (mut n_beyond, mut n_means_beyond) = (0, 0);
    for Errors { site, what, percent } in all {
        let mean = percent.iter().sum::<f64>() / percent.len() as f64;
        let largest = percent.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(0.0);
        n_beyond += percent.iter().filter(|it| it.abs() > MAX_PERCENT).count();
        n_means_beyond += usize::from(mean.abs() > MAX_MEAN_PERCENT);
        println!("| `{}` | {what} | {} | {mean:+.2} % | {largest:+.2} % |", site.function, site.mib);
    }
    if n_beyond + n_means_beyond > 0 {
        bail!("{n_beyond} errors above {MAX_PERCENT} %, {n_means_beyond} means above {MAX_MEAN_PERCENT} %");
    }
    Ok(())
}
