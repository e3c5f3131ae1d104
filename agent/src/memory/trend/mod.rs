//! Memory of many groups of processes, for months: what a daemon tells of each.
//!
//! Whoever calls knows which processes make a group. Each group is read on a timer, has a bounded history of the recent
//! past, and a verdict on it. All of it together takes a bounded share of one CPU: where that is not enough, groups are
//! read less often, the longest unread first, and what was missed is counted.

mod followed;
mod source;
#[cfg(test)]
mod tests;

pub use source::{Host, Source};

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use profile::{
    Labels,
    encode::otlp_metrics::Metric,
    memory::{LimitReport, MemoryUse},
    trend::Verdict,
};

use self::followed::Followed;
use super::budget::Budget;

/// Groups that are followed at once: 5 MiB of histories. What is beyond is counted.
pub const MAX_GROUPS: usize = 1024;

/// How groups are followed.
#[derive(Clone, Copy, Debug)]
pub struct TrendSettings {
    /// Between two readings of a group.
    pub interval: Duration,
    /// The past that a verdict is about.
    pub window: Duration,
    /// For how long a group that is no longer named keeps its history.
    pub forget_after: Duration,
}

impl Default for TrendSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            window: Duration::from_secs(6 * 3600),
            forget_after: Duration::from_secs(300),
        }
    }
}

/// Processes that belong together, such as those of one service.
#[derive(Clone, Copy, Debug)]
pub struct ProcessGroup<'a> {
    /// What they are called; a group is the same as long as this is.
    pub labels: &'a Arc<Labels>,
    /// Those that are there.
    pub pids: &'a [u32],
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrendFigures {
    /// Groups that are followed now.
    pub n_groups: usize,
    /// Groups that were named last and are not followed: too many.
    pub n_groups_left_out: usize,
    /// Readings of a group.
    pub n_readings: u64,
    /// Readings of a group that did not happen in time, for want of budget or because nobody asked.
    pub n_missed: u64,
    /// Readings of a process that failed although it was there.
    pub n_unread: u64,
    /// CPU time that it all took.
    pub spent_ns: u64,
}

/// What is known of one group.
#[derive(Clone, Copy, Debug)]
pub struct GroupTrend<'a> {
    /// Which.
    pub labels: &'a Arc<Labels>,
    /// How long ago it was read.
    pub age_ns: u64,
    /// The processes that were read then.
    pub n_processes: usize,
    /// Their sum.
    pub usage: &'a MemoryUse,
    /// On the recent past; its times count from the beginning of the history.
    pub verdict: &'a Verdict,
    /// The limit that is reached first.
    pub limit: Option<&'a LimitReport>,
    /// How long ago the history began: with the group, or when the last of its processes had been replaced.
    pub history_ns: u64,
}

/// The groups that are followed.
pub struct Trends<S = Host> {
    source: S,
    settings: TrendSettings,
    budget: Budget,
    groups: HashMap<Arc<Labels>, Followed>,
    figures: TrendFigures,
}

impl Trends {
    /// Of this host.
    #[must_use]
    pub fn new(settings: TrendSettings) -> Self {
        Self::of(Host::default(), settings)
    }
}

impl<S: Source> Trends<S> {
    /// Of whatever tells the memory of processes.
    #[must_use]
    pub fn of(source: S, settings: TrendSettings) -> Self {
        let budget = Budget::in_bursts(nanos(settings.interval));
        Self { source, settings, budget, groups: HashMap::new(), figures: TrendFigures::default() }
    }

    /// Reads the groups that are due, as far as the budget goes. Call it at least once in each interval, with all
    /// groups that are there and each once; one without processes is as one that is not named.
    pub fn read(&mut self, groups: &[ProcessGroup<'_>]) {
        let now_ns = self.source.now_ns();
        let named: Vec<&ProcessGroup<'_>> = groups.iter().filter(|group| !group.pids.is_empty()).collect();
        self.take_in(&named, now_ns);
        let due_ns = |group: &&&ProcessGroup<'_>| {
            let followed = self.groups.get(group.labels)?;
            followed.pace.is_due(now_ns).then(|| followed.pace.due_ns())
        };
        let mut due: Vec<(u64, &ProcessGroup<'_>)> =
            named.iter().filter_map(|group| Some((due_ns(&group)?, *group))).collect();
        due.sort_by_key(|(due_ns, _)| *due_ns);
        for (_, group) in due {
            let began_ns = self.source.now_ns();
            if !self.budget.is_due(began_ns) {
                break;
            }
            let Some(followed) = self.groups.get_mut(group.labels) else { continue };
            let cpu_before_ns = self.source.cpu_ns();
            self.figures.n_unread += followed.read(group.pids, &mut self.source, began_ns);
            self.figures.n_readings += 1;
            self.figures.n_missed += followed.pace.step(began_ns);
            let took_ns = self.source.cpu_ns().saturating_sub(cpu_before_ns);
            self.budget.spend(began_ns, began_ns.saturating_add(took_ns));
        }
        self.figures.spent_ns = self.budget.spent_ns;
    }

    /// Every group that was named last and has been read, with what is to be told of it at this time.
    #[must_use]
    pub fn metrics(&self, now_unix_ns: u64) -> Vec<(Arc<Labels>, Vec<Metric>)> {
        let now_ns = self.source.now_ns();
        let of = |(labels, followed): (&Arc<Labels>, &Followed)| {
            Some((Arc::clone(labels), followed.metrics(now_ns, now_unix_ns)?))
        };
        self.groups.iter().filter_map(of).collect()
    }

    /// The same, for people.
    pub fn groups(&self) -> impl Iterator<Item = GroupTrend<'_>> {
        let now_ns = self.source.now_ns();
        self.groups.iter().filter_map(move |(labels, followed)| followed.seen(labels, now_ns))
    }

    /// What was done so far.
    #[must_use]
    pub fn figures(&self) -> TrendFigures {
        self.figures
    }

    /// Begins to follow what is new while there is room, and forgets what has not been named for long.
    fn take_in(&mut self, named: &[&ProcessGroup<'_>], now_ns: u64) {
        let all: HashSet<&Arc<Labels>> = named.iter().map(|group| group.labels).collect();
        let forget_ns = nanos(self.settings.forget_after);
        for (labels, followed) in &mut self.groups {
            followed.name(all.contains(labels), now_ns);
        }
        self.groups.retain(|_, it| it.is_named || now_ns.saturating_sub(it.named_ns) < forget_ns);
        let mut n_left_out = 0;
        for labels in all {
            if self.groups.contains_key(labels) {
                continue;
            }
            if self.groups.len() >= MAX_GROUPS && !self.forget_oldest() {
                n_left_out += 1;
                continue;
            }
            self.groups.insert(Arc::clone(labels), Followed::new(&self.settings, now_ns));
        }
        self.figures.n_groups_left_out = n_left_out;
        self.figures.n_groups = self.groups.len();
    }

    /// What is no longer named makes room for what is.
    fn forget_oldest(&mut self) -> bool {
        let gone = self.groups.iter().filter(|(_, followed)| !followed.is_named);
        let oldest = gone.min_by_key(|(_, followed)| followed.named_ns).map(|(labels, _)| Arc::clone(labels));
        oldest.is_some_and(|labels| self.groups.remove(&labels).is_some())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
