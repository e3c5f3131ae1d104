//! The recordings under way: one for all that is always on, one more for targets that ask for allocations.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use profile::Labels;

use super::{
    figures::{SessionFigures, SessionState},
    tally::Tally,
};
use crate::{
    clock,
    kernel::{KernelError, Source},
    run::{Choose, RunError, Stream, StreamFigures, StreamOptions, Targets, Window},
    table_cache::{LIMIT_BYTES, TableCache},
};

/// The other streams are looked after without waiting.
const NO_WAIT: Duration = Duration::ZERO;

/// What one stream is to record.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Names of its events, with what gives them.
    pub(super) events: Vec<(&'static str, Source)>,
    /// Those that it would have, if this host had what they take; and what that is.
    pub(super) unavailable: Vec<(&'static str, String)>,
    /// Who is recorded.
    pub(super) chooser: Arc<dyn Choose>,
    /// Everybody is, and the chooser only says to whom they belong.
    pub(super) all: bool,
    pub(super) probe_budget_percent: f64,
    pub(super) table_bytes: u64,
    pub(super) table_cache: Option<PathBuf>,
}

/// A stream that samples.
struct Running {
    stream: Stream,
    since_unix_ns: u64,
    /// Looked at last.
    figures: StreamFigures,
}

/// One plan, and the stream that follows it, if there is one.
struct Slot {
    plan: Plan,
    running: Option<Running>,
    /// Why there is none.
    failure: Option<String>,
}

/// All of them.
pub(super) struct Streams {
    slots: Vec<Slot>,
    /// What those have counted that are over.
    ended: Tally,
    began: Instant,
    /// The distance of samples of growth, where it is not the configured one.
    growth_interval_bytes: Option<u64>,
}

impl Streams {
    /// Nothing is recorded yet.
    pub(super) fn new(plans: Vec<Plan>) -> Self {
        let slots = plans.into_iter().map(|plan| Slot { plan, running: None, failure: None }).collect();
        Self { slots, ended: Tally::default(), began: Instant::now(), growth_interval_bytes: None }
    }

    /// Takes on what earlier streams have counted.
    pub(super) fn continue_from(&mut self, tally: Tally) {
        self.ended = tally;
    }

    /// Begins what is not under way, at this rate.
    ///
    /// # Errors
    /// If one cannot begin; the others have.
    pub(super) fn start(&mut self, frequency_hz: u64) -> Result<(), RunError> {
        self.began = Instant::now();
        let mut result = Ok(());
        for slot in self.slots.iter_mut().filter(|slot| slot.running.is_none()) {
            if let Err(error) = slot.start(frequency_hz, self.growth_interval_bytes) {
                slot.failure = Some(super::causes(&error));
                result = Err(error);
            }
        }
        result
    }

    /// Waits for a moment, and reads what the kernel side has.
    pub(super) fn pump(&mut self, timeout: Duration) {
        let mut timeout = timeout;
        for running in self.slots.iter_mut().filter_map(|slot| slot.running.as_mut()) {
            running.stream.pump(timeout);
            timeout = NO_WAIT;
        }
        if timeout != NO_WAIT {
            std::thread::sleep(timeout);
        }
    }

    /// Hands over what was counted since the last time.
    pub(super) fn cut(&mut self) -> Vec<Window> {
        self.slots.iter_mut().filter_map(|slot| Some(slot.running.as_mut()?.stream.cut())).collect()
    }

    /// Samples CPU time at another rate from now on, and hands over what was counted at the one before.
    pub(super) fn set_frequency(&mut self, frequency_hz: u64) -> Result<Vec<Window>, KernelError> {
        let mut windows = Vec::new();
        for slot in &mut self.slots {
            let Some(running) = &mut slot.running else { continue };
            if slot.plan.events.iter().any(|(_, source)| matches!(source, Source::Cpu { .. })) {
                windows.push(running.stream.set_frequency(frequency_hz)?);
            }
        }
        Ok(windows)
    }

    /// Samples growth of resident memory at another distance from now on.
    pub(super) fn set_growth_interval(&mut self, interval_bytes: u64) -> Result<(), KernelError> {
        self.growth_interval_bytes = Some(interval_bytes);
        let mut running = self.slots.iter_mut().filter_map(|slot| slot.running.as_mut());
        running.try_for_each(|running| running.stream.set_growth_interval(interval_bytes))
    }

    /// Ends all of them: nothing is left in the kernel. Hands over the rest.
    pub(super) fn end(&mut self) -> Result<Vec<Window>, KernelError> {
        let mut windows = Vec::new();
        let mut result = Ok(());
        for slot in &mut self.slots {
            match slot.end(&mut self.ended) {
                Ok(window) => windows.extend(window),
                Err(error) => result = Err(error),
            }
        }
        result.map(|()| windows)
    }

    /// Puts new streams in the place of those that have gathered too much, or of all.
    pub(super) fn renew(&mut self, all: bool, frequency_hz: u64) -> Result<Vec<Window>, RunError> {
        let mut windows = Vec::new();
        for slot in &mut self.slots {
            if slot.running.as_ref().is_some_and(|running| all || running.stream.is_worn()) {
                windows.extend(slot.end(&mut self.ended)?);
                slot.start(frequency_hz, self.growth_interval_bytes)?;
            }
        }
        Ok(windows)
    }

    /// Looks at what they have counted.
    pub(super) fn look(&mut self) -> Result<(), KernelError> {
        for running in self.slots.iter_mut().filter_map(|slot| slot.running.as_mut()) {
            running.figures = running.stream.figures()?;
        }
        Ok(())
    }

    /// All that was counted by when they were looked at last.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = self.ended.clone();
        self.running().for_each(|running| tally.add(&running.figures));
        tally
    }

    /// Memory that the kernel holds for maps, and for how many unwind tables there is no room.
    pub(super) fn table_bytes(&self) -> u64 {
        self.running().map(|running| running.figures.usage.table_bytes).max().unwrap_or(0)
    }

    /// The processes that are followed, by whom they belong to.
    pub(super) fn groups(&self) -> impl Iterator<Item = (&Arc<Labels>, &Vec<u32>)> {
        let of_first = self.running().next().into_iter().flat_map(|running| &running.figures.groups);
        of_first.filter_map(|(labels, pids)| Some((labels.as_ref()?, pids)))
    }

    /// Whether anything is recorded.
    pub(super) fn any(&self) -> bool {
        self.running().next().is_some()
    }

    /// What is attached to what.
    pub(super) fn sessions(&self) -> Vec<SessionFigures> {
        let of =
            |slot: &Slot| {
                let state = |event: usize| match (&slot.running, &slot.failure) {
                    (Some(running), _) => SessionState::Attached {
                        to: running.stream.attachments().get(event).cloned().into_iter().collect(),
                        since_unix_ns: running.since_unix_ns,
                    },
                    (None, failure) => SessionState::Failed {
                        reason: failure.clone().unwrap_or_else(|| "nothing is attached".into()),
                    },
                };
                let figures = |event: &str, state| SessionFigures { event: event.to_owned(), state };
                let events = slot.plan.events.iter().enumerate();
                let mut sessions: Vec<_> = events.map(|(i, (event, _))| figures(event, state(i))).collect();
                sessions.extend(slot.plan.unavailable.iter().map(|(event, reason)| {
                    figures(event, SessionState::Unavailable { reason: reason.clone() })
                }));
                sessions
            };
        self.slots.iter().flat_map(of).collect()
    }

    fn running(&self) -> impl Iterator<Item = &Running> {
        self.slots.iter().filter_map(|slot| slot.running.as_ref())
    }
}

impl Slot {
    fn start(&mut self, frequency_hz: u64, growth_interval_bytes: Option<u64>) -> Result<(), RunError> {
        let mut stream = Stream::prepare(self.plan.options(frequency_hz, growth_interval_bytes))?;
        stream.begin()?;
        let since_unix_ns = clock::unix_ns();
        self.running = Some(Running { stream, since_unix_ns, figures: StreamFigures::default() });
        self.failure = None;
        Ok(())
    }

    fn end(&mut self, tally: &mut Tally) -> Result<Option<Window>, KernelError> {
        let Some(running) = self.running.take() else { return Ok(None) };
        let (window, figures) = running.stream.end()?;
        tally.add(&figures);
        Ok(Some(window))
    }
}

impl Plan {
    pub(super) fn options(&self, frequency_hz: u64, growth_interval_bytes: Option<u64>) -> StreamOptions {
        let chooser = Arc::clone(&self.chooser);
        let source = |source: &Source| match source {
            Source::Cpu { .. } => Source::Cpu { frequency_hz },
            Source::Resident { interval_bytes } => {
                Source::Resident { interval_bytes: growth_interval_bytes.unwrap_or(*interval_bytes) }
            }
            other => *other,
        };
        StreamOptions {
            targets: if self.all { Targets::Sorted(chooser) } else { Targets::Chosen(chooser) },
            sources: self.events.iter().map(|(_, it)| source(it)).collect(),
            probe_budget_percent: self.probe_budget_percent,
            table_bytes: self.table_bytes,
            // Without it, tables are built each time.
            table_cache: self.table_cache.as_ref().and_then(|path| TableCache::open(path, LIMIT_BYTES).ok()),
        }
    }
}
