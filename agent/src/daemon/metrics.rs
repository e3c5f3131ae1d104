//! The table of metrics: what [`Figures`] hold, each with name, unit and attributes. It goes to sinks as OTLP and to
//! whoever asks as Prometheus text ([`exposition`]).

use std::time::Duration;

use profile::{
    Labels,
    encode::otlp_metrics::{Metric, MetricKind, Number, Point},
};

use super::figures::{Figures, SessionState, sum};

/// More targets are told together, as one whose service is `(others)`: each is a series that receivers keep.
const MAX_TOLD_TARGETS: usize = 256;
/// The service of those that are told together.
const OTHERS: &str = "(others)";

/// All metrics. A metric without a value is not among them.
#[must_use]
pub fn metrics(figures: &Figures) -> Vec<Metric> {
    let mut table = Table { figures, metrics: Vec::new() };
    measuring(&mut table);
    cost(&mut table);
    state(&mut table);
    let mut metrics = table.metrics;
    if let Some(shipper) = &figures.shipper {
        metrics.extend(shipper.metrics(figures.start_unix_ns, figures.taken_unix_ns));
    }
    metrics.retain(|metric| !metric.points.is_empty());
    metrics
}

/// What came of sampling.
fn measuring(table: &mut Table<'_>) {
    let Figures { samples, lost, stacks, tables, windows, symbols, .. } = table.figures;
    table.counters(["brazier.samples", "{sample}", "Samples counted."], "event", samples);
    table.counters(
        ["brazier.lost.samples", "{sample}", "Samples that were due and are in no profile."],
        "cause",
        &lost.samples,
    );
    table.counters(
        ["brazier.lost.others", "{event}", "Other losses: what makes stacks worse, or was seen late."],
        "cause",
        &lost.others,
    );
    table.counters(["brazier.stacks", "{stack}", "User stacks of samples."], "outcome", stacks);
    table.gauge(["brazier.tables.size", "By", "Kernel memory of all maps."], integer(tables.bytes));
    table.gauge(
        ["brazier.tables.limit", "By", "What unwind tables may take in the kernel."],
        integer(tables.limit_bytes),
    );
    table.counter(
        ["brazier.tables.evicted", "{table}", "Unwind tables that had to make room for others."],
        integer(tables.evicted),
    );
    let by_state = [("made", windows.made), ("late", windows.late), ("early", windows.early)];
    table.counters(
        [
            "brazier.windows",
            "{window}",
            "Windows that ended; the late and the early ones are among those made.",
        ],
        "state",
        by_state.iter().map(|(state, n)| (state, n)),
    );
    table.counter(["brazier.profiles", "{profile}", "Profiles made."], integer(windows.profiles));
    let by_result = [("hit", symbols.hits), ("miss", symbols.misses)];
    table.counters(
        ["brazier.symbolization.lookups", "{lookup}", "Names asked for, and whether the cache had them."],
        "result",
        by_result.iter().map(|(result, n)| (result, n)),
    );
}

/// What measuring costs.
fn cost(table: &mut Table<'_>) {
    let figures = table.figures;
    let budget = &figures.budget;
    let programs = || figures.programs.iter();
    table.by(
        ["brazier.kernel.run_time", "s", "Time that programs of the kernel side ran."],
        Kind::Counter,
        "program",
        programs().map(|(name, cost)| (name, seconds(cost.run_time))),
    );
    table.by(
        ["brazier.kernel.runs", "{run}", "How often they ran."],
        Kind::Counter,
        "program",
        programs().map(|(name, cost)| (name, integer(cost.n_runs))),
    );
    if let Some(per_sample) = figures.kernel_seconds_per_sample() {
        let description = "Kernel time of a sample, the mean since the start.";
        table.gauge(["brazier.kernel.time_per_sample", "s", description], Number::Float(per_sample));
    }
    table.counter(
        ["brazier.agent.cpu_time", "s", "CPU time of the agent, user and system."],
        seconds(figures.agent_cpu),
    );
    table.gauge(["brazier.agent.memory", "By", "Resident memory of the agent."], integer(figures.rss_bytes));
    table.gauge(["brazier.agent.memory_limit", "By", "Its limit."], integer(figures.rss_limit_bytes));
    let share = |percent: f64| Number::Float(percent / 100.0);
    table.gauge(
        [
            "brazier.budget.used",
            "1",
            "CPU time of kernel programs and agent over the last seconds, of all CPUs.",
        ],
        share(budget.used_percent),
    );
    table.gauge(["brazier.budget.limit", "1", "What it may be."], share(budget.limit_percent));
    let rates = [("now", budget.frequency_hz), ("configured", budget.configured_hz)];
    table.by(
        ["brazier.sampling.frequency", "Hz", "Samples a second on each CPU."],
        Kind::Gauge,
        "which",
        rates.map(|(which, hz)| (which, integer(hz))),
    );
    let distances =
        [("now", budget.growth_interval_bytes), ("configured", budget.configured_growth_interval_bytes)];
    table.by(
        ["brazier.sampling.growth_interval", "By", "Mean distance of two samples of growth of memory."],
        Kind::Gauge,
        "which",
        distances.map(|(which, n_bytes)| (which, integer(n_bytes))),
    );
    let steps = [("down", budget.n_lowered), ("up", budget.n_raised)];
    table.counters(
        ["brazier.sampling.steps", "{step}", "Changes of the rate for the sake of the budget."],
        "direction",
        steps.iter().map(|(direction, n)| (direction, n)),
    );
}

/// What is watched and how it stands.
fn state(table: &mut Table<'_>) {
    let figures = table.figures;
    let config = &figures.config;
    targets(table);
    let is_attached = figures.sessions.iter().map(|session| {
        let is_attached = matches!(session.state, SessionState::Attached { .. });
        (&session.event, integer(is_attached.into()))
    });
    table.by(
        ["brazier.sessions.attached", "{session}", "1 if it is attached."],
        Kind::Gauge,
        "event",
        is_attached,
    );
    table.gauge(
        ["brazier.kill_switch", "{switch}", "1 while it is on and nothing is attached."],
        integer(figures.kill_switch.is_on.into()),
    );
    let reloads = [("taken", config.n_reloads), ("refused", config.n_refused)];
    table.counters(
        ["brazier.config.reloads", "{reload}", "Configurations read anew."],
        "result",
        reloads.iter().map(|(result, n)| (result, n)),
    );
    let unix_seconds = |ns: u64| Number::Float(Duration::from_nanos(ns).as_secs_f64());
    table.gauge(
        ["brazier.config.loaded", "s", "When the configuration was read, in Unix time."],
        unix_seconds(config.loaded_unix_ns),
    );
    table.gauge(
        ["brazier.agent.start_time", "s", "When the agent started, in Unix time."],
        unix_seconds(figures.start_unix_ns),
    );
    let attributes = Labels::default().with("version", &figures.version);
    table.points(
        ["brazier.agent.build", "{build}", "1, with the version."],
        Kind::Gauge,
        vec![(attributes, integer(1))],
    );
}

fn targets(table: &mut Table<'_>) {
    let all = &table.figures.targets;
    let (told, others) = all.split_at(all.len().min(MAX_TOLD_TARGETS));
    let mut points: Vec<(Labels, Number)> = Vec::new();
    let mut n_of: std::collections::BTreeMap<(&str, &str), u64> = std::collections::BTreeMap::new();
    for target in told {
        // Labels that tell two targets of one service and rule apart are in the profiles, not here.
        let n = n_of.entry((&target.service, &target.rule)).or_default();
        *n = n.saturating_add(target.n_processes);
    }
    for ((service, rule), n) in n_of {
        points.push((Labels::default().with("service", service).with("rule", rule), integer(n)));
    }
    if !others.is_empty() {
        let n = sum(others.iter().map(|target| &target.n_processes));
        points.push((Labels::default().with("service", OTHERS).with("rule", ""), integer(n)));
    }
    table.points(
        ["brazier.targets.processes", "{process}", "Processes that are sampled."],
        Kind::Gauge,
        points,
    );
}

/// Name, unit and a sentence for people.
type About = [&'static str; 3];

#[derive(Clone, Copy)]
enum Kind {
    Gauge,
    Counter,
}

struct Table<'a> {
    figures: &'a Figures,
    metrics: Vec<Metric>,
}

impl Table<'_> {
    fn gauge(&mut self, about: About, value: Number) {
        self.points(about, Kind::Gauge, vec![(Labels::default(), value)]);
    }

    fn counter(&mut self, about: About, value: Number) {
        self.points(about, Kind::Counter, vec![(Labels::default(), value)]);
    }

    /// Counts by one attribute.
    fn counters<'n, K: AsRef<str>>(
        &mut self,
        about: About,
        attribute: &str,
        counts: impl IntoIterator<Item = (K, &'n u64)>,
    ) {
        let values = counts.into_iter().map(|(key, n)| (key, integer(*n)));
        self.by(about, Kind::Counter, attribute, values);
    }

    fn by<K: AsRef<str>>(
        &mut self,
        about: About,
        kind: Kind,
        attribute: &str,
        values: impl IntoIterator<Item = (K, Number)>,
    ) {
        let of = |(key, value): (K, Number)| (Labels::default().with(attribute, key.as_ref()), value);
        self.points(about, kind, values.into_iter().map(of).collect());
    }

    fn points(&mut self, about: About, kind: Kind, values: Vec<(Labels, Number)>) {
        let [name, unit, description] = about;
        let unix_ns = self.figures.taken_unix_ns;
        let since_unix_ns = self.figures.start_unix_ns;
        let point = |(attributes, value)| Point { attributes, unix_ns, value };
        self.metrics.push(Metric {
            name: name.to_owned(),
            unit: unit.to_owned(),
            description: description.to_owned(),
            kind: match kind {
                Kind::Gauge => MetricKind::Gauge,
                Kind::Counter => MetricKind::Counter { since_unix_ns },
            },
            points: values.into_iter().map(point).collect(),
        });
    }
}

fn integer(value: u64) -> Number {
    Number::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn seconds(time: Duration) -> Number {
    Number::Float(time.as_secs_f64())
}
