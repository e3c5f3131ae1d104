//! What watching a whole host at 1,000 Hz costs, while nginx is as busy as wrk can make it.

use std::{thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    Plan,
    bpf_stats::StatsOn,
    median::spread,
    nginx::{self, Nginx},
    pairs::{self, Pair, Watched},
    profiler::{AGENT_ALL, Installed, Sampled},
    session::Session,
    stacks::Stacks,
};
use crate::shell::Workspace;

const FREQUENCY_HZ: u32 = 1000;
/// Tables of all files of all processes are written in this time.
const SETTLE: Duration = Duration::from_secs(1);

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let agent = AGENT_ALL.find(workspace, plan)?;
    let n_cpus = thread::available_parallelism().context("cannot count the CPUs")?.get();
    let _stats = StatsOn::new()?;
    let nginx = Nginx::start()?;
    let pairs = pairs::measure(plan, &nginx, || watch(&agent, &nginx, plan, n_cpus))?;
    render(&pairs, plan, n_cpus)
}

fn watch(agent: &Installed, nginx: &Nginx, plan: &Plan, n_cpus: usize) -> Result<(Watched, Stacks)> {
    let sampled = Sampled { pid: nginx.pid(), frequency_hz: FREQUENCY_HZ };
    let mut session = Session::start(agent, sampled, None)?;
    session.wait_until_sampling()?;
    thread::sleep(SETTLE);
    let watched = pairs::under_load(&mut session, nginx, plan, n_cpus)?;
    Ok((watched, (agent.profiler.stacks)(&session.finish()?)?))
}

fn render(pairs: &[Pair<(Watched, Stacks)>], plan: &Plan, n_cpus: usize) -> Result<String> {
    let whole: Vec<f64> = pairs.iter().filter_map(|it| it.watched.1.whole_percent()).collect();
    let (rows, noise) = pairs::rows(pairs, |(watched, _)| watched)?;
    Ok(format!(
        "| | nothing | agent record --all, {FREQUENCY_HZ} Hz |\n|---|--:|--:|\n{rows}\
         | samples | | {:.0} |\n\
         | whole stacks, % | | {:.2} |\n\n\
         Median (min..max) of {} pairs of {} s, in turned order from pair to pair; the machine is all {n_cpus} CPUs. \
         {noise} {}.",
        pairs::over(pairs, |it| it.watched.1.n_samples as f64)?,
        spread(&whole)?,
        plan.n_rounds,
        plan.run_time.as_secs(),
        nginx::version()?
    ))
}
