//! What a webhook is sent: the form that Alertmanager has for it, version 4. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use super::{
    finding::LabelMap,
    state::{Alert, AlertState},
};

/// The time at which what lasts ends, as Go has it.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Of one message.
pub(super) const MAX_ALERTS: usize = 100;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    version: &'static str,
    group_key: String,
    truncated_alerts: usize,
    status: &'static str,
    receiver: &'static str,
    group_labels: LabelMap,
    common_labels: LabelMap,
    common_annotations: LabelMap,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    alerts: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    status: &'static str,
    labels: LabelMap,
    annotations: LabelMap,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

/// The body of a message about alerts of one rule and one tenant. `page_url` is where links begin.
pub(super) fn body(tenant: &str, rule: &str, alerts: &[Alert], page_url: &str) -> Vec<u8> {
    let entries: Vec<Entry> = alerts.iter().take(MAX_ALERTS).map(|alert| entry(alert, page_url)).collect();
    let is_firing = entries.iter().any(|it| it.status == "firing");
    let group_labels =
        LabelMap::from([("alertname".to_owned(), rule.to_owned()), ("tenant".to_owned(), tenant.to_owned())]);
    let message = Message {
        version: "4",
        group_key: format!("{{}}:{{alertname={rule:?}, tenant={tenant:?}}}"),
        truncated_alerts: alerts.len().saturating_sub(MAX_ALERTS),
        status: if is_firing { "firing" } else { "resolved" },
        receiver: "brazier",
        group_labels,
        common_labels: common(entries.iter().map(|it| &it.labels)),
        common_annotations: common(entries.iter().map(|it| &it.annotations)),
        external_url: page_url,
        alerts: entries,
    };
    // There is nothing in it that JSON cannot say.
    serde_json::to_vec(&message).unwrap_or_default()
}

fn entry(alert: &Alert, page_url: &str) -> Entry {
    let finding = &alert.finding;
    let mut labels: LabelMap =
        finding.labels.iter().map(|(name, value)| (plain(name), value.clone())).collect();
    for (name, value) in
        [("alertname", &alert.rule), ("severity", &alert.severity), ("tenant", &alert.tenant)]
    {
        labels.insert(name.to_owned(), value.clone());
    }
    let number = |value: f64| if value.is_finite() { format!("{value}") } else { "0".to_owned() };
    let mut annotations = BTreeMap::from([
        ("summary".to_owned(), finding.sentence.clone()),
        ("value".to_owned(), number(finding.value)),
        ("unit".to_owned(), finding.unit.clone()),
    ]);
    annotations.extend(finding.threshold.map(|value| ("threshold".to_owned(), number(value))));
    let is_over = alert.state == AlertState::Resolved;
    Entry {
        status: if is_over { "resolved" } else { "firing" },
        labels,
        annotations,
        starts_at: time(alert.fired_unix_ns.unwrap_or(alert.since_unix_ns)),
        ends_at: alert.resolved_unix_ns.map_or_else(|| NEVER.to_owned(), time),
        generator_url: format!("{page_url}/{}", finding.link),
        fingerprint: alert.fingerprint.clone(),
    }
}

/// As names of labels have to be elsewhere.
fn plain(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) { format!("_{plain}") } else { plain }
}

/// What all of them have.
fn common<'a>(mut all: impl Iterator<Item = &'a LabelMap>) -> LabelMap {
    let mut common = all.next().cloned().unwrap_or_default();
    for labels in all {
        common.retain(|name, value| labels.get(name) == Some(value));
    }
    common
}

fn time(unix_ns: u64) -> String {
    let ns = i64::try_from(unix_ns).unwrap_or(i64::MAX);
    DateTime::from_timestamp_nanos(ns).to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{super::finding::Finding, *};

    fn alert(host: &str, state: AlertState) -> Alert {
        Alert {
            tenant: "default".to_owned(),
            rule: "memory_leak".to_owned(),
            kind: "leak",
            severity: "warning".to_owned(),
            state,
            since_unix_ns: 1_795_281_000_000_000_000,
            fired_unix_ns: Some(1_795_281_230_000_000_000),
            resolved_unix_ns: (state == AlertState::Resolved).then_some(1_795_281_290_500_000_000),
            fingerprint: "0123456789abcdef".to_owned(),
            finding: Finding {
                labels: [("host", host), ("thread.name", "x"), ("service", "edge")]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                value: 5.5,
                unit: "By/h".to_owned(),
                threshold: None,
                sentence: "leaks".to_owned(),
                link: "?tab=memory".to_owned(),
            },
        }
    }

    fn message(alerts: &[Alert]) -> Value {
        let body = body("default", "memory_leak", alerts, "http://127.0.0.1:4040");
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_message_has_the_form_that_receivers_know() {
        let seen = message(&[alert("a", AlertState::Firing), alert("b", AlertState::Resolved)]);
        assert_eq!(seen["version"], "4");
        assert_eq!((&seen["status"], &seen["receiver"]), (&json!("firing"), &json!("brazier")));
        assert_eq!(seen["groupLabels"], json!({"alertname": "memory_leak", "tenant": "default"}));
        let common = json!({"alertname": "memory_leak", "tenant": "default", "severity": "warning",
                            "service": "edge", "thread_name": "x"});
        assert_eq!(seen["commonLabels"], common, "{seen}");
        assert_eq!(seen["externalURL"], "http://127.0.0.1:4040");
        let first = &seen["alerts"][0];
        assert_eq!(first["labels"]["host"], "a");
        assert_eq!(first["startsAt"], "2026-11-21T17:13:50.000Z", "{first}");
        assert_eq!(first["endsAt"], NEVER);
        assert_eq!(first["generatorURL"], "http://127.0.0.1:4040/?tab=memory");
        assert_eq!(first["annotations"], json!({"summary": "leaks", "value": "5.5", "unit": "By/h"}));
        let second = &seen["alerts"][1];
        assert_eq!(
            (&second["status"], &second["endsAt"]),
            (&json!("resolved"), &json!("2026-11-21T17:14:50.500Z"))
        );
        assert_eq!(message(&[alert("b", AlertState::Resolved)])["status"], "resolved");
    }

    #[test]
    fn a_message_has_an_end() {
        let many: Vec<Alert> = (0..130).map(|n| alert(&n.to_string(), AlertState::Firing)).collect();
        let seen = message(&many);
        assert_eq!(seen["alerts"].as_array().map(Vec::len), Some(MAX_ALERTS));
        assert_eq!(seen["truncatedAlerts"], 30);
    }
}
