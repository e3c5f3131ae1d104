//! What rules have found.

use std::collections::BTreeMap;

use query::Answer;
use serde::Serialize;

use super::{
    Asked,
    reply::{Failure, Reply},
};
use crate::watch::{Alert, AlertState, Look, Rule};

const NS_PER_MS: u64 = 1_000_000;

#[derive(Serialize)]
struct Alerts {
    alerts: Vec<AlertBody>,
    rules: Vec<RuleBody>,
}

#[derive(Serialize)]
struct AlertBody {
    rule: String,
    kind: &'static str,
    severity: String,
    state: AlertState,
    labels: BTreeMap<String, String>,
    value: f64,
    unit: String,
    threshold: Option<f64>,
    sentence: String,
    since_ms: u64,
    fired_ms: Option<u64>,
    resolved_ms: Option<u64>,
    fingerprint: String,
    link: String,
}

#[derive(Serialize)]
struct RuleBody {
    rule: String,
    kind: &'static str,
    state: &'static str,
    answered_ms: Option<u64>,
    n_failures: u64,
    error: Option<String>,
    notes: Vec<String>,
}

pub(super) fn alerts(asked: &Asked<'_>) -> Result<Reply, Failure> {
    let Asked { board, tenant, .. } = asked;
    let looks = board.looks(tenant);
    let failing = looks.iter().filter_map(|(rule, look)| {
        let why = look.error.as_deref()?;
        Some(format!("the rule {} could not be looked at, and its alerts are as they were: {why}", rule.name))
    });
    let warnings = failing.collect();
    let value = Alerts {
        alerts: board.alerts(tenant).into_iter().map(alert).collect(),
        rules: looks.into_iter().map(|(of, look)| rule(of, look)).collect(),
    };
    Reply::json(&Answer { value, warnings })
}

fn alert(it: Alert) -> AlertBody {
    let ms = |ns: u64| ns / NS_PER_MS;
    let finding = it.finding;
    AlertBody {
        rule: it.rule,
        kind: it.kind,
        severity: it.severity,
        state: it.state,
        labels: finding.labels,
        value: finding.value,
        unit: finding.unit,
        threshold: finding.threshold,
        sentence: finding.sentence,
        since_ms: ms(it.since_unix_ns),
        fired_ms: it.fired_unix_ns.map(ms),
        resolved_ms: it.resolved_unix_ns.map(ms),
        fingerprint: it.fingerprint,
        link: finding.link,
    }
}

fn rule(of: &Rule, look: Look) -> RuleBody {
    let state = match (look.n_failures, look.answered_unix_ns) {
        (0, None) => "waiting",
        (0, Some(_)) => "ok",
        _ => "failing",
    };
    RuleBody {
        rule: of.name.clone(),
        kind: of.kind.name(),
        state,
        answered_ms: look.answered_unix_ns.map(|ns| ns / NS_PER_MS),
        n_failures: look.n_failures,
        error: look.error,
        notes: look.notes,
    }
}
