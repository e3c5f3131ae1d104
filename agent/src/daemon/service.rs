//! `agent daemon` from start to end: what a configuration says is put together, run, and put together anew when the
//! configuration changes.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use profile::Labels;
use tracing::{error, info, warn};

use super::{
    assembler::{Assembler, Made},
    capture::Capturing,
    control::server::ControlServer,
    engine::{Ended, Engine, Rules, Shared, State, rss_bytes},
    figures::{
        BudgetFigures, ConfigFigures, Figures, KillSwitch, MAX_TOLD_PIDS, SpoolState, TableFigures,
        TargetFigures, WindowFigures,
    },
    governor::Governor,
    handler::Handling,
    http::Server,
    notify,
    reporter::{Reporter, ReporterSettings},
    streams::{Plan, Streams},
    tally::Tally,
};
use crate::{
    clock,
    config::{self, Config, ExtraEvent},
    kernel::Source,
    procfs,
    run::Choose,
    select::{Selector, Users},
    send::{
        batch::Keys,
        retry::RetryLimits,
        shipper::{Shipper, ShipperSettings},
    },
};

/// How long sending may go on after the daemon was asked to end. What is left is on disk.
const FLUSH_FOR: Duration = Duration::from_secs(5);

/// Chooses by the rules of the configuration.
#[derive(Debug)]
struct ByRules {
    selector: Arc<Selector>,
    /// Only those for whom it is asked.
    event: Option<ExtraEvent>,
}

impl Choose for ByRules {
    fn judge(&self, pid: u32) -> Option<Arc<Labels>> {
        let judged = self.selector.judge(pid)?;
        self.event.is_none_or(|event| judged.events.contains(&event)).then_some(judged.labels)
    }
}

/// What goes on from one configuration to the next.
#[derive(Default)]
struct Carried {
    tally: Tally,
    made: Made,
    config: ConfigFigures,
    n_late: u64,
    n_lowered: u64,
    n_raised: u64,
}

/// Everything that one configuration is run by.
struct Running {
    config: Config,
    engine: Engine,
    reporter: Reporter,
    shipper: Arc<Shipper>,
    http: Option<Server>,
    control: Option<ControlServer>,
    carried: Carried,
    start_unix_ns: u64,
}

/// Runs until it is asked to end; gives the exit code.
///
/// # Errors
/// If it cannot start.
pub fn run(file: &Path, config: Config) -> anyhow::Result<u8> {
    let shared = Arc::new(Shared::default());
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        // In this order: the second signal finds the flag that the first one set.
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&shared.stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&shared.stop)))
            .context("cannot handle signals")?;
    }
    signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::clone(&shared.reload))
        .context("cannot handle signals")?;
    let start_unix_ns = clock::unix_ns();
    let mut carried = Carried {
        config: ConfigFigures {
            path: file.to_owned(),
            loaded_unix_ns: start_unix_ns,
            ..ConfigFigures::default()
        },
        ..Carried::default()
    };
    let mut config = config;
    let mut last_good: Option<Config> = None;
    loop {
        let running = match Running::start(config.clone(), carried, &shared, start_unix_ns) {
            Ok(running) => running,
            Err((error, back)) => {
                // The configuration that held before is known to work.
                let Some(good) = last_good.take() else { return Err(error) };
                let reason = format!("{error:#}");
                error!("the new configuration does not work, the old one holds: {reason}");
                carried = back;
                carried.config.n_refused += 1;
                carried.config.last_refusal = Some(reason);
                config = good;
                continue;
            }
        };
        let mut running = running;
        said(notify::ready(&format!("configuration of {}", file.display())));
        let (ended, next) = running.run(file, &shared);
        said(if ended == Ended::Reload { notify::reloading() } else { notify::stopping() });
        last_good = Some(running.config.clone());
        carried = running.end(&shared);
        match (ended, next) {
            (Ended::Stop, _) => return Ok(0),
            (Ended::Memory, _) => {
                bail!("memory could not be kept below rss_limit: ended, to be started anew")
            }
            (Ended::Reload, Some(next)) => {
                config = next;
                carried.config.loaded_unix_ns = clock::unix_ns();
                carried.config.n_reloads += 1;
                carried.config.last_refusal = None;
                info!(file = %file.display(), "configuration taken");
            }
            (Ended::Reload, None) => bail!("a reload without a configuration"),
        }
    }
}

/// A service manager that cannot be told will say so itself.
fn said(told: std::io::Result<()>) {
    if let Err(error) = told {
        warn!("the service manager cannot be told: {error}");
    }
}

/// Reads the configuration and looks up on the host what it names; warnings are logged.
///
/// # Errors
/// What is wrong with it, a line each.
pub fn load(file: &Path) -> Result<Config, String> {
    let lines = |problems: &[config::Problem]| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let config = Config::load(file).map_err(|problems| lines(&problems))?;
    let checked = config::check(&config);
    for warning in config.warnings.iter().chain(&checked.warnings) {
        warn!("{warning}");
    }
    if checked.problems.is_empty() { Ok(config) } else { Err(lines(&checked.problems)) }
}

impl Running {
    /// On failure, what was carried comes back.
    fn start(
        config: Config,
        carried: Carried,
        shared: &Arc<Shared>,
        start_unix_ns: u64,
    ) -> Result<Self, (anyhow::Error, Carried)> {
        let made = carried.made.clone();
        let parts = || -> anyhow::Result<_> {
            let host = procfs::host_name();
            let sinks = config::sinks(&config).map_err(|problems| anyhow!("{}", list(&problems)))?;
            let settings = ShipperSettings {
                spool_dir: config.spool.dir.clone(),
                limits: config.spool.limits,
                retry: RetryLimits::default(),
                sinks,
            };
            let shipper = Arc::new(Shipper::start(settings)?);
            let users = Users::of_host();
            let selector =
                Arc::new(Selector::new(&config, &host, &users).map_err(|error| anyhow!("{error}"))?);
            let keys = || Keys::random().context("no random numbers");
            let assembler =
                Assembler::start(host.clone(), config.labels.clone(), Arc::clone(&shipper), keys()?, made)
                    .context("cannot start a thread")?;
            let reporter = ReporterSettings {
                host: host.clone(),
                labels: config.labels.clone(),
                interval: config.events.memory_interval,
                window: config.window,
            };
            let reporter = Reporter::start(reporter, Arc::clone(shared), Arc::clone(&shipper), keys()?)
                .context("cannot start a thread")?;
            Ok((host, shipper, selector, assembler, reporter))
        };
        let (host, shipper, selector, assembler, reporter) = match parts() {
            Ok(parts) => parts,
            Err(error) => return Err((error, carried)),
        };
        let mut streams = Streams::new(plans(&config, &selector));
        streams.continue_from(carried.tally.clone());
        let input = assembler.input().clone();
        let governor = Governor::new(config.events.cpu_frequency_hz, config.overhead_budget_percent);
        let rules = Rules {
            window: config.window,
            kill_switch: config.kill_switch.clone(),
            rss_limit_bytes: config.rss_limit_bytes,
        };
        let engine =
            Engine { rules, streams, assembler, governor, shared: Arc::clone(shared), state: State::new() };
        let mut running =
            Self { config, engine, reporter, shipper, http: None, control: None, carried, start_unix_ns };
        match running.open(&host, selector, input, shared) {
            Ok(()) => Ok(running),
            Err(error) => Err((error, running.end(shared))),
        }
    }

    /// Attaches, and opens the doors.
    fn open(
        &mut self,
        host: &str,
        selector: Arc<Selector>,
        input: super::assembler::Input,
        shared: &Arc<Shared>,
    ) -> anyhow::Result<()> {
        self.engine.begin()?;
        if let Some(address) = self.config.listen {
            self.http = Some(Server::start(address, Arc::clone(&shared.board))?);
        }
        if let Some(path) = &self.config.control_socket {
            let capturing = Capturing {
                host: host.to_owned(),
                sources: sources(&self.config),
                chooser: Arc::new(ByRules { selector, event: None }),
                all: self.config.all,
                probe_budget_percent: self.config.events.alloc.probe_budget_percent,
                table_bytes: self.config.table_memory_bytes,
                table_cache: self.config.table_cache.clone(),
                input,
                shared: Arc::clone(shared),
            };
            let handling =
                Handling { capturing, shared: Arc::clone(shared), shipper: Arc::clone(&self.shipper) };
            self.control = Some(ControlServer::start(path, Arc::new(handling))?);
        }
        Ok(())
    }

    /// Runs until it is to end or another configuration is there.
    fn run(&mut self, file: &Path, shared: &Shared) -> (Ended, Option<Config>) {
        let Self { config, engine, shipper, carried, start_unix_ns, .. } = self;
        loop {
            let ended = engine.run(|engine, tally| {
                let figures = figures(config, engine, tally, shipper, carried, *start_unix_ns);
                let groups = engine.streams.groups();
                let groups = groups.map(|(labels, pids)| (Arc::clone(labels), pids.clone())).collect();
                shared.tell(figures, groups);
                said(notify::alive());
            });
            if ended != Ended::Reload {
                return (ended, None);
            }
            match load(file) {
                Ok(config) => {
                    shared.answer_reload(None);
                    return (ended, Some(config));
                }
                Err(reason) => {
                    error!("the configuration is refused, the old one holds:\n{reason}");
                    carried.config.n_refused += 1;
                    carried.config.last_refusal = Some(reason.clone());
                    shared.answer_reload(Some(reason));
                }
            }
        }
    }

    /// Ends all of it: nothing is left in the kernel, what was counted is in the spool, and sent if there is time.
    fn end(self, shared: &Shared) -> Carried {
        let Self { mut engine, reporter, shipper, http, control, mut carried, config, start_unix_ns, .. } =
            self;
        drop(control);
        engine.detach();
        carried.tally = engine.streams.tally();
        let Engine { assembler, state, streams, governor, rules, shared: of_engine } = engine;
        carried.n_late += state.n_late;
        carried.n_lowered += state.n_lowered;
        carried.n_raised += state.n_raised;
        carried.made = assembler.finish();
        let _ = (streams, governor, rules, of_engine, config, start_unix_ns);
        reporter.finish();
        drop(http);
        match Arc::try_unwrap(shipper) {
            Ok(shipper) => {
                let is_ending = shared.stop.load(Ordering::Relaxed);
                let left = shipper.close(if is_ending { FLUSH_FOR } else { Duration::ZERO });
                for (sink, n_batches) in left {
                    info!("{n_batches} batches for {sink} wait in the spool");
                }
            }
            // A capture that is under way holds it; the spool has everything.
            Err(shipper) => drop(shipper),
        }
        carried
    }
}

/// What is recorded by which stream.
fn plans(config: &Config, selector: &Arc<Selector>) -> Vec<Plan> {
    let plan = |events, event, all| Plan {
        events,
        chooser: Arc::new(ByRules { selector: Arc::clone(selector), event }),
        all,
        probe_budget_percent: config.events.alloc.probe_budget_percent,
        table_bytes: config.table_memory_bytes,
        table_cache: config.table_cache.clone(),
    };
    let [cpu, faults, alloc] = sources_by_name(config);
    let mut plans = vec![plan(vec![cpu, faults], None, config.all)];
    if config.extra_events().contains(&ExtraEvent::Alloc) {
        plans.push(plan(vec![alloc], Some(ExtraEvent::Alloc), false));
    }
    plans
}

fn sources_by_name(config: &Config) -> [(&'static str, Source); 3] {
    let events = &config.events;
    [
        ("cpu", Source::Cpu { frequency_hz: events.cpu_frequency_hz }),
        ("faults", Source::Resident { interval_bytes: events.faults_interval_bytes }),
        // What lives is followed by `agent record`: a window has no end of it.
        ("alloc", Source::Alloc { interval_bytes: events.alloc.interval_bytes, live_heap: false }),
    ]
}

fn sources(config: &Config) -> Vec<(&'static str, Source)> {
    sources_by_name(config).to_vec()
}

fn list(problems: &[config::Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Everything that the daemon knows of itself.
fn figures(
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
    let samples: BTreeMap<String, u64> = made.samples.clone();
    Figures {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        start_unix_ns,
        taken_unix_ns: clock::unix_ns(),
        taken_ns: clock::monotonic_ns(),
        samples,
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
            n_lowered: carried.n_lowered + state.n_lowered,
            n_raised: carried.n_raised + state.n_raised,
            last_step: state.last_step,
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

/// Where the daemon writes: everything else may be read-only to it.
#[must_use]
pub fn written_dirs(config: &Config) -> Vec<PathBuf> {
    let mut dirs = vec![config.spool.dir.clone()];
    dirs.extend(config.table_cache.clone());
    dirs.extend(config.control_socket.as_deref().and_then(Path::parent).map(Path::to_owned));
    dirs.extend(config.sinks.values().filter_map(|sink| match &sink.kind {
        config::SinkKind::Directory { dir, .. } => Some(dir.clone()),
        _ => None,
    }));
    dirs
}
