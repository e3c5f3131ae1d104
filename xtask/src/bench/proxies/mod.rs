//! How many stacks of each proxy are whole, what the rest lacks, and what a sample of it costs.

mod perf;

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    Plan,
    bpf_stats::StatsOn,
    cost,
    median::{Spread, spread},
    profiler::{AGENT, Installed, Sampled},
    servers::{self, Kind, Server},
    session::Session,
};
use crate::{packages, shell::Workspace};

const FREQUENCY_HZ: u32 = 997;
/// Before a recording: code gets compiled, connections get made.
const WARM_UP: Duration = Duration::from_secs(2);
/// The load outlasts what is recorded under it.
const MARGIN: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_millis(500);
const FILTERED_WINDOW: Duration = Duration::from_secs(1);
const N_REASONS: usize = 3;

/// One recording of one server.
#[derive(Debug, Default)]
struct Recorded {
    n_samples: f64,
    n_lost: f64,
    whole_percent: f64,
    /// Samples that end for this reason.
    truncated: BTreeMap<String, u64>,
    sample_ns: f64,
    frames_per_stack: f64,
    rooted_percent: f64,
}

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    packages::install(&packages::TESTS)?;
    packages::install(&packages::BENCH)?;
    let agent = AGENT.find(workspace, plan)?;
    let _stats = StatsOn::new()?;
    let upstream = servers::upstream(workspace)?;
    let mut table = String::from(
        "| proxy | samples | lost | whole stacks, % | the rest, by reason | stacks with a root's name, % \
         | perf: stacks with a root's name, % (copies) | user frames per stack | kernel ns per sample \
         | per user frame |\n|---|--:|--:|--:|---|--:|--:|--:|--:|--:|\n",
    );
    for kind in &servers::ALL {
        table += &match row(workspace, kind, &agent, &upstream, plan) {
            Ok(row) => row,
            // The others are still worth measuring.
            Err(error) => {
                println!("  {}: {error:#}", kind.name);
                format!("| {} | not measured: {} | | | | | | | | |\n", kind.name, cell(&format!("{error:#}")))
            }
        };
    }
    table += &format!(
        "\nMedian (min..max) of {} rounds of {} s at {FREQUENCY_HZ} Hz; reasons of all rounds together. perf: {}.",
        plan.n_rounds,
        plan.run_time.as_secs(),
        perf::remark()
    );
    Ok(table)
}

fn row(
    workspace: &Workspace,
    kind: &'static Kind,
    agent: &Installed,
    upstream: &Server,
    plan: &Plan,
) -> Result<String> {
    let server = kind.start(workspace, upstream)?;
    let mut runs = Vec::new();
    for round in 1..=plan.n_rounds {
        let run = record(agent, &server, plan)?;
        println!("  round {round}/{}: {}: {run:?}", plan.n_rounds, kind.name);
        runs.push(run);
    }
    // A server that answered with errors would show other stacks.
    server.load(Duration::from_secs(1))?.requests_per_s()?;
    let load = server.load(MARGIN)?;
    let perf = perf::share_to_root(server.worker_pid()?, kind.perf_copy_bytes)?;
    drop(load);
    println!("  {}: perf: {perf}", kind.name);
    render(kind.name, &runs, &perf)
}

fn record(agent: &Installed, server: &Server, plan: &Plan) -> Result<Recorded> {
    let load = server.load(WARM_UP + plan.run_time + MARGIN)?;
    thread::sleep(WARM_UP);
    let sampled = Sampled { pid: server.pid(), frequency_hz: FREQUENCY_HZ };
    let mut session = Session::start(agent, sampled, None)?;
    session.wait_until_sampling()?;
    thread::sleep(plan.run_time);
    let busy = session.samplers()?;
    drop(load);
    // Now the server rests: what is left are ticks that find nobody.
    thread::sleep(SETTLE);
    let before = session.samplers()?;
    thread::sleep(FILTERED_WINDOW);
    let filtered = session.samplers()?.since(before).and_then(cost::ns_per_tick);
    let filtered_ns = filtered.context("no tick while the server rested")?;
    let printed = session.finish()?;
    let stacks = (agent.profiler.stacks)(&printed)?;
    let told = parse(&printed.stderr)?;
    let sample_ns = cost::ns_per_sample(busy, told.n_samples, filtered_ns)
        .with_context(|| format!("{busy:?} do not fit {} samples", told.n_samples))?;
    Ok(Recorded {
        sample_ns,
        frames_per_stack: stacks.frames_per_stack(),
        rooted_percent: stacks.rooted_percent(),
        ..told
    })
}

fn parse(report: &str) -> Result<Recorded> {
    let report: Value = serde_json::from_str(report).context("the agent's report is no JSON")?;
    let number = |pointer: &str| {
        let value = report.pointer(pointer).and_then(Value::as_f64);
        value.with_context(|| format!("the agent's report has no number at `{pointer}`"))
    };
    let truncated = report.pointer("/stacks/truncated").and_then(Value::as_object);
    let truncated = truncated.context("the agent's report has no `stacks.truncated`")?;
    let n_samples = number("/samples")?;
    Ok(Recorded {
        n_samples,
        n_lost: number("/lost")?,
        whole_percent: 100.0 * number("/stacks/complete")? / n_samples.max(1.0),
        truncated: truncated.iter().filter_map(|(name, n)| Some((name.clone(), n.as_u64()?))).collect(),
        ..Recorded::default()
    })
}

fn render(name: &str, runs: &[Recorded], perf: &str) -> Result<String> {
    let of = |value: fn(&Recorded) -> f64| -> Result<Spread> {
        spread(&runs.iter().map(value).collect::<Vec<f64>>())
    };
    Ok(format!(
        "| {name} | {:.0} | {:.0} | {:.2} | {} | {:.2} | {perf} | {:.1} | {:.0} | {:.0} |\n",
        of(|it| it.n_samples)?,
        of(|it| it.n_lost)?,
        of(|it| it.whole_percent)?,
        reasons(runs),
        of(|it| it.rooted_percent)?,
        of(|it| it.frames_per_stack)?,
        of(|it| it.sample_ns)?,
        of(|it| it.sample_ns / it.frames_per_stack.max(1.0))?,
    ))
}

/// The most frequent ones, with their share of all samples.
fn reasons(runs: &[Recorded]) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (reason, n) in runs.iter().flat_map(|run| &run.truncated) {
        *sums.entry(reason).or_default() += n;
    }
    let n_samples: f64 = runs.iter().map(|run| run.n_samples).sum();
    let mut sums: Vec<(&str, u64)> = sums.into_iter().filter(|(_, n)| *n > 0).collect();
    sums.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let shown = sums
        .iter()
        .take(N_REASONS)
        .map(|(reason, n)| format!("{:.2} %: {}", 100.0 * *n as f64 / n_samples.max(1.0), cell(reason)));
    shown.collect::<Vec<String>>().join("; ")
}

/// One line, and no end of a cell.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<&str>>().join(" ").replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str =
        r#"{"samples":400,"lost":2,"stacks":{"complete":390,"truncated":{"a | b":1,"c":9,"d":0}}}"#;

    #[test]
    fn reasons_come_by_their_share_and_none_is_made_up() {
        let runs = [parse(REPORT).unwrap(), parse(REPORT).unwrap()];
        assert_eq!(reasons(&runs), "2.25 %: c; 0.25 %: a / b");
        let row = render("x", &runs, "100.0").unwrap();
        assert!(row.contains("| 97.50 (97.50..97.50) |") && row.contains("| 100.0 |"), "{row}");
        assert!(parse(&REPORT.replace("truncated", "cut")).is_err());
    }
}
