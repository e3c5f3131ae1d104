//! One group: its recent past, its verdict, its limit.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use profile::{
    Labels,
    encode::{
        memory_metrics::{self, MemoryFigures},
        otlp_metrics::Metric,
    },
    memory::{Field, LimitReport, MemoryUse},
    trend::{Recent, Verdict, judge},
};

use super::{GroupTrend, Source, TrendSettings, nanos};
use crate::memory::pace::Pace;

/// Points of a history: 4 KiB. Six hours are kept at 3 to 6 minutes a point.
const POINTS: usize = 128;
/// Between two verdicts: each compares all pairs of points.
const JUDGE_INTERVAL_NS: u64 = 60_000_000_000;

/// A group that is followed.
pub(super) struct Followed {
    pub(super) pace: Pace,
    /// When it was last named, and whether that was last time.
    pub(super) named_ns: u64,
    pub(super) is_named: bool,
    interval_ns: u64,
    window_ns: u64,
    history: Recent,
    began_ns: u64,
    /// Those of the processes with which the history began that have been there ever since. Workers come and go; when the
    /// last of these has gone, all that is left is another life of the service.
    firsts: BTreeSet<u32>,
    last: Option<Reading>,
}

/// What the last reading gave.
struct Reading {
    time_ns: u64,
    n_processes: usize,
    usage: MemoryUse,
    judged: Judged,
}

/// What is found out less often.
struct Judged {
    time_ns: u64,
    verdict: Verdict,
    limit: Option<LimitReport>,
}

impl Followed {
    pub(super) fn new(settings: &TrendSettings, now_ns: u64) -> Self {
        let (interval_ns, window_ns) = (nanos(settings.interval), nanos(settings.window));
        Self {
            pace: Pace::new(now_ns, interval_ns),
            named_ns: now_ns,
            is_named: true,
            interval_ns,
            window_ns,
            history: Recent::new(POINTS, window_ns),
            began_ns: now_ns,
            firsts: BTreeSet::new(),
            last: None,
        }
    }

    /// Whether it is there. While it is not, nothing is missed.
    pub(super) fn name(&mut self, is_named: bool, now_ns: u64) {
        if is_named {
            if !self.is_named {
                self.pace = Pace::new(now_ns, self.interval_ns);
            }
            self.named_ns = now_ns;
        }
        self.is_named = is_named;
    }

    /// Reads all processes. How many could not be read although they are there.
    pub(super) fn read(&mut self, pids: &[u32], source: &mut impl Source, now_ns: u64) -> u64 {
        let mut n_unread = 0;
        let mut uses = Vec::with_capacity(pids.len());
        for pid in pids {
            match source.usage(*pid) {
                Ok(usage) => uses.push((*pid, usage)),
                Err(error) if error.is_gone() => {}
                Err(_) => n_unread += 1,
            }
        }
        let Some(lowest_pid) = uses.iter().map(|(pid, _)| *pid).min() else { return n_unread };
        let there: HashSet<u32> = pids.iter().copied().collect();
        self.firsts.retain(|pid| there.contains(pid));
        if self.firsts.is_empty() {
            self.firsts = uses.iter().map(|(pid, _)| *pid).collect();
            self.history = Recent::new(POINTS, self.window_ns);
            self.began_ns = now_ns;
            self.last = None;
        }
        let usage = MemoryUse::sum(uses.iter().map(|(_, usage)| usage));
        let bytes = usage.get(Field::AnonymousAndSwap).unwrap_or(0);
        let is_new_point = self.history.push(now_ns.saturating_sub(self.began_ns), bytes);
        let judged = self
            .last
            .take()
            .map(|last| last.judged)
            .filter(|judged| !is_new_point || now_ns.saturating_sub(judged.time_ns) < JUDGE_INTERVAL_NS);
        let judged = judged.unwrap_or_else(|| self.judge(lowest_pid, source, now_ns));
        self.last = Some(Reading { time_ns: now_ns, n_processes: uses.len(), usage, judged });
        n_unread
    }

    fn judge(&self, pid: u32, source: &mut impl Source, now_ns: u64) -> Judged {
        let headroom = source.headroom(pid);
        let verdict = judge(&self.history.points(), headroom.as_ref().map(|it| it.limit_bytes));
        let limit = headroom.map(|it| it.report(verdict.rate_ahead_bytes_per_second()));
        Judged { time_ns: now_ns, verdict, limit }
    }

    /// None if it was not named last, or never read.
    pub(super) fn metrics(&self, now_ns: u64, now_unix_ns: u64) -> Option<Vec<Metric>> {
        let last = self.last.as_ref().filter(|_| self.is_named)?;
        let usage = Field::ALL.into_iter().filter_map(|field| Some((field.name(), last.usage.get(field)?)));
        Some(memory_metrics::of(&MemoryFigures {
            unix_ns: now_unix_ns.saturating_sub(now_ns.saturating_sub(last.time_ns)),
            usage: usage.collect(),
            n_processes: last.n_processes,
            verdict: &last.judged.verdict,
            limit: last.judged.limit.as_ref(),
        }))
    }

    /// None in the same cases.
    pub(super) fn seen<'a>(&'a self, labels: &'a Arc<Labels>, now_ns: u64) -> Option<GroupTrend<'a>> {
        let last = self.last.as_ref().filter(|_| self.is_named)?;
        Some(GroupTrend {
            labels,
            age_ns: now_ns.saturating_sub(last.time_ns),
            n_processes: last.n_processes,
            usage: &last.usage,
            verdict: &last.judged.verdict,
            limit: last.judged.limit.as_ref(),
            history_ns: now_ns.saturating_sub(self.began_ns),
        })
    }
}
