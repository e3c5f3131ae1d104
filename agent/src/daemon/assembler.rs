//! From windows to batches, on a thread of its own: names, profiles, one for each group and event, and into the spool.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use profile::{Labels, Meta, Profile};
use tracing::warn;

use super::{allocator, figures::CacheUse, tally::program};
use crate::{
    aggregate::Key,
    assemble,
    kernel::{Clock, Source},
    run::Window,
    send::{
        batch::{Keys, Signal},
        make,
        shipper::Shipper,
    },
    symbolize::{self, Symbolizer},
};

/// Windows that wait to be named. When as many do, the one under way goes on for longer.
const MAX_WAITING: usize = 4;
/// Profiles of one event in one window. What is beyond, the groups with the fewest samples, goes into one profile.
const MAX_GROUPS: usize = 256;
/// Names that are remembered, in each of two generations: some 100 bytes each.
const N_REMEMBERED: usize = 16_384;
/// How long names are believed: a kernel module that is loaded has its names after this time.
const FORGET_AFTER: Duration = Duration::from_secs(3600);
/// The name of what belongs to nobody.
const OTHERS: &str = "other processes";

/// What was made of windows so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    /// Samples in profiles, by event.
    pub(super) samples: BTreeMap<String, u64>,
    /// Samples in profiles that could not be spooled.
    pub(super) n_unspooled: u64,
    /// Samples by how their stacks end.
    pub(super) stacks: BTreeMap<&'static str, u64>,
    pub(super) n_windows: u64,
    pub(super) n_profiles: u64,
    pub(super) symbols: CacheUse,
    /// Why the last batch could not be written; none if it was.
    pub(super) write_error: Option<String>,
}

enum Job {
    Window(Box<Window>),
    /// Memory is short.
    DropCaches,
    End,
}

/// Where windows are handed in.
#[derive(Clone)]
pub(super) struct Input {
    jobs: SyncSender<Job>,
    n_given: Arc<AtomicU64>,
    made: Arc<Mutex<Made>>,
}

impl Input {
    /// Takes windows. Where there is no room, this waits: ask [before](Assembler::has_room).
    pub(super) fn give(&self, windows: Vec<Window>) {
        for window in windows {
            self.n_given.fetch_add(1, Ordering::Relaxed);
            // It is there for as long as the assembler is, and that ends after all others.
            let _ = self.jobs.send(Job::Window(Box::new(window)));
        }
    }

    /// Windows that were handed in and are not made yet.
    pub(super) fn n_waiting(&self) -> u64 {
        self.n_given.load(Ordering::Relaxed).saturating_sub(self.made().n_windows)
    }

    fn made(&self) -> Made {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The thread, and what it has made.
pub(super) struct Assembler {
    input: Input,
    made: Arc<Mutex<Made>>,
    thread: JoinHandle<()>,
}

impl Assembler {
    /// Begins to wait for windows. `labels` stand on every profile, whatever the group.
    pub(super) fn start(
        host: String,
        labels: Labels,
        shipper: Arc<Shipper>,
        keys: Keys,
        made: Made,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::sync_channel(MAX_WAITING + 1);
        let n_given = Arc::new(AtomicU64::new(made.n_windows));
        let made = Arc::new(Mutex::new(made));
        let input = Input { jobs, n_given, made: Arc::clone(&made) };
        let symbols = input.made().symbols;
        let work = Work { host, labels, shipper, keys, made: Arc::clone(&made), symbols };
        let thread =
            std::thread::Builder::new().name("brazier-names".into()).spawn(move || work.run(&queue))?;
        Ok(Self { input, made, thread })
    }

    /// Whether there is room for another round of windows.
    pub(super) fn has_room(&self) -> bool {
        self.input.n_waiting() < MAX_WAITING as u64 / 2
    }

    /// Where windows are handed in.
    pub(super) fn input(&self) -> &Input {
        &self.input
    }

    /// Has caches dropped when there is time.
    pub(super) fn drop_caches(&self) {
        // If the queue is full it is not idle, and is asked again.
        let _ = self.input.jobs.try_send(Job::DropCaches);
    }

    /// What was made so far.
    pub(super) fn made(&self) -> Made {
        self.input.made()
    }

    /// Makes what was given, and ends.
    pub(super) fn finish(self) -> Made {
        let Self { input, made, thread } = self;
        let _ = input.jobs.send(Job::End);
        // Had it panicked, what it had not made is missing from the count.
        let _ = thread.join();
        made.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Work {
    host: String,
    labels: Labels,
    shipper: Arc<Shipper>,
    keys: Keys,
    made: Arc<Mutex<Made>>,
    /// What was looked up before.
    symbols: CacheUse,
}

impl Work {
    fn run(mut self, queue: &Receiver<Job>) {
        let options = symbolize::Options { inlines: false, n_remembered: N_REMEMBERED };
        let mut symbolizer = Symbolizer::new(options, None);
        let mut forgotten = Instant::now();
        while let Ok(job) = queue.recv() {
            match job {
                Job::Window(window) => {
                    self.window(&window, &mut symbolizer);
                    symbolizer.rest();
                }
                Job::DropCaches => symbolizer.forget(),
                Job::End => return,
            }
            if forgotten.elapsed() >= FORGET_AFTER {
                symbolizer.forget();
                forgotten = Instant::now();
            }
            // What was needed for a window is not needed until the next one.
            allocator::give_back();
        }
    }

    fn window(&mut self, window: &Window, symbolizer: &mut Symbolizer) {
        assemble::name_ahead(&window.aggregate, &window.objects, symbolizer);
        for (source, clock) in &window.sources {
            for group in groups(window, *source) {
                self.profile(window, *source, *clock, &group, symbolizer);
            }
        }
        let (hits, misses) = symbolizer.remembered();
        let CacheUse { hits: hits_before, misses: misses_before } = self.symbols;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.n_windows += 1;
        made.symbols =
            CacheUse { hits: hits_before.saturating_add(hits), misses: misses_before.saturating_add(misses) };
    }

    /// The profile of a group, and into the spool with it.
    fn profile(
        &mut self,
        window: &Window,
        source: Source,
        clock: Clock,
        group: &Group,
        symbolizer: &mut Symbolizer,
    ) {
        let counted = window.aggregate.part(|key| source.gives(key.event) && group.holds(window, key));
        let collected = window.collected(source, &counted);
        let labels = self.labels_of(window, &group.labels);
        let meta = Meta {
            host: self.host.clone(),
            command: labels.get("service.name").unwrap_or(OTHERS).to_owned(),
            ..window.meta(collected, clock)
        };
        let outcomes = assemble::outcomes(collected);
        let profile = assemble::profile(collected, symbolizer, meta);
        let event = program(source);
        let spooled = self.spool(&profile, event, &labels);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        for (fault, n_samples) in outcomes {
            *made.stacks.entry(fault.name()).or_default() += n_samples;
        }
        match &spooled {
            Ok(()) => {
                made.n_profiles += 1;
                *made.samples.entry(event.to_owned()).or_default() += counted.n_samples();
            }
            Err(error) => {
                made.n_unspooled += counted.n_samples();
                // Once for each kind of failure, not for each profile.
                if made.write_error.as_ref() != Some(error) {
                    warn!("profiles are lost: {error}");
                }
            }
        }
        made.write_error = spooled.err();
    }

    fn spool(&mut self, profile: &Profile, event: &str, labels: &Labels) -> Result<(), String> {
        let forms = self.shipper.forms(Signal::Profiles);
        let batch = make::of_profile(profile, event, labels, self.keys.next_key(), forms);
        let batch = batch.map_err(|error| super::causes(&error))?;
        self.shipper.ship(batch).map(drop).map_err(|error| super::causes(&error))
    }

    /// What stands on a profile: what holds for all, then the group's own, then the version.
    fn labels_of(&self, window: &Window, group: &Labels) -> Labels {
        let mut labels = self.labels.clone();
        for (name, value) in group.iter() {
            labels.set(name, value);
        }
        if labels.get("service.version").is_none()
            && let Some(version) = version(window, &labels)
        {
            labels.set("service.version", version);
        }
        labels
    }
}

/// The build ID of the executable.
fn version(window: &Window, labels: &Labels) -> Option<String> {
    let name = labels.get("process.executable.name")?;
    let is_it = |path: &std::path::Path| path.file_name().is_some_and(|file| file == name);
    let path_of = |file| window.processes.files().path(file);
    let objects = window.objects.iter().filter(|(file, _)| path_of(**file).is_some_and(is_it));
    let build_ids: BTreeSet<String> =
        objects.filter_map(|(_, object)| Some(object.build_id.as_ref()?.to_string())).collect();
    // Two of them are two versions at once, while one replaces the other.
    Some(build_ids.into_iter().collect::<Vec<_>>().join(",")).filter(|version| !version.is_empty())
}

/// Samples that make a profile.
struct Group {
    labels: Arc<Labels>,
    /// Those of everybody who is not in one of these.
    others_than: Option<BTreeSet<Arc<Labels>>>,
}

impl Group {
    fn holds(&self, window: &Window, key: &Key) -> bool {
        match (window.group_of(key), &self.others_than) {
            (Some(labels), None) => *labels == self.labels,
            (None, None) => false,
            (Some(labels), Some(known)) => !known.contains(labels),
            (None, Some(_)) => true,
        }
    }
}

/// Who was sampled in a window, those with the most samples first.
fn groups(window: &Window, source: Source) -> Vec<Group> {
    let mut n_samples: BTreeMap<Option<Arc<Labels>>, u64> = BTreeMap::new();
    for (key, counted) in window.aggregate.counted().filter(|(key, _)| source.gives(key.event)) {
        *n_samples.entry(window.group_of(key).cloned()).or_default() += counted.n_samples;
    }
    let has_nobody = n_samples.remove(&None).is_some();
    let mut known: Vec<(u64, Arc<Labels>)> =
        n_samples.into_iter().filter_map(|(labels, n)| Some((n, labels?))).collect();
    known.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let has_others = has_nobody || known.len() > MAX_GROUPS;
    known.truncate(MAX_GROUPS);
    let all: BTreeSet<Arc<Labels>> = known.iter().map(|(_, labels)| Arc::clone(labels)).collect();
    let mut groups: Vec<Group> =
        known.into_iter().map(|(_, labels)| Group { labels, others_than: None }).collect();
    if has_others {
        let labels = Arc::new(Labels::default().with("service.name", OTHERS));
        groups.push(Group { labels, others_than: Some(all) });
    }
    groups
}
