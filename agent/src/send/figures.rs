//! What became of batches, in numbers: for the report, and as metrics that are sent like any others.

use std::time::Duration;

use profile::{
    Labels,
    encode::otlp_metrics::{Metric, MetricKind, Number, Point},
};

use super::spool::SpoolFigures;

/// What became of batches at one sink since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SinkFigures {
    /// The receiver has them, whole or in part.
    pub delivered: u64,
    /// Bytes of these, before compression.
    pub delivered_bytes: u64,
    /// Of the delivered ones, those of which the receiver did not want all.
    pub partially_rejected: u64,
    /// Profiles and data points in these that it did not want.
    pub rejected_items: u64,
    /// Attempts that failed and were followed by another.
    pub retried: u64,
    /// The receiver will never take them; they are lost to it.
    pub given_up: u64,
    /// Of a signal that this sink does not take: no loss.
    pub not_for_it: u64,
    /// Failures since the last success.
    pub failing: u64,
    /// The last thing that went wrong.
    pub last_trouble: Option<Trouble>,
}

/// Something that went wrong at a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// When, in nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// What, and what to do.
    pub reason: String,
}

/// One sink at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkState {
    /// Its name.
    pub name: String,
    /// What became of batches there.
    pub figures: SinkFigures,
    /// Batches that it has neither got nor given up.
    pub n_waiting: usize,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShipperFigures {
    /// What became of batches on disk.
    pub spool: SpoolFigures,
    /// On disk.
    pub spool_bytes: u64,
    /// How long the oldest batch has waited.
    pub oldest_age: Option<Duration>,
    /// Each sink, in the order of their names.
    pub sinks: Vec<SinkState>,
}

impl SinkFigures {
    fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.delivered, other.delivered),
            (&mut self.delivered_bytes, other.delivered_bytes),
            (&mut self.partially_rejected, other.partially_rejected),
            (&mut self.rejected_items, other.rejected_items),
            (&mut self.retried, other.retried),
            (&mut self.given_up, other.given_up),
            (&mut self.not_for_it, other.not_for_it),
        ];
        pairs.into_iter().for_each(|(sum, n)| *sum = sum.saturating_add(n));
        if self.last_trouble.is_none() {
            self.last_trouble.clone_from(&other.last_trouble);
        }
    }
}

impl ShipperFigures {
    /// These, with what an earlier shipper has counted: counters go on, for sinks that there still are.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        for sink in &mut self.sinks {
            if let Some(known) = before.sinks.iter().find(|known| known.name == sink.name) {
                sink.figures.add(&known.figures);
            }
        }
        self.spool.add(&before.spool);
        self
    }

    /// As metrics. Counters count from `since_unix_ns`, the start of the shipper.
    #[must_use]
    pub fn metrics(&self, since_unix_ns: u64, now_unix_ns: u64) -> Vec<Metric> {
        let count = |value: u64| Number::Integer(i64::try_from(value).unwrap_or(i64::MAX));
        let point =
            |attributes: Labels, value: u64| Point { attributes, unix_ns: now_unix_ns, value: count(value) };
        let counter = MetricKind::Counter { since_unix_ns };
        let metric = |name: &str, unit: &str, kind, description: &str, points| Metric {
            name: name.to_owned(),
            unit: unit.to_owned(),
            description: description.to_owned(),
            kind,
            points,
        };

        let outcomes = self.sinks.iter().flat_map(|sink| {
            let SinkFigures { delivered, partially_rejected, retried, given_up, .. } = sink.figures;
            let dropped = self.spool.dropped.get(&sink.name).copied().unwrap_or_default();
            let row = [
                ("delivered", delivered),
                ("partially_rejected", partially_rejected),
                ("retried", retried),
                ("given_up", given_up),
                ("dropped_full", dropped.full),
                ("dropped_old", dropped.old),
            ];
            let of_sink = Labels::default().with("sink", &sink.name);
            row.map(|(outcome, value)| point(of_sink.clone().with("outcome", outcome), value))
        });
        let by_sink = |value: fn(&SinkState) -> u64| -> Vec<Point> {
            let points = self.sinks.iter();
            points.map(|sink| point(Labels::default().with("sink", &sink.name), value(sink))).collect()
        };
        let refused = self.spool.refused.values().fold(0_u64, |sum, &n| sum.saturating_add(n));
        let spool = [
            ("spooled", self.spool.spooled),
            ("unspooled", self.spool.unspooled),
            ("unfinished", self.spool.unfinished),
            ("refused", refused),
        ];
        let spool = spool.map(|(outcome, value)| point(Labels::default().with("outcome", outcome), value));
        let gauge = MetricKind::Gauge;
        vec![
            metric(
                "brazier.sink.batches",
                "{batch}",
                counter,
                "Batches by what became of them.",
                outcomes.collect(),
            ),
            metric(
                "brazier.sink.delivered",
                "By",
                counter,
                "Bytes delivered, before compression.",
                by_sink(|sink| sink.figures.delivered_bytes),
            ),
            metric(
                "brazier.sink.waiting",
                "{batch}",
                gauge,
                "Batches that the sink has neither got nor given up.",
                by_sink(|sink| u64::try_from(sink.n_waiting).unwrap_or(u64::MAX)),
            ),
            metric(
                "brazier.spool.batches",
                "{batch}",
                counter,
                "Batches by what became of them on disk.",
                spool.into(),
            ),
            metric(
                "brazier.spool.size",
                "By",
                gauge,
                "Bytes that batches take on disk.",
                vec![point(Labels::default(), self.spool_bytes)],
            ),
            metric(
                "brazier.spool.oldest",
                "s",
                gauge,
                "How long the oldest batch has waited.",
                vec![point(Labels::default(), self.oldest_age.unwrap_or_default().as_secs())],
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{ShipperFigures, SinkFigures, SinkState, SpoolFigures, Trouble};
    use crate::send::spool::Dropped;

    #[test]
    fn counters_go_on_from_an_earlier_shipper_and_what_is_now_does_not() {
        let sink = |name: &str, n: u64, reason: &str| SinkState {
            name: name.into(),
            figures: SinkFigures {
                delivered: n,
                given_up: 10 * n,
                failing: n,
                last_trouble: (!reason.is_empty()).then(|| Trouble { unix_ns: n, reason: reason.into() }),
                ..SinkFigures::default()
            },
            n_waiting: 2,
        };
        let spool = |n: u64| SpoolFigures {
            spooled: n,
            dropped: BTreeMap::from([("a".to_owned(), Dropped { full: n, old: 1 })]),
            ..SpoolFigures::default()
        };
        let figures =
            |n: u64, sinks| ShipperFigures { spool: spool(n), spool_bytes: n, oldest_age: None, sinks };
        let before = figures(5, vec![sink("a", 7, "down"), sink("gone", 9, "")]);
        let now = figures(1, vec![sink("a", 1, ""), sink("new", 2, "")]).after(&before);
        let seen: Vec<_> = now
            .sinks
            .iter()
            .map(|it| (it.name.as_str(), it.figures.delivered, it.figures.given_up, it.figures.failing))
            .collect();
        assert_eq!(seen, [("a", 8, 80, 1), ("new", 2, 20, 2)]);
        assert_eq!(now.sinks[0].figures.last_trouble.as_ref().map(|it| it.reason.as_str()), Some("down"));
        assert_eq!(
            (now.spool.spooled, now.spool.dropped["a"], now.spool_bytes),
            (6, Dropped { full: 6, old: 2 }, 1)
        );
    }
}
