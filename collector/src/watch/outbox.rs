//! What waits for the webhook. Alerts of one rule and one tenant are told together, as they are when they are told: a receiver that is
//! away for an hour hears once how things stand, and nothing piles up. Pure; bounded.

use std::collections::BTreeMap;

use super::state::{Alert, AlertState, Alerts, Changes};

/// What is not told by then is given up.
const MAX_AGE_NS: u64 = 3_600_000_000_000;
/// Alerts that are over and wait to be told so.
const MAX_RESOLVED: usize = 2_000;

/// Whose data, which rule.
pub(super) type Group = (String, String);

#[derive(Clone, Debug)]
struct Waiting {
    since_unix_ns: u64,
    /// Of the last change.
    number: u64,
    resolved: BTreeMap<String, Alert>,
}

/// What waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    groups: BTreeMap<Group, Waiting>,
    n_changes: u64,
}

/// What is to be told next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) group: Group,
    pub(super) alerts: Vec<Alert>,
    number: u64,
}

impl Outbox {
    /// Takes changes; how many there was no room for.
    pub(super) fn add(&mut self, group: Group, changes: &Changes, now_unix_ns: u64) -> u64 {
        if changes.fired.is_empty() && changes.resolved.is_empty() {
            return 0;
        }
        let room = MAX_RESOLVED.saturating_sub(self.groups.values().map(|it| it.resolved.len()).sum());
        self.n_changes = self.n_changes.saturating_add(1);
        let number = self.n_changes;
        let waiting = self.groups.entry(group).or_insert_with(|| Waiting {
            since_unix_ns: now_unix_ns,
            number,
            resolved: BTreeMap::new(),
        });
        waiting.number = number;
        for alert in changes.resolved.iter().take(room) {
            waiting.resolved.insert(alert.fingerprint.clone(), alert.clone());
        }
        u64::try_from(changes.resolved.len().saturating_sub(room)).unwrap_or(u64::MAX)
    }

    /// Gives up what has waited for too long; how many messages.
    pub(super) fn expire(&mut self, now_unix_ns: u64) -> u64 {
        let n_before = self.groups.len();
        self.groups.retain(|_, it| now_unix_ns.saturating_sub(it.since_unix_ns) < MAX_AGE_NS);
        u64::try_from(n_before.saturating_sub(self.groups.len())).unwrap_or(u64::MAX)
    }

    /// What has waited for longest, with all that fires in the group.
    pub(super) fn next(&mut self, alerts: &Alerts) -> Option<Job> {
        loop {
            let oldest = self.groups.iter().min_by_key(|(_, it)| (it.since_unix_ns, it.number));
            let (group, waiting) = oldest.map(|(group, waiting)| (group.clone(), waiting.clone()))?;
            let of_group = |alert: &&Alert| (&alert.tenant, &alert.rule) == (&group.0, &group.1);
            let mut all = waiting.resolved;
            for alert in alerts.all().filter(of_group).filter(|alert| alert.state == AlertState::Firing) {
                all.insert(alert.fingerprint.clone(), alert.clone());
            }
            if !all.is_empty() {
                return Some(Job { group, alerts: all.into_values().collect(), number: waiting.number });
            }
            self.groups.remove(&group);
        }
    }

    /// It was told, or is given up. What has changed meanwhile stays.
    pub(super) fn done(&mut self, job: &Job) {
        let Some(waiting) = self.groups.get_mut(&job.group) else { return };
        if waiting.number == job.number {
            self.groups.remove(&job.group);
            return;
        }
        let told: BTreeMap<_, _> =
            job.alerts.iter().map(|alert| (&alert.fingerprint, alert.resolved_unix_ns)).collect();
        waiting.resolved.retain(|fingerprint, alert| told.get(fingerprint) != Some(&alert.resolved_unix_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{finding::Finding, rule::Rule},
        *,
    };
    use crate::{config::Config, watch::rules};

    fn rule() -> Rule {
        let text = "[[watch]]\nname = \"a\"\nkind = \"lost\"\nfor_seconds = 0";
        let config: Config = toml::from_str(text).expect("is TOML");
        rules(&config.alerts, &config.watch).expect("is right").remove(0)
    }

    struct World {
        alerts: Alerts,
        outbox: Outbox,
        now: u64,
    }

    impl World {
        fn new() -> Self {
            Self { alerts: Alerts::default(), outbox: Outbox::default(), now: 0 }
        }

        fn find(&mut self, hosts: &[&str]) {
            self.now += 1_000_000_000;
            let finding = |host: &&str| Finding {
                labels: [("host".to_owned(), (*host).to_owned())].into(),
                value: 0.0,
                unit: String::new(),
                threshold: None,
                sentence: String::new(),
                link: String::new(),
            };
            let changes = self.alerts.update("t", &rule(), hosts.iter().map(finding).collect(), self.now);
            self.outbox.add(("t".to_owned(), "a".to_owned()), &changes, self.now);
        }

        fn next(&mut self) -> Option<(Job, Vec<String>)> {
            let job = self.outbox.next(&self.alerts)?;
            let mut told: Vec<String> =
                job.alerts.iter().map(|it| format!("{} {:?}", it.finding.labels["host"], it.state)).collect();
            told.sort();
            Some((job, told))
        }
    }

    #[test]
    fn what_is_told_is_how_things_stand_then() {
        let mut world = World::new();
        assert_eq!(world.next(), None);
        world.find(&["x", "y"]);
        assert_eq!(world.next().expect("waits").1, ["x Firing", "y Firing"]);
        world.find(&["y"]);
        world.find(&["y", "z"]);
        let (job, told) = world.next().expect("waits");
        assert_eq!(told, ["x Resolved", "y Firing", "z Firing"]);
        world.outbox.done(&job);
        assert_eq!(world.next(), None, "all is told");
        world.find(&["y", "z"]);
        assert_eq!(world.next(), None, "nothing has changed");
    }

    #[test]
    fn what_changes_while_it_is_told_is_told_next() {
        let mut world = World::new();
        world.find(&["x"]);
        let (job, _) = world.next().expect("waits");
        world.find(&[]);
        world.outbox.done(&job);
        let (job, told) = world.next().expect("waits");
        assert_eq!(told, ["x Resolved"]);
        world.find(&["x"]);
        world.outbox.done(&job);
        assert_eq!(world.next().expect("waits").1, ["x Firing"]);
    }

    #[test]
    fn what_nobody_takes_is_given_up_and_counted() {
        let mut world = World::new();
        world.find(&["x"]);
        assert_eq!(world.outbox.expire(world.now + MAX_AGE_NS - 1), 0);
        assert_eq!(world.outbox.expire(world.now + MAX_AGE_NS), 1);
        assert_eq!(world.next(), None);
        let hosts: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        world.find(&hosts);
        let resolved = world.alerts.of_tenant("t");
        let mut n_left = 0;
        for n in 0..25 {
            let of =
                |alert: &Alert| Alert { fingerprint: format!("{n} {}", alert.fingerprint), ..alert.clone() };
            let changes = Changes { fired: Vec::new(), resolved: resolved.iter().map(of).collect() };
            n_left += world.outbox.add((n.to_string(), "a".to_owned()), &changes, 0);
        }
        // `x` is over, too, and waits.
        assert_eq!(n_left, u64::try_from(1 + 25 * resolved.len() - MAX_RESOLVED).expect("fits"));
    }
}
