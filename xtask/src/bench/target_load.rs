//! The load that other tables measure against: nginx with gzip under wrk, nothing watching it.

use anyhow::Result;

use super::{
    Plan,
    median::spread,
    nginx::{self, Nginx},
    usage,
};
use crate::shell::Workspace;

pub(super) fn table(_: &Workspace, plan: &Plan) -> Result<String> {
    let nginx = Nginx::start()?;
    let worker = nginx.worker_pid()?;
    let (mut rates, mut shares, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=plan.n_rounds {
        let before = usage::of(worker)?;
        rates.push(nginx.load(plan.run_time)?.requests_per_s()?);
        println!("  round {round}/{}: {:.0} requests/s", plan.n_rounds, rates.last().unwrap_or(&0.0));
        let after = usage::of(worker)?;
        let busy = after.cpu_time.saturating_sub(before.cpu_time);
        shares.push(100.0 * busy.as_secs_f64() / plan.run_time.as_secs_f64());
        memory.push(after.rss_bytes as f64 / f64::from(1 << 20));
    }
    Ok(format!(
        "| {} | without us |\n|---|--:|\n| requests/s | {:.0} |\n| CPU of the worker, % of one core | {:.1} |\n\
         | RSS of the worker, MiB | {:.1} |\n\n\
         Median (min..max) of {} rounds of {} s.",
        nginx::version()?,
        spread(&rates)?,
        spread(&shares)?,
        spread(&memory)?,
        plan.n_rounds,
        plan.run_time.as_secs()
    ))
}
