//! The loop of the daemon: reads what the kernel side has, ten times a second; looks at itself, once a second; cuts
//! windows; and does what it is asked for.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use profile::Labels;
use tracing::{error, info, warn};

use super::{
    assembler::Assembler,
    board::Board,
    figures::{BudgetFigures, Figures},
    governor::{Governor, Reading, Step},
    memory_guard::{MemoryAction, MemoryGuard},
    reading::Spent,
    spacing::Spacing,
    streams::Streams,
    tally::{Tally, program},
};
use crate::{clock, kernel::Source, procfs::status};

/// How long samples may wait in the ring before they are read.
const READ_EVERY: Duration = Duration::from_millis(100);
/// How often the daemon looks at itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What could not be attached is tried again after this time.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The processes of each group.
pub(super) type Groups = Vec<(Arc<Labels>, Vec<u32>)>;

/// What other threads ask of the loop, and see of it.
#[derive(Default)]
pub(super) struct Shared {
    /// End.
    pub(super) stop: Arc<AtomicBool>,
    /// Read the configuration again.
    pub(super) reload: Arc<AtomicBool>,
    /// Hand over what was counted so far, without waiting for the end of the window; counts the requests.
    pub(super) cut: AtomicU64,
    /// Requests that were carried out.
    pub(super) n_cut: AtomicU64,
    /// What the daemon knows of itself.
    pub(super) board: Arc<Board>,
    groups: Mutex<Arc<Groups>>,
    /// How many reloads were answered, and what the last one was refused for.
    reloads: Mutex<(u64, Option<String>)>,
}

impl Shared {
    /// The processes that were followed then.
    pub(super) fn groups(&self) -> Arc<Groups> {
        Arc::clone(&self.groups.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many reloads were answered, and what the last one was refused for, if it was.
    pub(super) fn reloads(&self) -> (u64, Option<String>) {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tells whoever asked for a reload what came of it.
    pub(super) fn answer_reload(&self, refusal: Option<String>) {
        let mut reloads = self.reloads.lock().unwrap_or_else(PoisonError::into_inner);
        *reloads = (reloads.0 + 1, refusal);
    }

    pub(super) fn tell(&self, figures: Figures, groups: Groups) {
        self.board.publish(figures);
        *self.groups.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(groups);
    }
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was asked to.
    Stop,
    /// The configuration is to be read again.
    Reload,
    /// Memory could not be kept within its limit.
    Memory,
}

/// What the loop keeps to.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) window: Duration,
    pub(super) kill_switch: Option<PathBuf>,
    pub(super) rss_limit_bytes: u64,
}

/// The loop and all that it owns.
pub(super) struct Engine {
    pub(super) rules: Rules,
    pub(super) streams: Streams,
    pub(super) assembler: Assembler,
    pub(super) governor: Governor,
    pub(super) spacing: Spacing,
    pub(super) shared: Arc<Shared>,
    pub(super) state: State,
}

/// What it remembers from one turn to the next.
pub(super) struct State {
    guard: MemoryGuard,
    window_began: Instant,
    /// It ends before its time, for want of memory.
    ends_early: bool,
    is_late: bool,
    /// Windows that ended later than they should have.
    pub(super) n_late: u64,
    /// Windows that ended before their time.
    pub(super) n_early: u64,
    looked: Instant,
    /// Samples of growth by then.
    n_growth_samples: u64,
    /// What had been spent when it looked last.
    spent: Spent,
    pub(super) is_killed: bool,
    try_again: Option<Instant>,
    /// Steps of the rate.
    pub(super) budget: BudgetFigures,
    pub(super) pumped_ns: Option<u64>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            guard: MemoryGuard::default(),
            window_began: Instant::now(),
            ends_early: false,
            is_late: false,
            n_late: 0,
            n_early: 0,
            looked: Instant::now(),
            n_growth_samples: 0,
            spent: spent(&Tally::default()),
            is_killed: false,
            try_again: None,
            budget: BudgetFigures::default(),
            pumped_ns: None,
        }
    }
}

impl Engine {
    /// Attaches everything, unless the kill switch is on.
    ///
    /// # Errors
    /// If something cannot be attached.
    pub(super) fn begin(&mut self) -> Result<(), crate::run::RunError> {
        self.state.is_killed = self.is_kill_switch_on();
        if self.state.is_killed {
            warn!("the kill switch is on: nothing is attached until its file is gone");
            return Ok(());
        }
        self.streams.start(self.governor.rate_hz())
    }

    fn is_kill_switch_on(&self) -> bool {
        self.rules.kill_switch.as_ref().is_some_and(|path| path.exists())
    }

    /// Runs until it is asked for something that it cannot do. `told` is called once a second, with what was counted.
    pub(super) fn run(&mut self, mut told: impl FnMut(&Self, &Tally)) -> Ended {
        loop {
            if self.shared.stop.load(Ordering::Relaxed) {
                return Ended::Stop;
            }
            if self.shared.reload.swap(false, Ordering::Relaxed) {
                return Ended::Reload;
            }
            self.obey_kill_switch();
            self.streams.pump(READ_EVERY);
            self.state.pumped_ns = Some(clock::monotonic_ns());
            self.end_window();
            if self.state.looked.elapsed() >= LOOK_EVERY {
                if let Some(ended) = self.look() {
                    return ended;
                }
                told(self, &self.streams.tally());
            }
        }
    }

    /// Takes everything out of the kernel, and hands the rest to the assembler.
    pub(super) fn detach(&mut self) {
        match self.streams.end() {
            Ok(windows) => self.assembler.input().give(windows),
            Err(error) => error!("what was sampled last is lost: {}", super::causes(&error)),
        }
    }

    /// Attaches what is not attached.
    fn attach(&mut self) {
        match self.streams.start(self.governor.rate_hz()) {
            Ok(()) => self.state.try_again = None,
            Err(error) => {
                warn!("not everything could be attached, and is tried again: {}", super::causes(&error));
                self.state.try_again = Instant::now().checked_add(RETRY_AFTER);
            }
        }
        self.state.window_began = Instant::now();
    }

    fn obey_kill_switch(&mut self) {
        let is_on = self.is_kill_switch_on();
        if is_on && !self.state.is_killed {
            self.detach();
            warn!("the kill switch is on: nothing is attached until its file is gone");
        }
        let is_due = self.state.try_again.is_some_and(|at| Instant::now() >= at);
        if !is_on && (self.state.is_killed || is_due) {
            self.attach();
            if self.state.is_killed {
                info!("the kill switch is off");
            }
        }
        self.state.is_killed = is_on;
    }

    /// Hands over what was counted when a window is over or somebody asks for it.
    fn end_window(&mut self) {
        let asked = self.shared.cut.load(Ordering::Acquire);
        let is_asked = asked != self.shared.n_cut.load(Ordering::Relaxed);
        let is_over = self.state.ends_early || self.state.window_began.elapsed() >= self.rules.window;
        if !is_asked && !is_over {
            return;
        }
        if !self.assembler.has_room() {
            self.state.n_late += u64::from(!self.state.is_late);
            self.state.is_late = true;
            return;
        }
        let windows = self.streams.cut();
        self.assembler.input().give(windows);
        self.state.is_late = false;
        self.state.n_early += u64::from(self.state.ends_early);
        self.state.ends_early = false;
        self.state.window_began = Instant::now();
        self.shared.n_cut.store(asked, Ordering::Release);
    }

    /// Looks at what all of it costs.
    fn look(&mut self) -> Option<Ended> {
        let elapsed = self.state.looked.elapsed();
        self.state.looked = Instant::now();
        if let Err(error) = self.streams.look() {
            warn!("counters of the kernel side cannot be read: {}", super::causes(&error));
        }
        self.keep_spacing(elapsed);
        self.keep_budget();
        let renewed = self.streams.renew(false, self.governor.rate_hz());
        self.take_renewed(renewed);
        let rss_bytes = rss_bytes();
        match self.state.guard.decide(clock::monotonic_ns(), rss_bytes, self.rules.rss_limit_bytes)? {
            MemoryAction::DropCaches => {
                info!(rss_bytes, "memory is near its limit: caches are dropped");
                self.assembler.drop_caches();
                None
            }
            MemoryAction::EndWindow => {
                self.state.ends_early = true;
                None
            }
            MemoryAction::LowerRate => {
                let step = self.governor.lower_for_memory(rss_bytes, self.rules.rss_limit_bytes);
                if let Some(step) = step {
                    self.take_step(&step);
                }
                None
            }
            MemoryAction::RecycleSession => {
                warn!(rss_bytes, "memory is above its limit: sessions begin anew");
                let renewed = self.streams.renew(true, self.governor.rate_hz());
                self.take_renewed(renewed);
                None
            }
            MemoryAction::Exit => Some(Ended::Memory),
        }
    }

    fn take_renewed(&mut self, renewed: Result<Vec<crate::run::Window>, crate::run::RunError>) {
        match renewed {
            Ok(windows) => self.assembler.input().give(windows),
            Err(error) => {
                warn!("a session could not begin anew, and is tried again: {}", super::causes(&error));
                self.state.try_again = Instant::now().checked_add(RETRY_AFTER);
            }
        }
    }

    /// Growth is to have no more samples than CPU time has, which the budget governs.
    fn keep_spacing(&mut self, elapsed: Duration) {
        let n_samples = self.streams.tally().n_growth_samples;
        let n_new = n_samples.saturating_sub(self.state.n_growth_samples);
        self.state.n_growth_samples = n_samples;
        let allowed = self.governor.rate_hz() as f64 * f64::from(n_cpus());
        let Some(interval_bytes) = self.spacing.read(elapsed, n_new, allowed) else { return };
        info!(n_samples = n_new, interval_bytes, "growth of memory is sampled at another distance");
        if let Err(error) = self.streams.set_growth_interval(interval_bytes) {
            warn!("growth of memory goes on to be sampled as before: {}", super::causes(&error));
        }
    }

    fn keep_budget(&mut self) {
        let now = spent(&self.streams.tally());
        let before = std::mem::replace(&mut self.state.spent, now);
        if !self.streams.any() {
            return;
        }
        let sampling = program(Source::Cpu { frequency_hz: 0 });
        let reading = Reading::between(&before, &self.state.spent, &[sampling], n_cpus());
        if let Some(step) = self.governor.read(&reading) {
            self.take_step(&step);
        }
    }

    /// Samples at another rate from now on.
    fn take_step(&mut self, step: &Step) {
        info!("{step}");
        self.state.budget.note(step);
        match self.streams.set_frequency(step.to_hz) {
            Ok(windows) => self.assembler.input().give(windows),
            Err(error) => {
                error!("the rate could not be changed, sessions begin anew: {}", super::causes(&error));
                let renewed = self.streams.renew(true, step.to_hz);
                self.take_renewed(renewed);
            }
        }
        self.state.window_began = Instant::now();
    }
}

/// What has been spent until now.
fn spent(tally: &Tally) -> Spent {
    Spent {
        taken_ns: clock::monotonic_ns(),
        programs: tally.programs.clone(),
        agent_cpu: Duration::from_nanos(clock::process_cpu_ns()),
    }
}

/// Resident memory of the agent.
pub(super) fn rss_bytes() -> u64 {
    status::read(std::process::id()).ok().and_then(|status| status.resident_bytes).unwrap_or(0)
}

/// CPUs of this host, whatever this process may run on.
pub(super) fn n_cpus() -> u32 {
    // SAFETY: has no memory to be wrong.
    let n_cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    u32::try_from(n_cpus).unwrap_or(1).max(1)
}
