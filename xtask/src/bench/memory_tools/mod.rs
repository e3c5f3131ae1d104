//! What tools that tell where memory goes cost the process that they watch, side by side.
//!
//! Each run has a target of its own, first alone, then watched: some tools leave it as it was, some do not.

mod target;
mod tool;

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    Plan,
    bpf_stats::StatsOn,
    median::{Spread, spread},
    nginx, usage,
};
use crate::{packages, shell::Workspace};
use target::Kind;
use tool::{Session, Tool};

const PROGRAM: &str = "turnover";
/// Caches, first connections.
const WARM_UP: Duration = Duration::from_millis(500);
/// A tool that chooses when to probe has chosen by then.
const SETTLE: Duration = Duration::from_secs(2);

/// One run: the target alone, then watched.
#[derive(Clone, Copy, Debug)]
struct Run {
    alone_per_s: f64,
    watched_per_s: f64,
    /// Of one core; none of a tool that works in the target.
    tool_percent: Option<f64>,
    kernel: Option<Kernel>,
}

#[derive(Clone, Copy, Debug)]
struct Kernel {
    runs_per_s: f64,
    ns_per_run: f64,
}

struct Row {
    kind: Kind,
    tool: &'static Tool,
    runs: Vec<Run>,
}

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    packages::install(&packages::BENCH)?;
    let dir = workspace.target.join("programs");
    let built = xtask::programs::build_all(&workspace.root, &dir)?;
    let program = built.iter().find(|path| path.ends_with(PROGRAM)).context("the program was not built")?;
    let _stats = StatsOn::new()?;
    let new_row = |(kind, tool)| Row { kind, tool, runs: Vec::new() };
    let mut rows: Vec<Row> = Kind::ALL
        .into_iter()
        .flat_map(|kind| tool::ALL.iter().map(move |tool| (kind, tool)))
        .map(new_row)
        .collect();
    for round in 1..=plan.n_rounds {
        for row in &mut rows {
            let named = || format!("{} on {}", row.tool.name, row.kind.name().0);
            let target = row.kind.start(program)?;
            let run = measure(row.tool, &target, workspace, plan).with_context(named)?;
            println!("  round {round}/{}: {}: {run:?}", plan.n_rounds, named());
            row.runs.push(run);
        }
    }
    render(&rows, plan)
}

fn measure(tool: &'static Tool, target: &target::Target, workspace: &Workspace, plan: &Plan) -> Result<Run> {
    let busy = target.busy()?;
    thread::sleep(WARM_UP);
    drop(busy);
    let alone_per_s = target.rate_per_s(plan.run_time)?;
    let busy = target.busy()?;
    let mut session = Session::start(tool, workspace, plan, target.pid()?)?;
    thread::sleep(SETTLE);
    drop(busy);
    let (runs_before, cpu_before) = (session.runs()?, usage::on_cpu(session.pid())?);
    let watched_per_s = target.rate_per_s(plan.run_time)?;
    let (runs_after, cpu_after) = (session.runs()?, usage::on_cpu(session.pid())?);
    session.finish()?;
    let seconds = plan.run_time.as_secs_f64();
    let runs = runs_after.since(runs_before).context("a program went away")?;
    Ok(Run {
        alone_per_s,
        watched_per_s,
        tool_percent: tool
            .has_process
            .then(|| 100.0 * cpu_after.saturating_sub(cpu_before).as_secs_f64() / seconds),
        kernel: tool.has_programs.then(|| Kernel {
            runs_per_s: runs.count as f64 / seconds,
            ns_per_run: runs.time_ns as f64 / runs.count.max(1) as f64,
        }),
    })
}

/// What a tool adds to each thing that the target does, in nanoseconds.
fn added_ns(run: &Run) -> f64 {
    1e9 / run.watched_per_s - 1e9 / run.alone_per_s
}

fn render(rows: &[Row], plan: &Plan) -> Result<String> {
    let mut table = "| target | tool | rate, % of the same target alone just before | added, ns for each | CPU of the tool, \
                     % of a core | runs of its kernel programs/s | ns per run |\n|---|---|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for Row { kind, tool, runs } in rows {
        let of = |value: &dyn Fn(&Run) -> Option<f64>, digits: usize| -> String {
            let values: Vec<f64> = runs.iter().filter_map(value).collect();
            Spread::of(&values).map_or_else(String::new, |spread| format!("{spread:.digits$}"))
        };
        table += &format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            kind.name().0,
            tool.name,
            of(&|it| Some(100.0 * it.watched_per_s / it.alone_per_s), 1),
            of(&|it| Some(added_ns(it)), 0),
            of(&|it| it.tool_percent, 1),
            of(&|it| it.kernel.map(|kernel| kernel.runs_per_s), 0),
            of(&|it| it.kernel.map(|kernel| kernel.ns_per_run), 0),
        );
    }
    for kind in Kind::ALL {
        let alone: Vec<f64> = rows
            .iter()
            .filter(|row| row.kind == kind)
            .flat_map(|row| &row.runs)
            .map(|it| it.alone_per_s)
            .collect();
        let alone = spread(&alone)?;
        let (name, unit) = kind.name();
        table += &format!("\n{name} alone: {alone:.0} {unit}.");
    }
    table += &format!(
        "\n\nMedian (min..max) of {} rounds; windows of {} s. {}.",
        plan.n_rounds,
        plan.run_time.as_secs(),
        nginx::version()?
    );
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::{Run, added_ns};

    #[test]
    fn half_the_rate_is_as_much_again_for_each() {
        let run = Run { alone_per_s: 1e6, watched_per_s: 5e5, tool_percent: None, kernel: None };
        assert_eq!(added_ns(&run), 1000.0);
    }
}
