//! What watching a whole host all the time costs, profiles sent as they are made: the daemon, and profile-bee beside it.

mod long;
mod receiver;
mod shipping;
mod watcher;

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use self::{
    receiver::{Part, Received},
    shipping::Shipping,
    watcher::Watcher,
};
use super::{
    Plan,
    bpf_stats::StatsOn,
    median::{Spread, spread},
    nginx::{self, Nginx},
    pairs::{self, Watched},
    usage,
};
use crate::shell::Workspace;

pub(super) use long::table as long_table;

const FREQUENCIES_HZ: [u32; 2] = [99, 1000];
/// What one profile covers, unless a run is too short for two of them.
const WINDOW: Duration = Duration::from_secs(10);
/// Tables of all files of all processes are written in this time.
const SETTLE: Duration = Duration::from_secs(1);
const MIB: f64 = (1 << 20) as f64;

/// One run: what it cost, and what has arrived of it.
#[derive(Debug)]
struct Run {
    /// Of nginx alone, just before or just after.
    alone_per_s: f64,
    watched: Watched,
    memory: usage::Memory,
    received: Received,
}

/// Bytes for each sample of a part; none if there are no samples.
fn per_sample(bytes: u64, part: Part) -> Option<f64> {
    (part.n_samples > 0).then(|| bytes as f64 / part.n_samples as f64)
}

/// A line of the table: what it is, digits after the point, and where the value is, if it was told.
type Line = (&'static str, usize, fn(&Run) -> Option<f64>);

const LINES: [Line; 17] = [
    ("requests/s", 0, |it| Some(it.watched.requests_per_s)),
    ("requests/s, % of the run with nothing beside it", 1, |it| {
        Some(100.0 * it.watched.requests_per_s / it.alone_per_s)
    }),
    ("CPU of the profiler, % of the machine", 3, |it| Some(it.watched.agent_percent)),
    ("CPU of its kernel programs, % of the machine", 3, |it| Some(it.watched.kernel_percent)),
    ("both together, % of the machine", 3, |it| Some(it.watched.agent_percent + it.watched.kernel_percent)),
    ("RSS of the profiler, MiB", 1, |it| Some(it.memory.rss_bytes() as f64 / MIB)),
    ("of it anonymous, MiB", 1, |it| Some(it.memory.anonymous_bytes as f64 / MIB)),
    ("of it files, MiB", 1, |it| Some(it.memory.file_bytes as f64 / MIB)),
    ("of it shared memory, MiB", 1, |it| Some(it.memory.shared_bytes as f64 / MIB)),
    ("samples of CPU time that the receiver has", 0, |it| Some(it.received.cpu.n_samples as f64)),
    ("samples lost, as the profiler tells it", 0, |it| it.received.n_lost.map(|n| n as f64)),
    ("bytes on the wire per sample of CPU time", 1, |it| {
        per_sample(it.received.cpu.wire_bytes, it.received.cpu)
    }),
    ("the same before compression", 1, |it| per_sample(it.received.cpu.message_bytes, it.received.cpu)),
    ("samples of growth that the receiver has", 0, |it| Some(it.received.others.n_samples as f64)),
    ("bytes on the wire per sample of growth", 1, |it| {
        per_sample(it.received.others.wire_bytes, it.received.others)
    }),
    ("KiB on the wire, all together", 1, |it| Some(it.received.wire_bytes() as f64 / 1024.0)),
    ("of them metrics", 1, |it| Some(it.received.metrics.wire_bytes as f64 / 1024.0)),
];

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let n_cpus = thread::available_parallelism().context("cannot count the CPUs")?.get();
    let _stats = StatsOn::new()?;
    let nginx = Nginx::start()?;
    let mut columns = Vec::new();
    for frequency_hz in FREQUENCIES_HZ {
        for kind in watcher::KINDS {
            let window = WINDOW.min(plan.run_time / 2).max(Duration::from_secs(1));
            columns.push((
                kind.find(workspace, plan)?,
                Shipping { frequency_hz, window, rss_limit_mib: 1024 },
                Vec::new(),
            ));
        }
    }
    for round in 1..=plan.n_rounds {
        for (installed, shipping, runs) in &mut columns {
            let alone = || nginx.load(plan.run_time)?.requests_per_s();
            let watch = || run(workspace, installed, *shipping, &nginx, plan, n_cpus);
            // In turned order from round to round, so that what drifts falls on both alike.
            let run = if round % 2 == 1 {
                let alone_per_s = alone()?;
                Run { alone_per_s, ..watch()? }
            } else {
                let run = watch()?;
                Run { alone_per_s: alone()?, ..run }
            };
            println!(
                "  round {round}/{}, {} at {} Hz: {run:?}",
                plan.n_rounds, installed.kind.name, shipping.frequency_hz
            );
            runs.push(run);
        }
    }
    render(&columns, plan, n_cpus)
}

/// `alone_per_s` is for the caller to fill in.
fn run(
    workspace: &Workspace,
    installed: &watcher::Installed,
    shipping: Shipping,
    nginx: &Nginx,
    plan: &Plan,
    n_cpus: usize,
) -> Result<Run> {
    let receiver = receiver::Receiver::start(workspace)?;
    let mut watcher = Watcher::start(installed, shipping, receiver.address())?;
    watcher.wait_until_sampling()?;
    // One window: names are new only once.
    thread::sleep(SETTLE + shipping.window);
    let watched = watcher.checked(|pid| pairs::process_under_load(pid, nginx, plan, n_cpus))?;
    let memory = watcher.checked(usage::memory)?;
    watcher.finish()?;
    Ok(Run { alone_per_s: f64::NAN, watched, memory, received: receiver.finish()? })
}

fn render(
    columns: &[(watcher::Installed, Shipping, Vec<Run>)],
    plan: &Plan,
    n_cpus: usize,
) -> Result<String> {
    let mut table = String::from("| |");
    for (installed, shipping, _) in columns {
        table += &format!(" {}, {} Hz |", installed.kind.name, shipping.frequency_hz);
    }
    table += &format!("\n|---|{}\n", "--:|".repeat(columns.len()));
    for (name, digits, value) in LINES {
        table += &format!("| {name} |");
        for (_, _, runs) in columns {
            let values: Vec<f64> = runs.iter().filter_map(value).collect();
            let shown = Spread::of(&values).map_or_else(|| "none".to_owned(), |it| format!("{it:.digits$}"));
            table += &format!(" {shown} |");
        }
        table.push('\n');
    }
    let all = columns.iter().flat_map(|(_, _, runs)| runs);
    let alone = spread(&all.map(|run| run.alone_per_s).collect::<Vec<f64>>())?;
    let versions: Vec<&str> = watcher::KINDS
        .iter()
        .filter_map(|kind| Some(version(columns, kind.name)?.version.as_str()))
        .collect();
    let window = columns.first().context("nothing was measured")?.1.window;
    Ok(format!(
        "{table}\nMedian (min..max) of {} rounds of {} s for each, each beside a run with nothing, in turned order from \
         round to round; windows of {} s; the machine is all {n_cpus} CPUs. With nothing: {alone:.0} requests/s; these \
         runs lie {:.1} % of their median apart. {}; {}.",
        plan.n_rounds,
        plan.run_time.as_secs(),
        window.as_secs(),
        100.0 * (alone.max - alone.min) / alone.median,
        versions.join(", "),
        nginx::version()?
    ))
}

fn version<'a>(
    columns: &'a [(watcher::Installed, Shipping, Vec<Run>)],
    name: &str,
) -> Option<&'a watcher::Installed> {
    columns.iter().map(|(installed, _, _)| installed).find(|it| it.kind.name == name)
}
