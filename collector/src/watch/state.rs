//! Alerts: what rules have found, for how long, and what became of it. Pure; bounded.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    finding::{Finding, LabelMap},
    rule::Rule,
};

/// Of all rules and tenants.
const MAX_ALERTS: usize = 1_000;
/// Of one rule and one tenant.
const MAX_ALERTS_OF_RULE: usize = 100;
/// For so long it is told that an alert is over.
const KEEP_RESOLVED_NS: u64 = 900_000_000_000;
/// Of a fingerprint, in hexadecimal digits.
const FINGERPRINT_CHARS: usize = 16;

/// How an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It holds.
    Firing,
    /// It holds, and not for long enough yet.
    Pending,
    /// It has held, and does not any more.
    Resolved,
}

/// Something that a rule has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Whose data.
    pub tenant: String,
    /// The name of the rule.
    pub rule: String,
    /// What kind of rule it is.
    pub kind: &'static str,
    /// The word of the rule.
    pub severity: String,
    /// How it stands.
    pub state: AlertState,
    /// Since when it holds.
    pub since_unix_ns: u64,
    /// Since when it fires.
    pub fired_unix_ns: Option<u64>,
    /// Since when it does not hold any more.
    pub resolved_unix_ns: Option<u64>,
    /// What tells it from all others.
    pub fingerprint: String,
    /// What was found last.
    pub finding: Finding,
}

/// Whose data, which rule.
type Group = (String, String);

/// What has become of the alerts of a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// They fire from now on.
    pub fired: Vec<Alert>,
    /// They do not any more.
    pub resolved: Vec<Alert>,
}

/// All alerts.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    groups: BTreeMap<Group, BTreeMap<LabelMap, Alert>>,
    n_left_out: u64,
}

impl Alerts {
    /// Takes all that a rule has found of a tenant, now.
    pub fn update(&mut self, tenant: &str, rule: &Rule, findings: Vec<Finding>, now_unix_ns: u64) -> Changes {
        let n_others = self.len();
        let key = (tenant.to_owned(), rule.name.clone());
        let group = self.groups.entry(key).or_default();
        let n_others = n_others.saturating_sub(group.len());
        let mut changes = Changes::default();
        let mut found: BTreeSet<LabelMap> = BTreeSet::new();
        for finding in findings {
            let has_room =
                group.len() < MAX_ALERTS_OF_RULE && n_others.saturating_add(group.len()) < MAX_ALERTS;
            if !has_room && !group.contains_key(&finding.labels) {
                self.n_left_out = self.n_left_out.saturating_add(1);
                continue;
            }
            found.insert(finding.labels.clone());
            let alert = group
                .entry(finding.labels.clone())
                .or_insert_with(|| begun(tenant, rule, finding.clone(), now_unix_ns));
            if alert.state == AlertState::Resolved {
                *alert = begun(tenant, rule, finding.clone(), now_unix_ns);
            }
            alert.finding = finding;
            let has_lasted = now_unix_ns.saturating_sub(alert.since_unix_ns) >= rule.for_ns;
            if alert.state == AlertState::Pending && has_lasted {
                alert.state = AlertState::Firing;
                alert.fired_unix_ns = Some(now_unix_ns);
                changes.fired.push(alert.clone());
            }
        }
        group.retain(|labels, alert| {
            if found.contains(labels) {
                return true;
            }
            match alert.state {
                AlertState::Pending => false,
                AlertState::Firing => {
                    alert.state = AlertState::Resolved;
                    alert.resolved_unix_ns = Some(now_unix_ns);
                    changes.resolved.push(alert.clone());
                    true
                }
                AlertState::Resolved => {
                    let over_ns = now_unix_ns.saturating_sub(alert.resolved_unix_ns.unwrap_or_default());
                    over_ns < KEEP_RESOLVED_NS
                }
            }
        });
        self.groups.retain(|_, group| !group.is_empty());
        changes
    }

    /// Those of a tenant: what fires first, then what may, then what has.
    #[must_use]
    pub fn of_tenant(&self, tenant: &str) -> Vec<Alert> {
        let mut found: Vec<Alert> = self.all().filter(|alert| alert.tenant == tenant).cloned().collect();
        found.sort_by_key(|alert| (alert.state, alert.since_unix_ns));
        found
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Alert> {
        self.groups.values().flat_map(BTreeMap::values)
    }

    /// Findings that there was no room for, each time that they were found.
    #[must_use]
    pub const fn n_left_out(&self) -> u64 {
        self.n_left_out
    }

    fn len(&self) -> usize {
        self.groups.values().map(BTreeMap::len).sum()
    }
}

fn begun(tenant: &str, rule: &Rule, finding: Finding, now_unix_ns: u64) -> Alert {
    Alert {
        tenant: tenant.to_owned(),
        rule: rule.name.clone(),
        kind: rule.kind.name(),
        severity: rule.severity.clone(),
        state: AlertState::Pending,
        since_unix_ns: now_unix_ns,
        fired_unix_ns: None,
        resolved_unix_ns: None,
        fingerprint: fingerprint(tenant, &rule.name, &finding.labels),
        finding,
    }
}

/// The same for the same labels, also after a start.
fn fingerprint(tenant: &str, rule: &str, labels: &LabelMap) -> String {
    let mut hasher = blake3::Hasher::new();
    let of_labels = labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    for text in [tenant, rule].into_iter().chain(of_labels) {
        hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().chars().take(FINGERPRINT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, watch::rules};

    const SECOND: u64 = 1_000_000_000;

    fn rule(for_seconds: u64) -> Rule {
        let text = format!("[[watch]]\nname = \"a\"\nkind = \"lost\"\nfor_seconds = {for_seconds}");
        let config: Config = toml::from_str(&text).expect("is TOML");
        rules(&config.alerts, &config.watch).expect("is right").remove(0)
    }

    fn finding(host: &str) -> Finding {
        Finding {
            labels: LabelMap::from([("host".to_owned(), host.to_owned())]),
            value: 1.0,
            unit: "percent".to_owned(),
            threshold: None,
            sentence: String::new(),
            link: String::new(),
        }
    }

    fn states(alerts: &Alerts) -> Vec<AlertState> {
        alerts.of_tenant("t").into_iter().map(|alert| alert.state).collect()
    }

    #[test]
    fn an_alert_is_pending_then_fires_is_resolved_and_forgotten() {
        let (mut alerts, rule) = (Alerts::default(), rule(120));
        let mut at = |second: u64, hosts: &[&str]| {
            let findings = hosts.iter().map(|host| finding(host)).collect();
            let changes = alerts.update("t", &rule, findings, second * SECOND);
            (states(&alerts), changes.fired.len(), changes.resolved.len())
        };
        use AlertState::{Firing, Pending, Resolved};
        assert_eq!(at(0, &["a"]), (vec![Pending], 0, 0));
        assert_eq!(at(60, &["a", "b"]), (vec![Pending, Pending], 0, 0));
        assert_eq!(at(120, &["a"]), (vec![Firing], 1, 0), "what did not last is gone");
        assert_eq!(at(180, &["a"]), (vec![Firing], 0, 0), "it is told once");
        assert_eq!(at(240, &[]), (vec![Resolved], 0, 1));
        assert_eq!(at(300, &["a"]), (vec![Pending], 0, 0), "it begins anew");
        assert_eq!(at(420, &["a"]), (vec![Firing], 1, 0));
        assert_eq!(at(480, &[]), (vec![Resolved], 0, 1));
        assert_eq!(at(1_379, &[]), (vec![Resolved], 0, 0));
        assert_eq!(at(1_380, &[]), (vec![], 0, 0));
    }

    #[test]
    fn tenants_share_nothing_and_there_is_an_end_of_alerts() {
        let (mut alerts, rule) = (Alerts::default(), rule(0));
        let many = || (0..150).map(|n| finding(&n.to_string())).collect::<Vec<_>>();
        for n in 0..12 {
            alerts.update(&format!("t{n}"), &rule, many(), SECOND);
        }
        assert_eq!(alerts.all().count(), MAX_ALERTS);
        assert_eq!(alerts.of_tenant("t0").len(), MAX_ALERTS_OF_RULE);
        assert_eq!(alerts.n_left_out(), 12 * 150 - 1_000);
        let changes = alerts.update("t0", &rule, Vec::new(), 2 * SECOND);
        assert_eq!(changes.resolved.len(), MAX_ALERTS_OF_RULE);
        assert!(alerts.of_tenant("t1").iter().all(|alert| alert.state == AlertState::Firing));
        let prints: BTreeSet<_> = alerts.all().map(|alert| alert.fingerprint.clone()).collect();
        assert_eq!(prints.len(), MAX_ALERTS, "each has a fingerprint of its own");
    }
}
