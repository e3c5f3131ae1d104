//! Whether what was delivered is what was made: pure, over what receivers, spool and agent say.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ledger::Ledger, prometheus::Metrics};

/// One life of the agent.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// The last that it told before it ended; none if it never told anything.
    pub last_told: Option<Metrics>,
    /// When, in nanoseconds since the Unix epoch.
    pub told_unix_ns: u64,
    /// When it was gone.
    pub ended_unix_ns: u64,
}

/// Everything that was seen.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Name of a sink of OTLP, and what its receiver says.
    pub ledgers: BTreeMap<String, Ledger>,
    /// Keys of files that the sink of a directory wrote.
    pub files: BTreeSet<String>,
    /// Keys of batches that were seen in the spool.
    pub spooled: BTreeSet<String>,
    /// Those of profiles.
    pub spooled_profiles: BTreeSet<String>,
    /// Lives of the agent, in their order.
    pub lives: Vec<Life>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Name and value of each figure.
    pub figures: Vec<(String, u64)>,
    /// What must not be.
    pub violations: Vec<String>,
}

/// Events whose samples are held against the agent's own counters.
const EVENTS: [&str; 2] = ["cpu", "faults"];
/// More keys are not told one by one.
const MAX_TOLD: usize = 5;

impl Evidence {
    /// Holds one against the other.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let mut audit = Audit::default();
        audit.figure("batches seen in the spool", self.spooled.len() as u64);
        let made = self.made();
        audit.figure("batches that any receiver of OTLP has, or that were in the spool", made.len() as u64);
        for (sink, ledger) in &self.ledgers {
            self.sink(&mut audit, sink, ledger, &made);
        }
        self.files(&mut audit);
        self.contents(&mut audit);
        self.samples(&mut audit);
        audit
    }

    /// Keys of all batches that are known of.
    fn made(&self) -> BTreeSet<&str> {
        let taken = self.ledgers.values().flat_map(|ledger| &ledger.lines);
        let taken = taken.filter_map(|line| line.key.as_deref());
        taken.chain(self.spooled.iter().map(String::as_str)).collect()
    }

    fn sink(&self, audit: &mut Audit, sink: &str, ledger: &Ledger, made: &BTreeSet<&str>) {
        let taken = ledger.taken();
        let n_taken = ledger.lines.iter().filter(|line| line.is_taken()).count();
        audit.figure(&format!("{sink}: requests"), ledger.lines.len() as u64);
        audit.figure(&format!("{sink}: batches taken"), taken.len() as u64);
        audit.figure(&format!("{sink}: taken again under the same key"), (n_taken - taken.len()) as u64);
        let given_up = ledger.refused().difference(&taken).count();
        audit.figure(&format!("{sink}: refused for good, and never taken"), given_up as u64);
        let by_agent = self.counted(sink, &["given_up", "dropped_full", "dropped_old"]);
        audit.figure(&format!("{sink}: given up or dropped, as the agent says"), by_agent);

        let refused = ledger.refused();
        let missing: Vec<&str> =
            made.iter().copied().filter(|key| !taken.contains(key) && !refused.contains(key)).collect();
        let dropped = self.counted(sink, &["dropped_full", "dropped_old"]);
        if missing.len() as u64 > dropped {
            audit.violation(format!("{sink}: {} are missing: {}", missing.len(), told(&missing)));
        }
        // What was refused after the last time that a life told of itself, it could not tell any more.
        let untold = |life: &Life| {
            let within = |at: u64| at > life.told_unix_ns.saturating_sub(SLACK_NS) && at < life.ended_unix_ns;
            ledger.lines.iter().filter(|line| line.is_refused() && within(line.unix_ns)).count() as u64
        };
        let n_untold: u64 = self.lives.iter().map(untold).sum();
        if given_up as u64 > by_agent + n_untold {
            audit.violation(format!(
                "{sink}: {given_up} were lost, and the agent has counted {by_agent} (and cannot have told of {n_untold})"
            ));
        }
    }

    fn files(&self, audit: &mut Audit) {
        audit.figure("files: profiles", self.files.len() as u64);
        let profiles = self.ledgers.values().flat_map(|ledger| &ledger.lines);
        let profiles =
            profiles.filter(|line| line.signal == "profiles").filter_map(|line| line.key.as_deref());
        let all: BTreeSet<&str> = profiles.chain(self.spooled_profiles.iter().map(String::as_str)).collect();
        let missing: Vec<&str> = all.into_iter().filter(|key| !self.files.contains(*key)).collect();
        if missing.len() as u64 > self.counted("files", &["given_up", "dropped_full", "dropped_old"]) {
            audit.violation(format!("files: {} are missing: {}", missing.len(), told(&missing)));
        }
    }

    /// One key is one content, wherever and however often.
    fn contents(&self, audit: &mut Audit) {
        let mut digests: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in self.ledgers.values().flat_map(|ledger| &ledger.lines) {
            let Some(key) = line.key.as_deref() else {
                audit.violation(format!("a request without a key: {line:?}"));
                continue;
            };
            digests.entry(key).or_default().insert(&line.digest);
            let in_resource = line.resources.iter().map(|it| it.get("brazier.batch.key"));
            if in_resource.into_iter().any(|found| found.is_none_or(|found| found != key)) {
                audit.violation(format!("the resource of {key} has another key: {:?}", line.resources));
            }
        }
        let different: Vec<&str> =
            digests.iter().filter(|(_, all)| all.len() > 1).map(|(key, _)| *key).collect();
        if !different.is_empty() {
            audit.violation(format!(
                "{} keys had more than one content: {}",
                different.len(),
                told(&different)
            ));
        }
    }

    /// Every sample that the agent has told of as spooled has arrived somewhere, in one profile. What was refused for good
    /// did, too: its loss is another count.
    fn samples(&self, audit: &mut Audit) {
        let mut keys = BTreeSet::new();
        let mut received: BTreeMap<&str, u64> = BTreeMap::new();
        let arrived = self.ledgers.values().flat_map(|ledger| &ledger.lines);
        for line in arrived.filter(|line| line.is_taken() || line.is_refused()) {
            if let Some((event, n)) = line.samples()
                && keys.insert(line.key.as_deref())
            {
                *received.entry(event).or_default() += n;
            }
        }
        for event in EVENTS {
            let told =
                |life: &Life| life.last_told.as_ref().map_or(0, |it| it.count(SAMPLES, &[("event", event)]));
            let told: u64 = self.lives.iter().map(told).sum();
            let received = received.get(event).copied().unwrap_or(0);
            audit.figure(&format!("{event}: samples received, each key once"), received);
            audit.figure(&format!("{event}: samples that the agent had told of as spooled"), told);
            if received < told {
                audit.violation(format!("{event}: {} samples are missing", told - received));
            }
        }
        for (what, name) in [("lost", "brazier_lost_samples_total"), ("unspooled batches", SPOOL)] {
            let labels: &[(&str, &str)] = if name == SPOOL { &[("outcome", "unspooled")] } else { &[] };
            let of = |life: &Life| life.last_told.as_ref().map_or(0, |told| told.count(name, labels));
            audit.figure(&format!("{what}, as the agent says"), self.lives.iter().map(of).sum::<u64>());
        }
    }

    /// Of a sink, over all lives.
    fn counted(&self, sink: &str, outcomes: &[&str]) -> u64 {
        let told = self.lives.iter().filter_map(|life| life.last_told.as_ref());
        let of = |told: &Metrics| -> u64 {
            outcomes.iter().map(|outcome| told.count(SINK, &[("sink", sink), ("outcome", outcome)])).sum()
        };
        told.map(of).sum()
    }
}

const SAMPLES: &str = "brazier_samples_total";
const SINK: &str = "brazier_sink_batches_total";
const SPOOL: &str = "brazier_spool_batches_total";
/// From an answer until it is counted, and from the count until it is told.
const SLACK_NS: u64 = 2_000_000_000;

impl Audit {
    pub(super) fn figure(&mut self, name: &str, n: u64) {
        self.figures.push((name.to_owned(), n));
    }

    pub(super) fn violation(&mut self, text: String) {
        self.violations.push(text);
    }
}

fn told(keys: &[&str]) -> String {
    let more = if keys.len() > MAX_TOLD { ", ..." } else { "" };
    format!("{}{more}", keys.get(..MAX_TOLD.min(keys.len())).unwrap_or_default().join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::{Evidence, Life};
    use crate::{
        ledger::{Ledger, Line},
        prometheus::Metrics,
    };

    fn line(key: &str, answer: &str) -> Line {
        Line {
            unix_ns: 5_000_000_000,
            answer: answer.into(),
            key: Some(key.into()),
            digest: key.into(),
            signal: "profiles".into(),
            totals: [("cpu/nanoseconds".to_owned(), 70), ("samples/count".to_owned(), 7)].into(),
            resources: vec![BTreeMap::from([("brazier.batch.key".to_owned(), json!(key))])],
            ..Line::default()
        }
    }

    /// Two batches, the second sent twice to one of the receivers.
    fn evidence() -> Evidence {
        let ledger = |lines: &[(&str, &str)]| Ledger {
            lines: lines.iter().map(|(key, answer)| line(key, answer)).collect(),
        };
        let told = "brazier_samples_total{event=\"cpu\"} 14\n";
        Evidence {
            ledgers: BTreeMap::from([
                ("grpc".to_owned(), ledger(&[("a", "ok"), ("b", "ok"), ("b", "ok")])),
                ("http".to_owned(), ledger(&[("a", "429"), ("a", "ok"), ("b", "ok")])),
            ]),
            files: ["a".to_owned(), "b".to_owned()].into(),
            spooled: ["a".to_owned()].into(),
            spooled_profiles: ["a".to_owned()].into(),
            lives: vec![Life {
                last_told: Some(Metrics::parse(told).expect("parses")),
                told_unix_ns: 10_000_000_000,
                ended_unix_ns: 11_000_000_000,
            }],
        }
    }

    fn violations(change: impl FnOnce(&mut Evidence)) -> Vec<String> {
        let mut evidence = evidence();
        change(&mut evidence);
        evidence.audit().violations
    }

    #[test]
    fn what_arrived_everywhere_is_in_order_however_often_it_did() {
        let audit = evidence().audit();
        assert!(audit.violations.is_empty(), "{audit:#?}");
        assert!(audit.figures.contains(&("grpc: taken again under the same key".into(), 1)), "{audit:#?}");
    }

    #[test]
    fn whatever_is_missing_different_or_uncounted_is_a_violation() {
        let http = |evidence: &mut Evidence, change: &dyn Fn(&mut Vec<Line>)| {
            change(&mut evidence.ledgers.get_mut("http").expect("there").lines);
        };
        type Change<'a> = Box<dyn FnOnce(&mut Evidence) + 'a>;
        let cases: [(&str, Change<'_>); 7] = [
            (
                "http: 1 are missing: c",
                Box::new(|it| {
                    it.spooled.insert("c".into());
                }),
            ),
            ("http: 1 are missing: b", Box::new(|it| http(it, &|lines| lines.truncate(2)))),
            ("http: 1 were lost", Box::new(|it| http(it, &|lines| lines[2] = line("b", "500")))),
            (
                "files: 1 are missing: a",
                Box::new(|it| {
                    it.files.remove("a");
                }),
            ),
            (
                "1 keys had more than one content: b",
                Box::new(|it| http(it, &|lines| lines[2].digest = "x".into())),
            ),
            (
                "the resource of b has another key",
                Box::new(|it| http(it, &|lines| lines[2].resources = vec![BTreeMap::new()])),
            ),
            (
                "cpu: 1 samples are missing",
                Box::new(|it| {
                    it.lives[0].last_told = Metrics::parse("brazier_samples_total{event=\"cpu\"} 15").ok();
                }),
            ),
        ];
        for (expected, change) in cases {
            let found = violations(change);
            assert!(found.iter().any(|it| it.starts_with(expected)), "{expected}: {found:#?}");
        }
    }

    #[test]
    fn samples_that_both_receivers_refused_for_good_are_not_missing_besides() {
        let found = violations(|it| {
            for (sink, index) in [("grpc", 1), ("http", 2)] {
                let lines = &mut it.ledgers.get_mut(sink).expect("there").lines;
                lines.truncate(index + 1);
                lines[index] = line("b", "500");
            }
            let told = ["grpc", "http"].map(|sink| {
                format!("brazier_sink_batches_total{{sink=\"{sink}\",outcome=\"given_up\"}} 1\n")
            });
            let told = format!("brazier_samples_total{{event=\"cpu\"}} 14\n{}", told.concat());
            it.lives[0].last_told = Metrics::parse(&told).ok();
        });
        assert!(found.is_empty(), "{found:#?}");
    }

    #[test]
    fn what_was_refused_for_good_is_in_order_once_the_agent_has_counted_it() {
        let refused = |told: &str| {
            violations(|it| {
                it.ledgers.get_mut("http").expect("there").lines[2] = line("b", "500");
                it.lives[0].last_told = Metrics::parse(told).ok();
            })
        };
        let counted = refused("brazier_sink_batches_total{sink=\"http\",outcome=\"given_up\"} 1\n");
        assert!(counted.is_empty(), "{counted:#?}");
        assert_eq!(refused("x 1\n").len(), 1);
    }
}
