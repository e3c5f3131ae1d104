//! The timer: when what is read.

use std::{collections::BTreeMap, thread, time::Duration};

use profile::{
    memory::{End, Field, MemoryUse, Snapshot},
    trend::{History, Point},
};

use super::{
    budget::Budget,
    group::{Group, Headroom},
    pace::Pace,
    snapshot,
    tree::{Tree, TreeError},
};
use crate::{clock, procfs::memory_group::Mounts};

/// Points kept of each quantity of the tree: 32 KiB. A day at one reading a second is kept at 128 s a point.
const HISTORY_POINTS: usize = 1024;
/// How long a signal may wait.
const SLICE: Duration = Duration::from_millis(100);

/// What to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which processes; any of their threads may stand for one.
    pub pids: Vec<u32>,
    /// Their children, too, present and future.
    pub follow_children: bool,
    /// Between two readings.
    pub interval: Duration,
    /// For how long; until the processes end, if not given.
    pub duration: Option<Duration>,
    /// What the user asked for, for snapshots.
    pub command: String,
    /// The name of this host.
    pub host: String,
    /// The name of the first snapshot; none is taken without.
    pub snapshot_at_start: Option<String>,
}

/// What is asked of a watch from outside, before each reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// End.
    pub is_asked: bool,
    /// Take a snapshot of this name.
    pub snapshot: Option<String>,
}

/// What can be seen after each reading.
pub struct Sight<'a> {
    /// From the start of the watch.
    pub time_ns: u64,
    /// Sums over the processes.
    pub usage: MemoryUse,
    /// How many there are.
    pub n_processes: usize,
    /// What the verdict will be on.
    pub history: &'a History,
    /// The limit, and how much of it is used.
    pub headroom: Option<&'a Headroom>,
}

impl Sight<'_> {
    /// The points of what the verdict will be on.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        self.history.points()
    }
}

/// A watch that has ended.
pub struct Watch {
    pub(super) tree: Tree,
    pub(super) series: BTreeMap<Field, History>,
    pub(super) group: Group,
    pub(super) group_usage: History,
    pub(super) headroom: Option<Headroom>,
    pub(super) rollups: Budget,
    /// Of CLOCK_MONOTONIC.
    began_ns: u64,
    pub(super) start_unix_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) n_readings: u64,
    pub(super) n_missed: u64,
    pub(super) end: End,
    pub(super) cpu_ns: u64,
}

/// Watches until the time is over, every process has ended, or the user asks. `asked` is looked at ten times a second;
/// `saw` is told of every reading, `keep` is given every snapshot.
///
/// # Errors
/// If a process is not there at the start, or /proc cannot be listed.
pub fn watch(
    options: &Options,
    mut asked: impl FnMut() -> Stop,
    mut saw: impl FnMut(&Sight<'_>),
    mut keep: impl FnMut(&Snapshot),
) -> Result<Watch, TreeError> {
    let cpu_before_ns = clock::process_cpu_ns();
    let tree = Tree::new(&options.pids, options.follow_children)?;
    let began_ns = clock::monotonic_ns();
    let mut watch = Watch {
        tree,
        series: BTreeMap::new(),
        group: Group::default(),
        group_usage: History::new(HISTORY_POINTS),
        headroom: None,
        rollups: Budget::default(),
        began_ns,
        start_unix_ns: clock::unix_ns(),
        duration_ns: 0,
        n_readings: 0,
        n_missed: 0,
        end: End::Elapsed,
        cpu_ns: 0,
    };
    let interval_ns = nanos(options.interval);
    let end_ns = options.duration.map(|duration| began_ns.saturating_add(nanos(duration)));
    let take = |watch: &Watch, label: &str| snapshot::take(&watch.tree, label, options);
    let mut pace = Pace::new(began_ns, interval_ns);
    watch.end = 'watching: loop {
        if !watch.read(clock::monotonic_ns().saturating_sub(began_ns))? {
            break End::TargetsEnded;
        }
        if watch.n_readings == 1
            && let Some(label) = &options.snapshot_at_start
        {
            keep(&take(&watch, label));
        }
        watch.show(&mut saw, clock::monotonic_ns().saturating_sub(began_ns));

        watch.n_missed = watch.n_missed.saturating_add(pace.step(clock::monotonic_ns()));
        loop {
            let Stop { is_asked, snapshot } = asked();
            if let Some(label) = snapshot {
                keep(&take(&watch, &label));
            }
            if is_asked {
                break 'watching End::Stopped;
            }
            let now_ns = clock::monotonic_ns();
            if end_ns.is_some_and(|end_ns| now_ns >= end_ns) {
                break 'watching End::Elapsed;
            }
            let wake_ns = end_ns.map_or(pace.due_ns(), |end_ns| end_ns.min(pace.due_ns()));
            if now_ns >= wake_ns {
                break;
            }
            thread::sleep(SLICE.min(Duration::from_nanos(wake_ns - now_ns)));
        }
    };
    // Of a process that has gone, the last look is the one that counts.
    if watch.end != End::TargetsEnded {
        watch.headroom = watch.group.headroom().or(watch.headroom.take());
    }
    watch.duration_ns = clock::monotonic_ns().saturating_sub(began_ns);
    watch.cpu_ns = clock::process_cpu_ns().saturating_sub(cpu_before_ns);
    Ok(watch)
}

impl Watch {
    /// When it began, by the clock that samples carry.
    #[must_use]
    pub fn began_ns(&self) -> u64 {
        self.began_ns
    }

    /// One reading; false if every process has ended.
    fn read(&mut self, time_ns: u64) -> Result<bool, TreeError> {
        self.tree.read(time_ns)?;
        if self.tree.n_live() == 0 {
            return Ok(false);
        }
        let began_ns = clock::monotonic_ns();
        let is_rollup_due = self.rollups.is_due(began_ns);
        if is_rollup_due {
            self.tree.read_rollups();
            if let Some(process) = self.tree.live().next() {
                let mounts = Mounts::read().unwrap_or_default();
                if self.group.look(process.pid, &mounts) {
                    // The usage of another group is another series.
                    self.group_usage = History::new(HISTORY_POINTS);
                }
            }
            self.headroom = self.group.headroom().or(self.headroom.take());
            self.rollups.spend(began_ns, clock::monotonic_ns());
        }
        let usage = self.tree.sum();
        for field in Field::ALL {
            let is_rolled_up = matches!(field, Field::Proportional | Field::HugePages);
            // Between two rounds there is nothing new to be said.
            if is_rolled_up && !is_rollup_due {
                continue;
            }
            if let Some(bytes) = usage.get(field) {
                let history = self.series.entry(field).or_insert_with(|| History::new(HISTORY_POINTS));
                history.push(time_ns, bytes);
            }
        }
        if let Some(bytes) = self.group.usage_bytes() {
            self.group_usage.push(time_ns, bytes);
        }
        self.n_readings += 1;
        Ok(true)
    }

    fn show(&self, saw: &mut impl FnMut(&Sight<'_>), time_ns: u64) {
        if let Some(history) = self.series.get(&Field::AnonymousAndSwap) {
            saw(&Sight {
                time_ns,
                usage: self.tree.sum(),
                n_processes: self.tree.n_live(),
                history,
                headroom: self.headroom.as_ref(),
            });
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
