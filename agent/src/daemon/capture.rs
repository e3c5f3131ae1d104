//! Recordings on demand, beside those that go on: a stream of its own, for a time.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use profile::{Labels, Meta};
use serde_json::json;

use super::{
    assembler::Input,
    control::{
        message::{Capture, Output, Progress, Refusal, RefusalKind, Target},
        server::Captured,
    },
    engine::Shared,
    streams::Plan,
};
use crate::{
    assemble,
    kernel::Source,
    output,
    run::{Choose, Stream, Window},
    symbolize::{Options, Symbolizer},
};

/// How often samples are read.
const READ_EVERY: Duration = Duration::from_millis(100);
/// How often whoever asked is told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// What captures are made with.
pub(super) struct Capturing {
    pub(super) host: String,
    /// What to sample by event, unless something else is asked for.
    pub(super) sources: Vec<(&'static str, Source)>,
    pub(super) chooser: Arc<dyn Choose>,
    pub(super) all: bool,
    pub(super) probe_budget_percent: f64,
    pub(super) table_bytes: u64,
    pub(super) table_cache: Option<PathBuf>,
    /// Nothing is captured while this file exists.
    pub(super) kill_switch: Option<PathBuf>,
    pub(super) input: Input,
    pub(super) shared: Arc<Shared>,
    /// Captures end early.
    pub(super) is_over: AtomicBool,
}

/// Some of those who are chosen, and whom else was named.
#[derive(Debug)]
struct Named {
    chooser: Arc<dyn Choose>,
    pids: BTreeSet<u32>,
    service: Option<String>,
}

impl Choose for Named {
    fn judge(&self, pid: u32) -> Option<Arc<Labels>> {
        let labels = self.chooser.judge(pid);
        if self.pids.contains(&pid) {
            // Nobody's until it was named.
            return Some(labels.unwrap_or_default());
        }
        let service = self.service.as_deref()?;
        labels.filter(|labels| labels.get("service.name") == Some(service))
    }
}

impl Capturing {
    /// Records, and hands over what was recorded.
    pub(super) fn capture(
        &self,
        capture: &Capture,
        progress: &mut dyn FnMut(&Progress) -> bool,
    ) -> Result<Captured, Refusal> {
        let duration = capture.duration()?;
        let plan = self.plan(capture)?;
        if let Some(path) = self.kill_switch.as_ref().filter(|path| path.exists()) {
            let reason =
                format!("the kill switch is on: nothing is attached while {} exists", path.display());
            return Err(Refusal::new(RefusalKind::Busy, reason));
        }
        let failed = |error: &dyn std::error::Error| Refusal::new(RefusalKind::Failed, super::causes(error));
        let frequency_hz = plan.events.iter().map(|(_, source)| source.frequency_hz()).max().unwrap_or(0);
        let mut stream = Stream::prepare(plan.options(frequency_hz, None)).map_err(|error| failed(&error))?;
        stream.begin().map_err(|error| failed(&error))?;
        let began = Instant::now();
        let mut told = Instant::now();
        while began.elapsed() < duration && !self.is_over() && !self.is_kill_switch_on() {
            stream.pump(READ_EVERY.min(duration.saturating_sub(began.elapsed())));
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let stage = "recording".to_owned();
                let so_far = Progress {
                    elapsed_s: began.elapsed().as_secs_f64(),
                    stage,
                    n_samples: stream.n_samples(),
                };
                if !progress(&so_far) {
                    break;
                }
            }
        }
        let (window, figures) = stream.end().map_err(|error| failed(&error))?;
        let summary = json!({
            "event": capture.event,
            "duration_s": window.duration.as_secs_f64(),
            "n_samples": figures.n_samples,
        });
        let file = match capture.output {
            Output::Sinks => {
                self.input.give(vec![window]);
                None
            }
            Output::File(format) => {
                let naming = Progress {
                    elapsed_s: began.elapsed().as_secs_f64(),
                    stage: "naming frames".to_owned(),
                    n_samples: figures.n_samples,
                };
                progress(&naming);
                Some(self.file(&window, capture, format).map_err(|error| failed(&error))?)
            }
        };
        Ok(Captured { summary, file })
    }

    /// Whether what is under way is to end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn is_kill_switch_on(&self) -> bool {
        self.kill_switch.as_ref().is_some_and(|path| path.exists())
    }

    fn file(
        &self,
        window: &Window,
        capture: &Capture,
        format: crate::args::Format,
    ) -> Result<Vec<u8>, profile::encode::EncodeError> {
        let mut symbolizer = Symbolizer::new(Options::default(), None);
        let mut bytes = Vec::new();
        for (source, clock) in &window.sources {
            let collected = window.collected(*source, &window.aggregate);
            let meta = Meta {
                host: self.host.clone(),
                command: format!("{} of {}", capture.event, name_of(&capture.target)),
                ..window.meta(collected, *clock)
            };
            let profile = assemble::profile(collected, &mut symbolizer, meta);
            output::encode(&profile, format, &mut bytes)?;
        }
        Ok(bytes)
    }

    fn plan(&self, capture: &Capture) -> Result<Plan, Refusal> {
        let Some(event) = self.sources.iter().find(|(name, _)| *name == capture.event) else {
            let known: Vec<&str> = self.sources.iter().map(|(name, _)| *name).collect();
            let reason = format!("there is no event `{}`; there are: {}", capture.event, known.join(", "));
            return Err(Refusal::new(RefusalKind::NotFound, reason));
        };
        let some = |pids: BTreeSet<u32>, service: Option<String>| -> Arc<dyn Choose> {
            Arc::new(Named { chooser: Arc::clone(&self.chooser), pids, service })
        };
        let groups = self.shared.groups();
        let chooser = match &capture.target {
            Target::All => Arc::clone(&self.chooser),
            Target::Pid(pid) if crate::procfs::status::read(*pid).is_err() => {
                let reason = format!("no process has the ID {pid}: see `ps -e` for those that there are");
                return Err(Refusal::new(RefusalKind::NotFound, reason));
            }
            Target::Pid(pid) => some(BTreeSet::from([*pid]), None),
            Target::Name(name) => {
                let services: BTreeSet<&str> =
                    groups.iter().filter_map(|(labels, _)| labels.get("service.name")).collect();
                if !services.contains(name.as_str()) {
                    let known = services.into_iter().collect::<Vec<_>>().join(", ");
                    let reason = format!("no target is called `{name}` now; there are: {known}");
                    return Err(Refusal::new(RefusalKind::NotFound, reason));
                }
                some(BTreeSet::new(), Some(name.clone()))
            }
        };
        Ok(Plan {
            events: vec![*event],
            unavailable: Vec::new(),
            chooser,
            all: self.all && capture.target == Target::All,
            probe_budget_percent: self.probe_budget_percent,
            table_bytes: self.table_bytes,
            table_cache: self.table_cache.clone(),
        })
    }
}

fn name_of(target: &Target) -> String {
    match target {
        Target::All => "all targets".to_owned(),
        Target::Pid(pid) => format!("pid {pid}"),
        Target::Name(name) => name.clone(),
    }
}
