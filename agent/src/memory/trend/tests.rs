//! Groups with readings that are made up, for days in a moment.

use std::{cell::Cell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use profile::{
    Labels,
    encode::otlp_metrics::Number,
    memory::MemoryUse,
    trend::{Pattern, VerdictKind},
};
use proptest::prelude::{any, prop_assert, proptest};

use super::{MAX_GROUPS, ProcessGroup, Source, TrendSettings, Trends};
use crate::{memory::group::Headroom, procfs::memory::MemoryError};

const MIB: u64 = 1 << 20;
const SECOND_NS: u64 = 1_000_000_000;
const STEP: Duration = Duration::from_secs(5);

/// A host whose processes have as much memory as a function says, at a price.
struct MadeUp {
    now_ns: Rc<Cell<u64>>,
    cost_ns: u64,
    bytes: fn(u32, u64) -> Option<u64>,
    limit_bytes: Option<u64>,
}

impl Source for MadeUp {
    fn now_ns(&self) -> u64 {
        self.now_ns.get()
    }

    /// It waits for nothing but itself.
    fn cpu_ns(&self) -> u64 {
        self.now_ns.get()
    }

    fn usage(&mut self, pid: u32) -> Result<MemoryUse, MemoryError> {
        self.now_ns.set(self.now_ns.get() + self.cost_ns);
        let anonymous_bytes =
            (self.bytes)(pid, self.now_ns.get() / SECOND_NS).ok_or(MemoryError::NoMemory { pid })?;
        Ok(MemoryUse { resident_bytes: anonymous_bytes, anonymous_bytes, ..MemoryUse::default() })
    }

    fn headroom(&mut self, _: u32) -> Option<Headroom> {
        let limit_bytes = self.limit_bytes?;
        Some(Headroom { source: "control group /edge".into(), limit_bytes, used_bytes: limit_bytes / 2 })
    }
}

struct World {
    now_ns: Rc<Cell<u64>>,
    trends: Trends<MadeUp>,
}

impl World {
    fn new(bytes: fn(u32, u64) -> Option<u64>) -> Self {
        Self::with(bytes, 1000, None)
    }

    fn with(bytes: fn(u32, u64) -> Option<u64>, cost_ns: u64, limit_bytes: Option<u64>) -> Self {
        let now_ns = Rc::new(Cell::new(0));
        let source = MadeUp { now_ns: Rc::clone(&now_ns), cost_ns, bytes, limit_bytes };
        Self {
            now_ns,
            trends: Trends::of(source, TrendSettings { interval: STEP, ..TrendSettings::default() }),
        }
    }

    /// Reads every five seconds until this time.
    fn run_until(&mut self, until_s: u64, groups: &[(&Arc<Labels>, &[u32])]) {
        let groups: Vec<_> = groups.iter().map(|(labels, pids)| ProcessGroup { labels, pids }).collect();
        while self.now_ns.get() < until_s * SECOND_NS {
            self.trends.read(&groups);
            let next_ns = (self.now_ns.get() / (5 * SECOND_NS) + 1) * 5 * SECOND_NS;
            self.now_ns.set(next_ns);
        }
    }

    fn verdict(&self) -> (VerdictKind, Pattern, u64) {
        let mut groups = self.trends.groups();
        let group = groups.next().expect("a group");
        (group.verdict.kind, group.verdict.pattern, group.history_ns / SECOND_NS)
    }
}

fn named(name: &str) -> Arc<Labels> {
    Arc::new(Labels::default().with("service.name", name))
}

#[test]
fn a_leak_is_told_within_minutes_with_its_rate_and_the_time_that_is_left() {
    // Two of the workers leak half a MiB a second each.
    let mut world =
        World::with(|pid, s| Some(100 * MIB + if pid > 1 { s * MIB / 2 } else { 0 }), 1000, Some(1 << 34));
    let edge = named("edge");
    world.run_until(300, &[(&edge, &[1, 2, 3])]);
    let metrics = world.trends.metrics(1_700_000_000 * SECOND_NS);
    let [(labels, metrics)] = metrics.as_slice() else { panic!("{metrics:#?}") };
    assert_eq!(labels, &edge);
    let points = metrics.iter().flat_map(|metric| metric.points.iter().map(move |point| (metric, point)));
    let found: BTreeMap<String, Number> = points
        .map(|(metric, point)| {
            let attributes: Vec<String> =
                point.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
            (format!("{}{{{}}}", metric.name, attributes.join(",")), point.value)
        })
        .collect();
    let number = |name: &str| match found.get(name) {
        Some(Number::Integer(value)) => *value as f64,
        Some(Number::Float(value)) => *value,
        None => panic!("no {name} in {found:#?}"),
    };
    assert_eq!(number("brazier.memory.verdict{verdict=leak,pattern=growing}"), 2.0, "{found:#?}");
    assert_eq!(number("brazier.memory.processes{}"), 3.0, "{found:#?}");
    assert_eq!(number("brazier.memory.usage{field=resident}"), (595 * MIB) as f64, "{found:#?}");
    let rates = ["growth.low", "growth", "growth.high"].map(|it| number(&format!("brazier.memory.{it}{{}}")));
    assert!(rates.iter().all(|rate| (rate / MIB as f64 - 1.0).abs() < 0.01), "{rates:?}");
    let left_s = number("brazier.memory.limit.time_left{source=control group /edge}");
    assert!((left_s - 8192.0).abs() < 100.0, "{left_s} s");
    // As of the last reading, five seconds ago.
    let unix_ns = metrics[0].points[0].unix_ns;
    assert!((1_699_999_995 * SECOND_NS).abs_diff(unix_ns) < SECOND_NS, "{unix_ns}");
}

#[test]
fn only_the_recent_past_counts() {
    // A day of growth, and a day without.
    let mut world = World::new(|_, s| Some((100 + s.min(86_400) / 50) * MIB));
    let edge = named("edge");
    world.run_until(86_400, &[(&edge, &[1])]);
    assert_eq!(world.verdict(), (VerdictKind::Leak, Pattern::Growing, 86_400));
    world.run_until(86_400 + 4 * 3600, &[(&edge, &[1])]);
    assert_eq!(world.verdict().0, VerdictKind::NoLeak, "{:?}", world.verdict());
    world.run_until(86_400 + 7 * 3600, &[(&edge, &[1])]);
    assert_eq!(world.verdict(), (VerdictKind::NoLeak, Pattern::Stable, 86_400 + 7 * 3600));
}

#[test]
fn a_restart_begins_anew_and_a_reload_that_keeps_the_master_does_not() {
    let mut world = World::new(|_, s| Some((100 + s / 10) * MIB));
    let edge = named("edge");
    world.run_until(3600, &[(&edge, &[1, 2, 3])]);
    world.run_until(3700, &[(&edge, &[1, 4, 5])]);
    assert_eq!(world.verdict(), (VerdictKind::Leak, Pattern::Growing, 3700));
    // A new master beside the old one, which then goes.
    world.run_until(3720, &[(&edge, &[1, 5, 6, 7])]);
    assert_eq!(world.verdict().2, 3720);
    world.run_until(3750, &[(&edge, &[6, 7])]);
    let (kind, pattern, history_s) = world.verdict();
    assert_eq!((kind, pattern), (VerdictKind::Undecided, Pattern::TooShort));
    assert!((25..=30).contains(&history_s), "{history_s} s");
}

#[test]
fn a_group_that_is_gone_is_not_told_and_is_forgotten_after_its_time() {
    let mut world = World::new(|_, _| Some(MIB));
    let (edge, other) = (named("edge"), named("other"));
    world.run_until(60, &[(&edge, &[1]), (&other, &[2])]);
    assert_eq!(world.trends.metrics(0).len(), 2);
    world.run_until(200, &[(&other, &[2]), (&edge, &[])]);
    assert_eq!(world.trends.metrics(0).len(), 1);
    assert_eq!(world.trends.figures().n_groups, 2, "{:?}", world.trends.figures());
    // Back in time, with the same process: nothing is lost of it, and nothing was missed.
    world.run_until(260, &[(&edge, &[1]), (&other, &[2])]);
    let ages: Vec<u64> = world.trends.groups().map(|group| group.history_ns / SECOND_NS).collect();
    assert!(ages.len() == 2 && ages.iter().all(|age| *age >= 259), "{ages:?}");
    assert_eq!(world.trends.figures().n_missed, 0, "{:?}", world.trends.figures());
    world.run_until(600, &[(&other, &[2])]);
    assert_eq!(world.trends.figures().n_groups, 1, "{:?}", world.trends.figures());
}

#[test]
fn processes_that_end_meanwhile_are_left_out_and_a_group_of_nothing_else_is_not_told() {
    let mut world = World::new(|pid, _| (pid < 3).then_some(MIB));
    let (edge, gone) = (named("edge"), named("gone"));
    world.run_until(60, &[(&edge, &[1, 2, 3]), (&gone, &[4])]);
    let seen: Vec<_> = world.trends.groups().map(|it| (it.n_processes, it.usage.resident_bytes)).collect();
    assert_eq!(seen, [(2, 2 * MIB)]);
}

#[test]
fn ten_thousand_processes_are_read_less_often_each_group_in_turn_and_what_was_missed_is_counted() {
    // 10 us a process: 100 ms for all of them.
    let mut world = World::with(|_, _| Some(MIB), 10_000, None);
    let names: Vec<_> = (0..500).map(|n| named(&n.to_string())).collect();
    let pids: Vec<Vec<u32>> = (0..500).map(|n| (n * 20..n * 20 + 20).collect()).collect();
    let groups: Vec<(&Arc<Labels>, &[u32])> =
        names.iter().zip(&pids).map(|(name, pids)| (name, &pids[..])).collect();
    world.run_until(1200, &groups);
    let figures = world.trends.figures();
    let share = figures.spent_ns as f64 / (1200 * SECOND_NS) as f64;
    assert!(share > 0.0045 && share < 0.0051, "{share} of a CPU: {figures:?}");
    let oldest_s = world.trends.groups().map(|group| group.age_ns / SECOND_NS).max();
    assert!(oldest_s.is_some_and(|age| age <= 25), "{oldest_s:?} s");
    assert_eq!(world.trends.groups().count(), 500);
    let n_due = 500 * 240;
    let n_told = figures.n_readings + figures.n_missed;
    assert!(n_told <= n_due && n_told > n_due - 500 * 6, "{n_told} of {n_due}: {figures:?}");
}

#[test]
fn more_groups_than_there_is_room_for_are_counted_and_get_the_room_of_those_that_go() {
    let mut world = World::new(|_, _| Some(MIB));
    let names: Vec<_> = (0..MAX_GROUPS + 10).map(|n| named(&n.to_string())).collect();
    let groups: Vec<(&Arc<Labels>, &[u32])> = names.iter().map(|name| (name, &[1_u32][..])).collect();
    world.run_until(10, &groups);
    let figures = world.trends.figures();
    assert_eq!((figures.n_groups, figures.n_groups_left_out), (MAX_GROUPS, 10), "{figures:?}");
    world.run_until(20, &groups[20..]);
    let figures = world.trends.figures();
    assert_eq!(figures.n_groups_left_out, 0, "{figures:?}");
    assert!(figures.n_groups <= MAX_GROUPS, "{figures:?}");
}

#[test]
fn this_host_tells_the_memory_of_this_process() {
    let mut trends = Trends::new(TrendSettings::default());
    let own = named("own");
    let pids = [std::process::id()];
    trends.read(&[ProcessGroup { labels: &own, pids: &pids }]);
    let seen: Vec<_> = trends.groups().collect();
    let [group] = seen.as_slice() else { panic!("{seen:?}") };
    assert!(group.usage.resident_bytes > 100_000 && group.limit.is_some(), "{group:?}");
}

proptest! {
    #[test]
    fn whatever_groups_come_and_go_bounds_hold_and_nothing_overflows(
        rounds in proptest::collection::vec(
            (proptest::collection::vec((0..6_u8, proptest::collection::vec(0..9_u32, 0..5)), 0..8), any::<u32>()),
            1..60,
        ),
    ) {
        let mut world = World::with(|pid, s| (pid > 0).then_some(u64::MAX >> (s % 64)), 1_000_000, Some(1));
        let names: Vec<_> = (0..6).map(|n| named(&n.to_string())).collect();
        for (groups, rest_ms) in &rounds {
            let groups: Vec<_> = groups
                .iter()
                .map(|(name, pids)| ProcessGroup { labels: &names[usize::from(*name)], pids })
                .collect();
            world.trends.read(&groups);
            let named = groups.iter().filter(|group| !group.pids.is_empty());
            let named: std::collections::BTreeSet<_> = named.map(|group| group.labels.get("service.name")).collect();
            let told = world.trends.metrics(0);
            prop_assert!(told.len() <= named.len(), "{told:?}");
            prop_assert!(world.trends.figures().n_groups <= 6, "{:?}", world.trends.figures());
            world.now_ns.set(world.now_ns.get() + u64::from(*rest_ms) * 1_000_000 % (1000 * SECOND_NS));
        }
        let (spent_ns, now_ns) = (world.trends.figures().spent_ns, world.now_ns.get());
        // A burst, the last reading, and half a percent.
        prop_assert!(spent_ns <= 25_000_000 + 10_000_000 + now_ns / 200, "{spent_ns} of {now_ns}");
    }
}
