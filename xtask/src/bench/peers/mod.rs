//! Ours beside other profilers, on one program and on proxies under load, in one run.
//!
//! A target rests while a profiler starts, so that what its ticks cost when they find nobody can be told from what
//! its samples cost; then it works.

mod render;
mod target;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    Plan,
    bpf_stats::StatsOn,
    cost,
    held::Runs,
    profiler::{AGENT, BPFTRACE, Channel, Installed, PERF_16K, PERF_64K, PROBEE, Profiler, Sampled},
    servers,
    session::Session,
};
use crate::{packages, shell::Workspace};
use target::Target;

const FREQUENCY_HZ: u32 = 997;
/// Tables of the files that a target maps are written in this time.
const SETTLE: Duration = Duration::from_millis(500);
const FILTERED_WINDOW: Duration = Duration::from_secs(1);
/// For the time to the first whole stack.
const SHORT: Duration = Duration::from_secs(1);
/// The program of 25 calls without frame pointers; the others are servers.
const PROGRAM: &str = "deep_nofp";

/// A target and those that it is shown to.
struct Bout {
    target: &'static str,
    profilers: [&'static Profiler; 4],
}

const SHALLOW: [&Profiler; 4] = [&AGENT, &PROBEE, &PERF_16K, &BPFTRACE];
/// Its stacks are four times as deep as a copy of 16 KiB.
const DEEP: [&Profiler; 4] = [&AGENT, &PROBEE, &PERF_64K, &BPFTRACE];

const BOUTS: [Bout; 4] = [
    Bout { target: PROGRAM, profilers: SHALLOW },
    Bout { target: "nginx", profilers: SHALLOW },
    Bout { target: "haproxy", profilers: SHALLOW },
    Bout { target: "Pingora", profilers: DEEP },
];

/// One profiler on one target, a value for each round.
struct Row {
    target: &'static str,
    profiler: &'static Profiler,
    values: Vec<Value>,
}

/// What one round gave. None is what cannot be told of this profiler or this target.
#[derive(Debug)]
struct Value {
    /// Of the time of its BPF programs.
    sample_ns: Option<f64>,
    /// Samples that it shows, of the ticks that found the target.
    taken_percent: f64,
    rooted_percent: f64,
    bytes_per_sample: Option<f64>,
    /// From its start to the last line that it printed.
    cpu_s: f64,
    max_rss_mib: f64,
    requests_percent: Option<f64>,
    /// None: no stack was whole.
    first_whole_s: Option<f64>,
}

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    packages::install(&packages::BENCH)?;
    let dir = workspace.target.join("programs");
    let built = xtask::programs::build_all(&workspace.root, &dir)?;
    let program = built.iter().find(|path| path.ends_with(PROGRAM)).context("the program was not built")?;
    let _stats = StatsOn::new()?;
    let upstream = servers::upstream(workspace)?;
    let (mut rows, mut versions) = (Vec::new(), Vec::new());
    for bout in &BOUTS {
        let mut target = if bout.target == PROGRAM {
            Target::program(program)?
        } else {
            Target::server(workspace, servers::kind(bout.target)?, &upstream)?
        };
        let installed: Vec<Installed> =
            bout.profilers.iter().map(|it| it.find(workspace, plan)).collect::<Result<_>>()?;
        let first = rows.len();
        rows.extend(bout.profilers.map(|profiler| Row { target: bout.target, profiler, values: Vec::new() }));
        for round in 1..=plan.n_rounds {
            for (row, installed) in rows.iter_mut().skip(first).zip(&installed) {
                let named = || format!("{} on {}", row.profiler.name, row.target);
                let value = measure(installed, &mut target, plan).with_context(named)?;
                println!("  round {round}/{}: {}: {value:?}", plan.n_rounds, named());
                row.values.push(value);
            }
        }
        for installed in installed {
            if !versions.contains(&installed.version) {
                versions.push(installed.version);
            }
        }
    }
    render::table(&rows, &versions, plan)
}

fn measure(installed: &Installed, target: &mut Target, plan: &Plan) -> Result<Value> {
    let first_whole_s = first_whole(installed, target)?.map(|it| it.as_secs_f64());
    let alone = target.work(plan.run_time)?;

    let sampled = Sampled { pid: target.pid()?, frequency_hz: FREQUENCY_HZ };
    let mut session = Session::start(installed, sampled, target.profiler_cpu())?;
    session.wait_until_sampling()?;
    thread::sleep(SETTLE);
    let idle = session.samplers()?;
    thread::sleep(FILTERED_WINDOW);
    let (before, ring_before) = (session.samplers()?, session.ring_bytes()?);
    let filtered_ns = before.since(idle).and_then(cost::ns_per_tick).unwrap_or(0.0);

    let work = target.work(plan.run_time)?;
    let runs: Runs = session.samplers()?.since(before).context("a program went away")?;
    let ring_bytes = session.ring_bytes()?.saturating_sub(ring_before);
    let printed = session.finish()?;

    let stacks = (installed.profiler.stacks)(&printed)?;
    let n_ticks = cost::n_ticks(work.on_cpu, FREQUENCY_HZ);
    // The kernel takes interrupts out of a thread's time, but they are sampled, too; a profiler may lose samples.
    let n_samples = (stacks.n_samples as f64).max(n_ticks);
    let bytes_per_sample = match installed.profiler.channel {
        Channel::Ring | Channel::RingAndFile(_) => Some(ring_bytes as f64 / n_samples.max(1.0)),
        Channel::File(_) => Some(printed.file_bytes as f64 / stacks.n_samples.max(1) as f64),
        Channel::Maps => None,
    };
    Ok(Value {
        sample_ns: cost::ns_per_sample(runs, n_samples, filtered_ns),
        taken_percent: 100.0 * stacks.n_samples as f64 / n_ticks.max(1.0),
        rooted_percent: stacks.rooted_percent(),
        bytes_per_sample,
        cpu_s: printed.spent.cpu_time.as_secs_f64(),
        max_rss_mib: printed.spent.max_rss_bytes as f64 / f64::from(1 << 20),
        requests_percent: work
            .requests_per_s
            .zip(alone.requests_per_s)
            .map(|(with, alone)| 100.0 * with / alone),
        first_whole_s,
    })
}

/// From the start of a profiler until it has printed a whole stack, when told to end after a second: the target
/// works all the while.
fn first_whole(installed: &Installed, target: &Target) -> Result<Option<Duration>> {
    let sampled = Sampled { pid: target.pid()?, frequency_hz: FREQUENCY_HZ };
    let busy = target.keep_busy()?;
    let start = Instant::now();
    let mut session = Session::start(installed, sampled, target.profiler_cpu())?;
    session.wait_until_sampling()?;
    thread::sleep(SHORT);
    let stacks = (installed.profiler.stacks)(&session.finish()?)?;
    let took = start.elapsed();
    drop(busy);
    Ok((stacks.n_rooted > 0).then_some(took))
}
