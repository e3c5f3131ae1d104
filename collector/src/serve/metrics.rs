//! The table of metrics: what was counted, each with name, unit and attributes.

use std::sync::atomic::{AtomicU64, Ordering};

use profile::{
    Labels,
    encode::otlp_metrics::{Metric, MetricKind, Number, Point},
};

use super::web::Known;

/// All metrics. A metric without a value is not among them.
pub(super) fn metrics(known: &Known, now_unix_ns: u64) -> Vec<Metric> {
    let mut table = Table { since_unix_ns: known.start_unix_ns, now_unix_ns, metrics: Vec::new() };
    receiving(known, &mut table);
    log(known, &mut table);
    store(known, &mut table);
    asking(known, &mut table);
    watching(known, &mut table);
    table.metrics.retain(|metric| !metric.points.is_empty());
    table.metrics
}

fn receiving(known: &Known, table: &mut Table) {
    let counts = known.intake.figures().counts();
    let by_target = |counts: std::collections::BTreeMap<crate::receive::Target, u64>| {
        counts.into_iter().map(|(target, n)| (label("receiver", target.name()), n)).collect::<Vec<_>>()
    };
    table.counter(
        "brazier.receive.requests",
        "{request}",
        "Requests that were acknowledged.",
        by_target(counts.accepted),
    );
    let refused = counts.refused.into_iter().map(|((target, reason), n)| {
        let receiver = target.map_or("none", crate::receive::Target::name);
        (label("receiver", receiver).with("reason", reason.name()), n)
    });
    table.counter("brazier.receive.refused", "{request}", "Requests that were refused.", refused.collect());
    let rejected = counts
        .rejected
        .into_iter()
        .map(|((target, reason), n)| (label("receiver", target.name()).with("reason", reason.name()), n));
    table.counter(
        "brazier.receive.rejected",
        "{item}",
        "Profiles, metrics and points that were left out of requests that were acknowledged.",
        rejected.collect(),
    );
    table.counter("brazier.receive.batches", "{batch}", "Batches received.", by_target(counts.batches));
    table.counter(
        "brazier.receive.repeated",
        "{batch}",
        "Batches among them that had been received before.",
        by_target(counts.repeated),
    );
    table.counter("brazier.receive.rows", "{row}", "Samples and points received.", by_target(counts.rows));
    table.counter(
        "brazier.receive.body",
        "By",
        "Bodies received, as they came.",
        by_target(counts.body_bytes),
    );
    let tenants = known.intake.tenants().all();
    let of = |pick: fn((usize, u64, u64)) -> u64| {
        tenants.iter().map(|tenant| (label("tenant", tenant.name()), pick(tenant.sent()))).collect::<Vec<_>>()
    };
    let n_series = of(|(n_series, _, _)| u64::try_from(n_series).unwrap_or(u64::MAX));
    table.gauge("brazier.tenant.series", "{series}", "Series of this hour and the one before.", n_series);
    table.counter(
        "brazier.tenant.rows",
        "{row}",
        "Samples and points of a tenant.",
        of(|(_, n_rows, _)| n_rows),
    );
    table.counter(
        "brazier.tenant.received",
        "By",
        "Bytes of a tenant, decompressed.",
        of(|(_, _, n_bytes)| n_bytes),
    );
}

fn log(known: &Known, table: &mut Table) {
    let figures = known.log.figures();
    let (n_waiting, n_bytes) = known.log.shelf().waiting();
    table.gauge("brazier.log.size", "By", "What waits for the store.", only(n_bytes));
    table.gauge("brazier.log.limit", "By", "What may wait.", only(known.max_log_bytes));
    let n_waiting = u64::try_from(n_waiting).unwrap_or(u64::MAX);
    table.gauge(
        "brazier.log.segments",
        "{segment}",
        "Segments that are ended and wait for the store.",
        only(n_waiting),
    );
    table.gauge(
        "brazier.log.keys",
        "{key}",
        "Batches that are known when they come again.",
        one(&figures.keys),
    );
    table.counters([
        ("brazier.log.appended", "{batch}", "Batches written.", &figures.appended),
        ("brazier.log.known", "{batch}", "Batches that were there already.", &figures.known),
        ("brazier.log.written", "By", "Records written.", &figures.bytes),
        ("brazier.log.writes", "{write}", "Writes, each synced, of one batch or many.", &figures.writes),
        ("brazier.log.failed", "{write}", "Writes that failed.", &figures.failed),
        ("brazier.log.replayed", "{batch}", "Batches that the last start found.", &figures.replayed),
        (
            "brazier.log.torn",
            "By",
            "Ends of segments that the last start found unfinished.",
            &figures.torn_bytes,
        ),
        (
            "brazier.log.set_aside",
            "{segment}",
            "Segments set aside, as they were damaged.",
            &figures.set_aside,
        ),
        ("brazier.log.keys_failed", "{file}", "Files of keys not read or not written.", &figures.keys_failed),
    ]);
}

fn store(known: &Known, table: &mut Table) {
    let figures = known.flusher.figures();
    table.counters([
        (
            "brazier.store.segments",
            "{segment}",
            "Segments of the log that are in the store.",
            &figures.segments,
        ),
        ("brazier.store.files", "{file}", "Files put.", &figures.files),
        ("brazier.store.written", "By", "Files put.", &figures.bytes),
        ("brazier.store.rows", "{row}", "Samples and points put.", &figures.rows),
        (
            "brazier.store.failed",
            "{attempt}",
            "Times that a segment did not come into the store.",
            &figures.failed,
        ),
        ("brazier.store.damaged", "{record}", "Records of the log that could not be read.", &figures.damaged),
        ("brazier.store.merged", "{file}", "Files that became others.", &figures.merged),
        (
            "brazier.store.removed",
            "{file}",
            "Files removed: too old, too much, or left by a crash.",
            &figures.removed,
        ),
        (
            "brazier.store.files_damaged",
            "{file}",
            "Files set aside, as they cannot be read.",
            &figures.files_damaged,
        ),
        (
            "brazier.store.upkeep_failed",
            "{attempt}",
            "Times that the store could not be kept in order.",
            &figures.upkeep_failed,
        ),
    ]);
}

fn asking(known: &Known, table: &mut Table) {
    let figures = known.api.engine().figures();
    table.counters([
        ("brazier.query.answered", "{question}", "Questions that were answered.", &figures.answered),
        ("brazier.query.failed", "{question}", "Questions that were not.", &figures.failed),
        ("brazier.query.time", "ns", "Time that questions took, together.", &figures.taken_ns),
        (
            "brazier.query.files_left_out",
            "{file}",
            "Files found that cannot be read, and left out of answers.",
            &figures.files_left_out,
        ),
    ]);
    let Some((answered, fell_back)) = known.api.engine().of_cluster() else { return };
    table.counter(
        "brazier.query.cluster",
        "{question}",
        "Questions that the cluster answered.",
        only(answered),
    );
    let what = "Questions that this collector answered, as the cluster was not there.";
    table.counter("brazier.query.cluster_missed", "{question}", what, only(fell_back));
}

fn watching(known: &Known, table: &mut Table) {
    let board = known.api.board();
    let figures = board.figures();
    let n_rules = u64::try_from(board.rules().len()).unwrap_or(u64::MAX);
    table.gauge("brazier.watch.rules", "{rule}", "Rules that are watched.", only(n_rules));
    let counts = board.counts();
    let by_rule = |of: usize| -> Values {
        counts
            .iter()
            .map(|(rule, counts)| (label("rule", rule), counts.get(of).copied().unwrap_or_default()))
            .collect()
    };
    table.gauge("brazier.watch.firing", "{alert}", "Alerts that fire.", by_rule(0));
    table.gauge(
        "brazier.watch.pending",
        "{alert}",
        "Alerts that do not hold for long enough yet.",
        by_rule(1),
    );
    let by = |name: &str, counters: &[(&str, &AtomicU64)]| -> Values {
        counters
            .iter()
            .map(|(value, counter)| (label(name, value), counter.load(Ordering::Relaxed)))
            .collect()
    };
    table.counter(
        "brazier.watch.evaluations",
        "{evaluation}",
        "Looks at a rule, for a tenant: answered, failed, or left out for want of time.",
        by("result", &[("ok", &figures.looked), ("failed", &figures.failed), ("skipped", &figures.skipped)]),
    );
    table.counter(
        "brazier.watch.left_out",
        "{finding}",
        "Findings that there was no room for.",
        only(board.n_left_out()),
    );
    let results = [
        ("delivered", &figures.delivered),
        ("retried", &figures.retried),
        ("refused", &figures.refused),
        ("given_up", &figures.given_up),
    ];
    table.counter(
        "brazier.watch.webhook.sends",
        "{message}",
        "Messages to the webhook; those that were retried are sent again.",
        by("result", &results),
    );
}

type Values = Vec<(Labels, u64)>;

fn label(name: &str, value: &str) -> Labels {
    Labels::default().with(name, value)
}

fn only(value: u64) -> Values {
    vec![(Labels::default(), value)]
}

fn one(counter: &AtomicU64) -> Values {
    only(counter.load(Ordering::Relaxed))
}

struct Table {
    since_unix_ns: u64,
    now_unix_ns: u64,
    metrics: Vec<Metric>,
}

impl Table {
    fn counter(&mut self, name: &str, unit: &str, description: &str, values: Values) {
        self.add(name, unit, description, MetricKind::Counter { since_unix_ns: self.since_unix_ns }, values);
    }

    /// Counters of one value each.
    fn counters<'a>(&mut self, rows: impl IntoIterator<Item = (&'a str, &'a str, &'a str, &'a AtomicU64)>) {
        for (name, unit, description, counter) in rows {
            self.counter(name, unit, description, one(counter));
        }
    }

    fn gauge(&mut self, name: &str, unit: &str, description: &str, values: Values) {
        self.add(name, unit, description, MetricKind::Gauge, values);
    }

    fn add(&mut self, name: &str, unit: &str, description: &str, kind: MetricKind, values: Values) {
        let unix_ns = self.now_unix_ns;
        let point = |(attributes, value): (Labels, u64)| Point {
            attributes,
            unix_ns,
            value: Number::Integer(i64::try_from(value).unwrap_or(i64::MAX)),
        };
        self.metrics.push(Metric {
            name: name.to_owned(),
            unit: unit.to_owned(),
            description: description.to_owned(),
            kind,
            points: values.into_iter().map(point).collect(),
        });
    }
}
