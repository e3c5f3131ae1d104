//! What `agent requests` costs while nginx is as busy as wrk can make it.

use std::thread;

use anyhow::{Context, Result, bail};

use super::{
    Plan,
    bpf_stats::StatsOn,
    nginx::{self, Nginx},
    pairs::{self, Watched},
    profiler::{AGENT_REQUESTS, Installed, Sampled},
    session::Session,
};
use crate::shell::Workspace;

/// Nothing is due by time.
const NO_FREQUENCY: u32 = 0;

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let agent = AGENT_REQUESTS.find(workspace, plan)?;
    let n_cpus = thread::available_parallelism().context("cannot count the CPUs")?.get();
    let _stats = StatsOn::new()?;
    let nginx = Nginx::start_small()?;
    let pairs = pairs::measure(plan, &nginx, || watch(&agent, &nginx, plan, n_cpus))?;
    let (rows, noise) = pairs::rows(&pairs, |watched| watched)?;
    Ok(format!(
        "| | nothing | agent requests |\n|---|--:|--:|\n{rows}\n\
         Median (min..max) of {} pairs of {} s, in turned order from pair to pair; the machine is all {n_cpus} CPUs. \
         {noise} {}.",
        plan.n_rounds,
        plan.run_time.as_secs(),
        nginx::version()?
    ))
}

fn watch(agent: &Installed, nginx: &Nginx, plan: &Plan, n_cpus: usize) -> Result<Watched> {
    let sampled = Sampled { pid: nginx.pid(), frequency_hz: NO_FREQUENCY };
    let mut session = Session::start(agent, sampled, None)?;
    session.wait_until_loaded()?;
    let watched = pairs::under_load(&mut session, nginx, plan, n_cpus)?;
    let report: serde_json::Value =
        serde_json::from_str(&session.finish()?.stdout).context("`agent requests` printed no report")?;
    let seen = report.pointer("/requests").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let served = watched.requests_per_s * plan.run_time.as_secs_f64();
    // wrk counts what was answered until it ended; a few more were.
    if (seen as f64 - served).abs() > 0.01 * served {
        bail!("{seen} requests were seen, and wrk saw {served:.0}: {}", report["losses"]);
    }
    Ok(watched)
}
