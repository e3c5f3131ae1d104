//! What the daemon knows of itself, put together from all who know a part of it.

use std::time::Duration;

use profile::Labels;

use super::{
    engine::{Engine, rss_bytes},
    figures::{
        BudgetFigures, Figures, KillSwitch, MAX_TOLD_PIDS, SpoolState, TableFigures, TargetFigures,
        WindowFigures,
    },
    running::Carried,
    tally::Tally,
};
use crate::{clock, config::Config, send::shipper::Shipper};

/// Everything that the daemon knows of itself.
pub(super) fn figures(
    config: &Config,
    engine: &Engine,
    tally: &Tally,
    shipper: &Shipper,
    carried: &Carried,
    start_unix_ns: u64,
) -> Figures {
    let Engine { streams, assembler, governor, state, .. } = engine;
    let made = assembler.made();
    let mut lost = tally.lost.clone();
    lost.samples.insert("unspooled", made.n_unspooled);
    let mut targets: Vec<TargetFigures> =
        streams.groups().map(|(labels, pids)| target(labels, pids)).collect();
    targets.sort_by(|a, b| b.n_processes.cmp(&a.n_processes).then_with(|| a.service.cmp(&b.service)));
    Figures {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        start_unix_ns,
        taken_unix_ns: clock::unix_ns(),
        taken_ns: clock::monotonic_ns(),
        samples: made.samples,
        tables: TableFigures {
            bytes: streams.table_bytes(),
            limit_bytes: config.table_memory_bytes,
            evicted: lost.others_by("tables_evicted"),
        },
        lost,
        stacks: made.stacks,
        windows: WindowFigures {
            made: made.n_windows,
            late: carried.n_late + state.n_late,
            profiles: made.n_profiles,
        },
        symbols: made.symbols,
        programs: tally.programs.clone(),
        agent_cpu: Duration::from_nanos(clock::process_cpu_ns()),
        rss_bytes: rss_bytes(),
        rss_limit_bytes: config.rss_limit_bytes,
        budget: BudgetFigures {
            limit_percent: config.overhead_budget_percent,
            used_percent: governor.used_percent(),
            frequency_hz: governor.rate_hz(),
            configured_hz: config.events.cpu_frequency_hz,
            n_lowered: carried.n_lowered + state.budget.n_lowered,
            n_raised: carried.n_raised + state.budget.n_raised,
            last_step: state.budget.last_step,
        },
        targets,
        sessions: streams.sessions(),
        pumped_ns: state.pumped_ns.filter(|_| !state.is_killed),
        shipper: (!config.sinks.is_empty()).then(|| shipper.figures()),
        spool: SpoolState { limit_bytes: config.spool.limits.max_bytes, write_error: made.write_error },
        config: carried.config.clone(),
        kill_switch: KillSwitch {
            path: config.kill_switch.clone().unwrap_or_default(),
            is_on: state.is_killed,
        },
    }
}

fn target(labels: &Labels, pids: &[u32]) -> TargetFigures {
    let service = labels.get("service.name").unwrap_or_default().to_owned();
    TargetFigures {
        rule: service.clone(),
        service,
        labels: labels.clone(),
        n_processes: pids.len() as u64,
        pids: pids.iter().copied().take(MAX_TOLD_PIDS).collect(),
    }
}
