//! Everything that one configuration is run by.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use profile::Labels;
use tracing::{error, info, warn};

use super::{
    assembler::{Assembler, Input, Made},
    capture::Capturing,
    engine::{Ended, Engine, Rules, Shared, State},
    figures::ConfigFigures,
    governor::Governor,
    handler::{Current, Handling},
    http::Server,
    observe,
    reporter::{Reporter, ReporterSettings},
    service,
    spacing::Spacing,
    streams::{Plan, Streams},
    tally::Tally,
};
use crate::{
    clock,
    config::{self, Config, ExtraEvent},
    kernel::{self, Source},
    notify, procfs,
    run::Choose,
    select::{Selector, Users},
    send::{
        batch::Keys,
        figures::ShipperFigures,
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
pub(super) struct Carried {
    pub(super) tally: Tally,
    pub(super) made: Made,
    pub(super) config: ConfigFigures,
    pub(super) n_late: u64,
    pub(super) n_early: u64,
    pub(super) n_lowered: u64,
    pub(super) n_raised: u64,
    /// What became of batches.
    pub(super) shipped: ShipperFigures,
    /// Where may be written, since the start: all else was given up.
    pub(super) writable: Vec<PathBuf>,
}

/// Why a configuration cannot be run, and what is to go on with another.
pub(super) struct NotStarted {
    pub(super) error: anyhow::Error,
    pub(super) carried: Carried,
}

/// Everything that one configuration is run by.
pub(super) struct Running {
    pub(super) config: Config,
    engine: Engine,
    reporter: Reporter,
    shipper: Arc<Shipper>,
    http: Option<Server>,
    current: Arc<Current>,
    carried: Carried,
    start_unix_ns: u64,
}

impl Running {
    pub(super) fn start(
        config: Config,
        carried: Carried,
        shared: &Arc<Shared>,
        current: &Arc<Current>,
        start_unix_ns: u64,
    ) -> Result<Self, Box<NotStarted>> {
        let made = carried.made.clone();
        let parts = || -> anyhow::Result<_> {
            let host = procfs::host_name();
            let sinks = config::sinks(&config).map_err(|problems| anyhow!("{}", service::list(&problems)))?;
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
            Err(error) => return Err(Box::new(NotStarted { error, carried })),
        };
        let mut streams = Streams::new(plans(&config, &selector));
        streams.continue_from(carried.tally.clone());
        let input = assembler.input().clone();
        let spacing = Spacing::new(config.events.faults_interval_bytes);
        let governor = Governor::new(config.events.cpu_frequency_hz, config.overhead_budget_percent);
        let rules = Rules {
            window: config.window,
            kill_switch: config.kill_switch.clone(),
            rss_limit_bytes: config.rss_limit_bytes,
        };
        let engine = Engine {
            rules,
            streams,
            assembler,
            governor,
            spacing,
            shared: Arc::clone(shared),
            state: State::new(),
        };
        let mut running = Self {
            config,
            engine,
            reporter,
            shipper,
            http: None,
            current: Arc::clone(current),
            carried,
            start_unix_ns,
        };
        match running.open(&host, selector, input, shared) {
            Ok(()) => Ok(running),
            Err(error) => Err(Box::new(NotStarted { error, carried: running.end(shared) })),
        }
    }

    /// Attaches, and opens the doors.
    fn open(
        &mut self,
        host: &str,
        selector: Arc<Selector>,
        input: Input,
        shared: &Arc<Shared>,
    ) -> anyhow::Result<()> {
        self.engine.begin()?;
        if let Some(address) = self.config.listen {
            self.http = Some(Server::start(address, Arc::clone(&shared.board))?);
        }
        let capturing = Capturing {
            host: host.to_owned(),
            sources: sources(&self.config).to_vec(),
            chooser: Arc::new(ByRules { selector, event: None }),
            all: self.config.all,
            probe_budget_percent: self.config.events.alloc.probe_budget_percent,
            table_bytes: self.config.table_memory_bytes,
            table_cache: self.config.table_cache.clone(),
            kill_switch: self.config.kill_switch.clone(),
            input,
            shared: Arc::clone(shared),
            is_over: AtomicBool::new(false),
        };
        let shipper = Arc::downgrade(&self.shipper);
        let handling = Handling { capturing, shared: Arc::clone(shared), shipper };
        self.current.set(Arc::new(handling));
        Ok(())
    }

    /// What it runs by is another configuration, and holds.
    pub(super) fn taken(&mut self) {
        let config = &mut self.carried.config;
        config.loaded_unix_ns = clock::unix_ns();
        config.n_reloads += 1;
        config.last_refusal = None;
    }

    /// Runs until it is to end or another configuration is there.
    pub(super) fn run(&mut self, file: &Path, shared: &Shared) -> (Ended, Option<Config>) {
        let Self { config, engine, shipper, carried, start_unix_ns, .. } = self;
        loop {
            let ended = engine.run(|engine, tally| {
                let figures = observe::figures(config, engine, tally, shipper, carried, *start_unix_ns);
                let groups = engine.streams.groups();
                let groups = groups.map(|(labels, pids)| (Arc::clone(labels), pids.clone())).collect();
                shared.tell(figures, groups);
                service::said(notify::alive());
            });
            if ended != Ended::Reload {
                return (ended, None);
            }
            let loaded = service::load(file);
            match loaded.and_then(|config| service::check_dirs(&config, &carried.writable).map(|()| config)) {
                Ok(config) => return (ended, Some(config)),
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
    pub(super) fn end(self, shared: &Shared) -> Carried {
        let Self { mut engine, reporter, shipper, http, current, mut carried, .. } = self;
        engine.detach();
        current.clear();
        carried.tally = engine.streams.tally();
        let Engine { assembler, state, .. } = engine;
        carried.n_late += state.n_late;
        carried.n_early += state.n_early;
        carried.n_lowered += state.budget.n_lowered;
        carried.n_raised += state.budget.n_raised;
        carried.made = assembler.finish();
        // So that the last that receivers are told adds up to what they have got.
        if let Some(view) = shared.board.view(clock::monotonic_ns()) {
            shared.board.publish(observe::at_the_end(&view.figures, &carried));
        }
        reporter.finish();
        drop(http);
        let shipped = match Arc::try_unwrap(shipper) {
            Ok(shipper) => {
                let is_ending = shared.stop.load(Ordering::Relaxed);
                shipper.close(if is_ending { FLUSH_FOR } else { Duration::ZERO })
            }
            // Somebody looks at it; the spool has everything.
            Err(shipper) => shipper.figures(),
        };
        for sink in shipped.sinks.iter().filter(|sink| sink.n_waiting > 0) {
            info!("{} batches for {} wait in the spool", sink.n_waiting, sink.name);
        }
        carried.shipped = shipped.after(&carried.shipped);
        carried
    }
}

/// What is recorded by which stream.
fn plans(config: &Config, selector: &Arc<Selector>) -> Vec<Plan> {
    let plan = |events, event, all| Plan {
        events,
        unavailable: Vec::new(),
        chooser: Arc::new(ByRules { selector: Arc::clone(selector), event }),
        all,
        probe_budget_percent: config.events.alloc.probe_budget_percent,
        table_bytes: config.table_memory_bytes,
        table_cache: config.table_cache.clone(),
    };
    let [cpu, faults, alloc] = sources(config);
    let always = match kernel::probe::why_not_resident() {
        None => plan(vec![cpu, faults], None, config.all),
        Some(reason) => {
            warn!("CPU time is recorded, and what makes memory grow is not: {reason}");
            Plan { unavailable: vec![(faults.0, reason)], ..plan(vec![cpu], None, config.all) }
        }
    };
    let mut plans = vec![always];
    if config.extra_events().contains(&ExtraEvent::Alloc) {
        plans.push(plan(vec![alloc], Some(ExtraEvent::Alloc), false));
    }
    plans
}

fn sources(config: &Config) -> [(&'static str, Source); 3] {
    let events = &config.events;
    [
        ("cpu", Source::Cpu { frequency_hz: events.cpu_frequency_hz }),
        ("faults", Source::Resident { interval_bytes: events.faults_interval_bytes }),
        // What lives is followed by `agent record`: a window has no end of it.
        ("alloc", Source::Alloc { interval_bytes: events.alloc.interval_bytes, live_heap: false }),
    ]
}
