//! What a watch found, as a report.

use std::{cmp::Reverse, collections::BTreeMap, ops::Range};

use profile::{
    memory::{Began, End, Field, MemoryOverhead, MemoryReport, ProcessReport, Series},
    trend::{Direction, History, judge},
};

use super::{Options, Watch, tree::Process};
use crate::procfs::status;

/// Processes that are judged each for itself: a verdict compares all pairs of points.
const MAX_JUDGED: usize = 32;

/// Makes the report. `snapshots` are the files that were written.
#[must_use]
pub fn report(watch: &Watch, options: &Options, snapshots: Vec<String>) -> MemoryReport {
    let history = watch.series.get(&Field::AnonymousAndSwap);
    let points = history.map(History::points).unwrap_or_default();
    let limit_bytes = watch.headroom.as_ref().map(|it| it.limit_bytes);
    let verdict = judge(&points, limit_bytes);
    let tree: BTreeMap<_, _> = watch
        .series
        .iter()
        .filter_map(|(field, history)| Some((field.name(), Series::of(history)?)))
        .collect();
    let trend = tree.get(Field::AnonymousAndSwap.name()).map(|series| series.trend);
    let goes_on = watch.end != End::TargetsEnded;
    let rate =
        trend.filter(|trend| goes_on && trend.direction == Direction::Increasing).and_then(|trend| trend.fit);
    let rate_bytes_per_second = rate.map_or(0.0, |fit| fit.rate_bytes_per_second);
    let mut report = MemoryReport {
        host: options.host.clone(),
        command: options.command.clone(),
        start_unix_ns: watch.start_unix_ns,
        duration_ns: watch.duration_ns,
        interval_ns: u64::try_from(options.interval.as_nanos()).unwrap_or(u64::MAX),
        n_readings: watch.n_readings,
        n_readings_missed: watch.n_missed,
        end: watch.end,
        verdict,
        began_with_growth: Vec::new(),
        growth: None,
        limit: watch.headroom.as_ref().map(|it| it.report(rate_bytes_per_second)),
        control_group: watch.group.report(Series::of(&watch.group_usage), watch.headroom.as_ref()),
        tree,
        processes: processes(watch, limit_bytes),
        n_processes_left_out: watch.tree.n_left_out.saturating_add(watch.tree.n_unread),
        history: points,
        n_readings_per_point: history.map_or(1, History::n_per_point),
        profile: None,
        snapshots,
        overhead: overhead(watch),
        comments: comments(watch),
    };
    if let Some(around) = report.around_growth() {
        report.began_with_growth = began(watch, &around);
    }
    report
}

/// Processes that were first seen in a stretch of time, not at the start.
fn began(watch: &Watch, within: &Range<u64>) -> Vec<Began> {
    let is_new = |process: &&Process| process.seen_from_ns > 0 && within.contains(&process.seen_from_ns);
    let new = watch.tree.all().filter(is_new);
    let mut began: Vec<Began> =
        new.map(|it| Began { pid: it.pid, name: it.name.clone(), time_ns: it.seen_from_ns }).collect();
    began.sort_unstable();
    began
}

fn processes(watch: &Watch, limit_bytes: Option<u64>) -> Vec<ProcessReport> {
    let mut all: Vec<&Process> = watch.tree.all().collect();
    all.sort_by_key(|process| (Reverse(process.usage.resident_bytes), process.pid));
    let report = |(index, process): (usize, &Process)| {
        Some(ProcessReport {
            pid: process.pid,
            name: process.name.clone(),
            seen_from_ns: process.seen_from_ns,
            seen_until_ns: process.seen_until_ns,
            has_ended: process.has_ended,
            usage: process.usage,
            anonymous_and_swap: Series::of(&process.history)?,
            verdict: (index < MAX_JUDGED).then(|| judge(&process.history.points(), limit_bytes)),
        })
    };
    all.into_iter().enumerate().filter_map(report).collect()
}

fn overhead(watch: &Watch) -> MemoryOverhead {
    let percent = |ns: u64| (1e4 * ns as f64 / watch.duration_ns.max(1) as f64).round() / 100.0;
    MemoryOverhead {
        agent_cpu_percent: percent(watch.cpu_ns),
        kernel_cpu_percent: None,
        agent_rss_bytes: status::read(std::process::id()).ok().and_then(|status| status.resident_bytes),
        n_smaps_rounds: watch.rollups.n_rounds,
        smaps_percent: percent(watch.rollups.spent_ns),
        smaps_longest_ns: watch.tree.rollup_longest_ns,
    }
}

fn comments(watch: &Watch) -> Vec<String> {
    let mut comments = Vec::new();
    match watch.end {
        End::Elapsed => {}
        End::TargetsEnded => {
            comments.push(format!("every process had ended after {:.1} s", watch.duration_ns as f64 / 1e9));
        }
        End::Stopped => comments.push("ended early on request".to_owned()),
    }
    if let Some(error) = &watch.tree.rollup_error {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        comments.push(format!("no PSS: {error}{cause}; root or CAP_SYS_PTRACE can read it"));
    }
    if watch.tree.n_unread > 0 {
        comments.push(format!(
            "{} processes are not in the sums: more than are read at once, or more than open files allow",
            watch.tree.n_unread
        ));
    }
    if watch.n_missed > 0 {
        comments.push(format!(
            "{} readings did not happen, because one before took too long: a longer --interval helps",
            watch.n_missed
        ));
    }
    comments
}
