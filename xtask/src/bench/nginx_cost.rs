//! What each way of looking costs an nginx that is as busy as wrk can make it: a table of pairs, with it and without.

use std::thread;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{
    Plan,
    awake::Awake,
    bpf_stats::StatsOn,
    nginx::{self, Nginx},
    pairs::{self, Watched},
    profiler::{AGENT_LOOP, AGENT_MEMORY, AGENT_OFF_CPU, AGENT_REQUESTS, Profiler, Sampled},
    session::Session,
};
use crate::shell::Workspace;

/// What is used where nothing else is said, if ticks are taken at all.
const FREQUENCY_HZ: u32 = 99;

/// A way of looking.
#[derive(Clone, Copy)]
struct Way {
    profiler: &'static Profiler,
    column: &'static str,
    /// As many requests as can be, or such that take a while.
    page: fn() -> Result<Nginx>,
    /// Whether the kernel times programs while it looks. Where it does not, that would be much of the cost, and is done in runs of
    /// their own.
    has_clock: bool,
    /// Whether it has done what it was started for, by what it printed.
    has_worked: fn(&str, &Watched) -> Result<()>,
}

static MEMORY: Way = Way {
    profiler: &AGENT_MEMORY,
    column: "agent memory, trend every second and stacks",
    page: Nginx::start,
    has_clock: true,
    has_worked: |printed, _| {
        let report: Value = serde_json::from_str(printed).context("`agent memory` printed no report")?;
        if report.pointer("/growth/n_samples").is_none() {
            bail!("it watched without stacks: {}", report["comments"]);
        }
        Ok(())
    },
};

static REQUESTS: Way = Way {
    profiler: &AGENT_REQUESTS,
    column: "agent requests",
    page: Nginx::start_small,
    has_clock: false,
    has_worked: |printed, watched| {
        let report: Value = serde_json::from_str(printed).context("`agent requests` printed no report")?;
        let n_seen = report["requests"].as_u64().unwrap_or(0);
        // A few were answered after wrk had counted.
        if n_seen < watched.n_requests || n_seen > watched.n_requests + watched.n_requests / 100 {
            bail!("{n_seen} requests were seen, and wrk saw {}: {}", watched.n_requests, report["losses"]);
        }
        Ok(())
    },
};

/// About 10,000 a second.
static REQUESTS_OF_PAGES: Way =
    Way { column: "agent requests, pages of 24 KiB that it compresses", page: Nginx::start_page, ..REQUESTS };

static OFF_CPU: Way = Way {
    profiler: &AGENT_OFF_CPU,
    column: AGENT_OFF_CPU.name,
    page: Nginx::start,
    has_clock: true,
    has_worked: |_, _| Ok(()),
};

static LOOP: Way = Way { profiler: &AGENT_LOOP, column: AGENT_LOOP.name, ..OFF_CPU };

pub(super) fn of_memory(workspace: &Workspace, plan: &Plan) -> Result<String> {
    table(&MEMORY, workspace, plan)
}

pub(super) fn of_requests(workspace: &Workspace, plan: &Plan) -> Result<String> {
    both([&REQUESTS_OF_PAGES, &REQUESTS], workspace, plan)
}

pub(super) fn of_waits(workspace: &Workspace, plan: &Plan) -> Result<String> {
    both([&OFF_CPU, &LOOP], workspace, plan)
}

fn both(ways: [&Way; 2], workspace: &Workspace, plan: &Plan) -> Result<String> {
    let [one, other] = ways.map(|way| table(way, workspace, plan));
    Ok(format!("{}\n\n{}", one?, other?))
}

fn table(way: &Way, workspace: &Workspace, plan: &Plan) -> Result<String> {
    let agent = way.profiler.find(workspace, plan)?;
    let n_cpus = thread::available_parallelism().context("cannot count the CPUs")?.get();
    let mut nginx = (way.page)()?;
    if n_cpus > 1 {
        nginx.keep_apart()?;
    }
    // In a virtual machine, waking one up costs as much as a request now and next to nothing then.
    let _awake = Awake::new()?;
    let watch = || {
        let sampled = Sampled { pid: nginx.pid(), frequency_hz: FREQUENCY_HZ };
        let mut session = Session::start(&agent, sampled, None)?;
        // No tick says that it has begun: not every way takes any.
        session.wait_until_loaded()?;
        let watched = pairs::under_load(&mut session, &nginx, plan, n_cpus)?;
        (way.has_worked)(&session.finish()?.stdout, &watched)?;
        Ok(watched)
    };
    let clock = way.has_clock.then(StatsOn::new).transpose()?;
    let mut pairs = pairs::measure(plan, &nginx, watch)?;
    if clock.is_none() {
        let _clock = StatsOn::new()?;
        for pair in &mut pairs {
            let Watched { kernel_percent, ns_per_run, .. } = watch()?;
            pair.watched = Watched { kernel_percent, ns_per_run, ..pair.watched };
        }
    }
    let (rows, noise) = pairs::rows(&pairs, |watched| watched)?;
    let timed = if way.has_clock {
        ""
    } else {
        " What kernel programs take is from runs of their own, as the clock slows them."
    };
    Ok(format!(
        "| | nothing | {} |\n|---|--:|--:|\n{rows}\n\
         Median (min..max) of {} pairs of {} s, in turned order from pair to pair; the machine is all {n_cpus} CPUs, which do \
         not halt meanwhile; nginx' worker is kept to one and wrk to another.{timed} \
         {noise} {}.",
        way.column,
        plan.n_rounds,
        plan.run_time.as_secs(),
        nginx::version()?
    ))
}
