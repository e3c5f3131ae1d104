//! What `agent memory` costs, trend and stacks together, while nginx is as busy as wrk can make it.

use std::thread;

use anyhow::{Context, Result, bail};

use super::{
    Plan,
    bpf_stats::StatsOn,
    nginx::{self, Nginx},
    pairs::{self, Watched},
    profiler::{AGENT_MEMORY, Installed, Sampled},
    session::Session,
};
use crate::shell::Workspace;

/// What is recorded is due by bytes.
const NO_FREQUENCY: u32 = 0;

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let agent = AGENT_MEMORY.find(workspace, plan)?;
    let n_cpus = thread::available_parallelism().context("cannot count the CPUs")?.get();
    let _stats = StatsOn::new()?;
    let nginx = Nginx::start()?;
    let pairs = pairs::measure(plan, &nginx, || watch(&agent, &nginx, plan, n_cpus))?;
    let (rows, noise) = pairs::rows(&pairs, |watched| watched)?;
    Ok(format!(
        "| | nothing | agent memory, trend every second and stacks |\n|---|--:|--:|\n{rows}\n\
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
    // No tick says that it has begun: memory that does not grow has no samples.
    session.wait_until_loaded()?;
    let watched = pairs::under_load(&mut session, nginx, plan, n_cpus)?;
    let report: serde_json::Value =
        serde_json::from_str(&session.finish()?.stdout).context("`agent memory` printed no report")?;
    if report.pointer("/growth/n_samples").is_none() {
        bail!("it watched without stacks: {}", report["comments"]);
    }
    Ok(watched)
}
