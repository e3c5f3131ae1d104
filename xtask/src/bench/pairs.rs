//! nginx under load without us and with us, in pairs, in turned order from pair to pair, so that what drifts meanwhile
//! falls on both alike.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};

use super::{
    Plan,
    held::{self, Runs},
    load::Served,
    median::{Spread, spread},
    nginx::Nginx,
    session::Session,
    usage,
};

/// A run without us and one with us, one after the other.
#[derive(Debug)]
pub(super) struct Pair<T> {
    pub(super) alone_per_s: f64,
    pub(super) watched: T,
}

/// What nginx did, and what we used, while we watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub(super) requests_per_s: f64,
    pub(super) n_requests: u64,
    pub(super) agent_percent: f64,
    pub(super) kernel_percent: f64,
    pub(super) ns_per_run: f64,
    pub(super) rss_mib: f64,
}

/// As many pairs as are planned.
pub(super) fn measure<T: fmt::Debug>(
    plan: &Plan,
    nginx: &Nginx,
    watch: impl Fn() -> Result<T>,
) -> Result<Vec<Pair<T>>> {
    let mut pairs = Vec::new();
    for round in 1..=plan.n_rounds {
        let alone = || nginx.load(plan.run_time)?.requests_per_s();
        let pair = if round % 2 == 1 {
            let alone_per_s = alone()?;
            Pair { alone_per_s, watched: watch()? }
        } else {
            let watched = watch()?;
            Pair { alone_per_s: alone()?, watched }
        };
        println!("  pair {round}/{}: {pair:?}", plan.n_rounds);
        pairs.push(pair);
    }
    Ok(pairs)
}

/// Puts nginx under load while a session that has settled watches.
pub(super) fn under_load(
    session: &mut Session<'_>,
    nginx: &Nginx,
    plan: &Plan,
    n_cpus: usize,
) -> Result<Watched> {
    let watched = process_under_load(session.pid(), nginx, plan, n_cpus);
    // If it has ended, this says why.
    session.held()?;
    watched
}

/// The same, of a process that holds programs.
pub(super) fn process_under_load(pid: u32, nginx: &Nginx, plan: &Plan, n_cpus: usize) -> Result<Watched> {
    let kernel = || -> Result<Runs> { Ok(Runs::of(&held::by(pid)?.programs)) };
    let (kernel_before, agent_before) = (kernel()?, usage::on_cpu(pid)?);
    let Served { n_requests, per_s: requests_per_s } = nginx.load(plan.run_time)?.served()?;
    let (kernel_after, agent_after) = (kernel()?, usage::on_cpu(pid)?);
    let rss_bytes = usage::of(pid)?.rss_bytes;
    let kernel = kernel_after.since(kernel_before).context("a program went away")?;
    let percent = |time: Duration| 100.0 * time.as_secs_f64() / plan.run_time.as_secs_f64() / n_cpus as f64;
    Ok(Watched {
        requests_per_s,
        n_requests,
        agent_percent: percent(agent_after.saturating_sub(agent_before)),
        kernel_percent: percent(Duration::from_nanos(kernel.time_ns)),
        ns_per_run: kernel.time_ns as f64 / kernel.count.max(1) as f64,
        rss_mib: rss_bytes as f64 / f64::from(1 << 20),
    })
}

/// The middle of a value over all pairs.
pub(super) fn over<T>(pairs: &[Pair<T>], value: impl Fn(&Pair<T>) -> f64) -> Result<Spread> {
    spread(&pairs.iter().map(value).collect::<Vec<f64>>())
}

/// The rows that every table of pairs has, and the sentence on noise.
pub(super) fn rows<T>(pairs: &[Pair<T>], watched: fn(&T) -> &Watched) -> Result<(String, String)> {
    let of = |value: fn(&Watched) -> f64| over(pairs, |pair| value(watched(&pair.watched)));
    let alone = over(pairs, |it| it.alone_per_s)?;
    let rows = format!(
        "| requests/s | {alone:.0} | {:.0} |\n\
         | requests/s, % of the other run of the pair | | {:.1} |\n\
         | CPU of the agent, % of the machine | | {:.3} |\n\
         | CPU of its kernel programs, % of the machine | | {:.3} |\n\
         | both together, % of the machine | | {:.3} |\n\
         | kernel ns per run of a program | | {:.0} |\n\
         | RSS of the agent, MiB | | {:.1} |\n",
        of(|it| it.requests_per_s)?,
        over(pairs, |it| 100.0 * watched(&it.watched).requests_per_s / it.alone_per_s)?,
        of(|it| it.agent_percent)?,
        of(|it| it.kernel_percent)?,
        of(|it| it.agent_percent + it.kernel_percent)?,
        of(|it| it.ns_per_run)?,
        of(|it| it.rss_mib)?,
    );
    let noise = 100.0 * (alone.max - alone.min) / alone.median;
    Ok((rows, format!("Noise: the runs with nothing lie {noise:.1} % of their median apart.")))
}
