//! What the daemon knows of itself, put together from all who know a part of it.

use std::time::Duration;

use profile::Labels;

use super::{
    assembler::Made,
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
    let Engine { streams, assembler, governor, spacing, state, .. } = engine;
    let mut targets: Vec<TargetFigures> =
        streams.groups().map(|(labels, pids)| target(labels, pids)).collect();
    targets.sort_by(|a, b| b.n_processes.cmp(&a.n_processes).then_with(|| a.service.cmp(&b.service)));
    let mut figures = Figures {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        start_unix_ns,
        tables: TableFigures {
            bytes: streams.table_bytes(),
            limit_bytes: config.table_memory_bytes,
            ..TableFigures::default()
        },
        windows: WindowFigures {
            late: carried.n_late + state.n_late,
            early: carried.n_early + state.n_early,
            ..WindowFigures::default()
        },
        rss_bytes: rss_bytes(),
        rss_limit_bytes: config.rss_limit_bytes,
        budget: BudgetFigures {
            limit_percent: config.overhead_budget_percent,
            used_percent: governor.used_percent(),
            frequency_hz: governor.rate_hz(),
            configured_hz: config.events.cpu_frequency_hz,
            growth_interval_bytes: spacing.interval_bytes(),
            configured_growth_interval_bytes: config.events.faults_interval_bytes,
            n_lowered: carried.n_lowered + state.budget.n_lowered,
            n_raised: carried.n_raised + state.budget.n_raised,
            last_step: state.budget.last_step,
        },
        targets,
        sessions: streams.sessions(),
        pumped_ns: state.pumped_ns.filter(|_| !state.is_killed),
        shipper: (!config.sinks.is_empty()).then(|| shipper.figures().after(&carried.shipped)),
        spool: SpoolState { limit_bytes: config.spool.limits.max_bytes, ..SpoolState::default() },
        config: carried.config.clone(),
        kill_switch: KillSwitch {
            path: config.kill_switch.clone().unwrap_or_default(),
            is_on: state.is_killed,
        },
        ..Figures::default()
    };
    count(&mut figures, tally, assembler.made());
    figures
}

/// As of the end: what was counted since `told` is in it, all else is as it was.
pub(super) fn at_the_end(told: &Figures, carried: &Carried) -> Figures {
    let mut figures = told.clone();
    count(&mut figures, &carried.tally, carried.made.clone());
    figures
}

/// What streams and windows have counted so far.
fn count(figures: &mut Figures, tally: &Tally, made: Made) {
    figures.taken_unix_ns = clock::unix_ns();
    figures.taken_ns = clock::monotonic_ns();
    figures.lost = tally.lost.clone();
    figures.lost.samples.insert("unspooled", made.n_unspooled);
    figures.tables.evicted = figures.lost.others_by("tables_evicted");
    figures.programs.clone_from(&tally.programs);
    figures.samples = made.samples;
    figures.stacks = made.stacks;
    figures.windows.made = made.n_windows;
    figures.windows.profiles = made.n_profiles;
    figures.symbols = made.symbols;
    figures.spool.write_error = made.write_error;
    figures.agent_cpu = Duration::from_nanos(clock::process_cpu_ns());
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
