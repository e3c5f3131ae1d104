//! `collector scheduler` and `collector executor`: the programs of a cluster.

use std::{future::Future, io::Write, net::SocketAddr};

use ::cluster::{ClusterError, executor::Options as ExecutorOptions, scheduler::Options as SchedulerOptions};
use anyhow::Context as _;

use super::sql::store;
use crate::args::{ExecutorArgs, SchedulerArgs};

/// Expressions of people may be nested.
const STACK_BYTES: usize = 16 << 20;

/// `collector scheduler`: until it is told to end. Where it listens is said on `out`.
///
/// # Errors
/// If it cannot begin, or not go on.
pub fn scheduler(out: &mut impl Write, args: &SchedulerArgs) -> anyhow::Result<()> {
    let options = SchedulerOptions {
        listen: args.listen,
        advertise: args.advertise.clone(),
        without_tokens: args.without_tokens,
    };
    run(::cluster::scheduler::run(&options, |address| told(out, "scheduler", address)))
}

/// `collector executor`: until it is told to end. Where it listens is said on `out`.
///
/// # Errors
/// If it cannot begin, or not go on.
pub fn executor(out: &mut impl Write, args: &ExecutorArgs) -> anyhow::Result<()> {
    let store = store(&args.store)?;
    let (objects, _) = store.objects();
    let options = ExecutorOptions {
        scheduler: args.scheduler.parse().with_context(|| format!("--scheduler {}", args.scheduler))?,
        listen: args.listen,
        tasks_port: args.tasks_port,
        advertise: args.advertise.clone(),
        n_threads: args.threads,
        memory_bytes: args.memory_bytes,
        work_dir: args.work_dir.clone(),
        without_tokens: args.without_tokens,
    };
    let listening = |address| told(out, "executor", address);
    run(::cluster::executor::run(&options, store.address(), objects, listening))
}

fn run(program: impl Future<Output = Result<(), ClusterError>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("cluster")
        .thread_stack_size(STACK_BYTES)
        .build();
    Ok(runtime.context("cannot start threads")?.block_on(program)?)
}

fn told(out: &mut impl Write, who: &str, address: SocketAddr) {
    // Nobody may be reading.
    let _ = writeln!(out, "{who} {address}").and_then(|()| out.flush());
}
