//! What watching a whole host at 1,000 Hz costs, while nginx is as busy as wrk can make it.
//!
//! Runs with us and without come in pairs, in turned order from pair to pair, so that what drifts meanwhile falls
//! on both alike.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    Plan,
    bpf_stats::StatsOn,
    held::Runs,
    median::{Spread, spread},
    nginx::{self, Nginx},
    profiler::{AGENT_ALL, Installed, Sampled},
    session::Session,
    stacks::Stacks,
    usage,
};
use crate::shell::Workspace;

const FREQUENCY_HZ: u32 = 1000;
/// Tables of all files of all processes are written in this time.
const SETTLE: Duration = Duration::from_secs(1);

/// A run without us and one with us, one after the other.
#[derive(Debug)]
struct Pair {
    alone_per_s: f64,
    watched: Watched,
}

#[derive(Debug)]
struct Watched {
    requests_per_s: f64,
    agent_percent: f64,
    kernel_percent: f64,
    ns_per_run: f64,
    rss_mib: f64,
    stacks: Stacks,
}

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let agent = AGENT_ALL.find(workspace, plan)?;
    let n_cpus = thread::available_parallelism().context("cannot count the CPUs")?.get();
    let _stats = StatsOn::new()?;
    let nginx = Nginx::start()?;
    let mut pairs = Vec::new();
    for round in 1..=plan.n_rounds {
        let alone = || nginx.load(plan.run_time)?.requests_per_s();
        let pair = if round % 2 == 1 {
            let alone_per_s = alone()?;
            Pair { alone_per_s, watched: watch(&agent, &nginx, plan, n_cpus)? }
        } else {
            let watched = watch(&agent, &nginx, plan, n_cpus)?;
            Pair { alone_per_s: alone()?, watched }
        };
        println!("  pair {round}/{}: {pair:?}", plan.n_rounds);
        pairs.push(pair);
    }
    render(&pairs, plan, n_cpus)
}

fn watch(agent: &Installed, nginx: &Nginx, plan: &Plan, n_cpus: usize) -> Result<Watched> {
    let sampled = Sampled { pid: nginx.pid(), frequency_hz: FREQUENCY_HZ };
    let mut session = Session::start(agent, sampled, None)?;
    session.wait_until_sampling()?;
    thread::sleep(SETTLE);
    let kernel_of = |session: &mut Session<'_>| -> Result<Runs> { Ok(Runs::of(&session.held()?.programs)) };
    let (kernel_before, agent_before) = (kernel_of(&mut session)?, usage::on_cpu(session.pid())?);
    let requests_per_s = nginx.load(plan.run_time)?.requests_per_s()?;
    let (kernel_after, agent_after) = (kernel_of(&mut session)?, usage::on_cpu(session.pid())?);
    let rss_bytes = usage::of(session.pid())?.rss_bytes;
    let stacks = (agent.profiler.stacks)(&session.finish()?)?;
    let kernel = kernel_after.since(kernel_before).context("a program went away")?;
    let percent = |time: Duration| 100.0 * time.as_secs_f64() / plan.run_time.as_secs_f64() / n_cpus as f64;
    Ok(Watched {
        requests_per_s,
        agent_percent: percent(agent_after.saturating_sub(agent_before)),
        kernel_percent: percent(Duration::from_nanos(kernel.time_ns)),
        ns_per_run: kernel.time_ns as f64 / kernel.count.max(1) as f64,
        rss_mib: rss_bytes as f64 / f64::from(1 << 20),
        stacks,
    })
}

fn render(pairs: &[Pair], plan: &Plan, n_cpus: usize) -> Result<String> {
    let of = |value: fn(&Pair) -> f64| -> Result<Spread> {
        spread(&pairs.iter().map(value).collect::<Vec<f64>>())
    };
    let alone = of(|it| it.alone_per_s)?;
    let whole: Vec<f64> = pairs.iter().filter_map(|it| it.watched.stacks.whole_percent()).collect();
    Ok(format!(
        "| | nothing | agent record --all, {FREQUENCY_HZ} Hz |\n|---|--:|--:|\n\
         | requests/s | {alone:.0} | {:.0} |\n\
         | requests/s, % of the other run of the pair | | {:.1} |\n\
         | CPU of the agent, % of the machine | | {:.3} |\n\
         | CPU of its kernel programs, % of the machine | | {:.3} |\n\
         | both together, % of the machine | | {:.3} |\n\
         | kernel ns per run of a program | | {:.0} |\n\
         | samples | | {:.0} |\n\
         | whole stacks, % | | {:.2} |\n\
         | RSS of the agent, MiB | | {:.1} |\n\n\
         Median (min..max) of {} pairs of {} s, in turned order from pair to pair; the machine is all {n_cpus} CPUs. \
         Noise: the runs with nothing lie {:.1} % of their median apart. {}.",
        of(|it| it.watched.requests_per_s)?,
        of(|it| 100.0 * it.watched.requests_per_s / it.alone_per_s)?,
        of(|it| it.watched.agent_percent)?,
        of(|it| it.watched.kernel_percent)?,
        of(|it| it.watched.agent_percent + it.watched.kernel_percent)?,
        of(|it| it.watched.ns_per_run)?,
        of(|it| it.watched.stacks.n_samples as f64)?,
        spread(&whole)?,
        of(|it| it.watched.rss_mib)?,
        plan.n_rounds,
        plan.run_time.as_secs(),
        100.0 * (alone.max - alone.min) / alone.median,
        nginx::version()?
    ))
}
