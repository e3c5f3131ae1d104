//! What a server tells of itself: metrics as the text that Prometheus reads (`OpenMetrics` 1.0), and its [`health`]. Names of
//! metrics follow the rules of OpenTelemetry for Prometheus: dots become `_`, the unit is a word at the end, and counters end
//! in `_total`.

pub mod health;

use std::fmt::{self, Write as _};

use profile::encode::otlp_metrics::{Metric, MetricKind, Number};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::{Registry, Unit},
};

/// What the text is, as a header says it.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text.
///
/// # Errors
/// If the encoder refuses, which it does not for numbers of ours.
pub fn text(metrics: Vec<Metric>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected(metrics)));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Collected(Vec<Metric>);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|metric| encode(metric, &mut encoder))
    }
}

fn encode(metric: &Metric, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let is_counter = matches!(metric.kind, MetricKind::Counter { .. });
    let kind = if is_counter { MetricType::Counter } else { MetricType::Gauge };
    let unit = unit(&metric.unit);
    let unit = unit.as_ref();
    let name = plain(&metric.name);
    let help = escaped(&metric.description);
    let mut family = encoder.encode_descriptor(&name, &help, unit, kind)?;
    for point in &metric.points {
        let labels: Vec<(String, String)> =
            point.attributes.iter().map(|(key, value)| (plain(key), escaped(value))).collect();
        if labels.is_empty() {
            encode_value(&mut family, is_counter, point.value)?;
        } else {
            encode_value(&mut family.encode_family(&labels)?, is_counter, point.value)?;
        }
    }
    Ok(())
}

fn encode_value(encoder: &mut MetricEncoder<'_>, is_counter: bool, value: Number) -> fmt::Result {
    const NONE: Option<&Exemplar<NoLabelSet, f64>> = None;
    match (is_counter, value) {
        // A count below 0 is none.
        (true, Number::Integer(number)) => {
            encoder.encode_counter(&u64::try_from(number).unwrap_or_default(), NONE)
        }
        (true, Number::Float(number)) => encoder.encode_counter(&number, NONE),
        (false, Number::Integer(number)) => encoder.encode_gauge(&number),
        (false, Number::Float(number)) => encoder.encode_gauge(&number),
    }
}

/// Prometheus' word for a unit in UCUM; none for what is counted (`{sample}`).
fn unit(ucum: &str) -> Option<Unit> {
    Some(match ucum {
        "By" => Unit::Bytes,
        "s" => Unit::Seconds,
        "1" => Unit::Other("ratio".into()),
        "Hz" => Unit::Other("hertz".into()),
        _ => return None,
    })
}

/// What may stand in a name.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// The encoder writes what it is given.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            // No reader of lines shall see more of them; a name on a terminal does nothing.
            _ if c.is_control() => {
                let _ = write!(text, "\u{fffd}");
            }
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use profile::Labels;

    use super::*;
    use profile::encode::otlp_metrics::Point;

    fn metric(name: &str, unit: &str, kind: MetricKind, points: &[(Labels, Number)]) -> Metric {
        let point = |(attributes, value): &(Labels, Number)| Point {
            attributes: attributes.clone(),
            unix_ns: 2,
            value: *value,
        };
        Metric {
            name: name.into(),
            unit: unit.into(),
            description: "Said \"so\"\nof old.".into(),
            kind,
            points: points.iter().map(point).collect(),
        }
    }

    #[test]
    fn names_units_and_values_are_as_prometheus_has_them() {
        let counter = MetricKind::Counter { since_unix_ns: 1 };
        let of = |value: &str| Labels::default().with("service.name", value);
        let metrics = vec![
            metric("brazier.kernel.run_time", "s", counter, &[(of("a"), Number::Float(1.5))]),
            metric("brazier.samples", "{sample}", counter, &[(Labels::default(), Number::Integer(7))]),
            metric(
                "brazier.spool.size",
                "By",
                MetricKind::Gauge,
                &[(of("a\"b\\c\nd\re"), Number::Integer(-1))],
            ),
            metric(
                "brazier.budget.used",
                "1",
                MetricKind::Gauge,
                &[(Labels::default(), Number::Float(0.01))],
            ),
        ];
        let seen = text(metrics).expect("text");
        let expected = r#"# HELP brazier_kernel_run_time_seconds Said \"so\"\nof old.
# TYPE brazier_kernel_run_time_seconds counter
# UNIT brazier_kernel_run_time_seconds seconds
brazier_kernel_run_time_seconds_total{service_name="a"} 1.5
# HELP brazier_samples Said \"so\"\nof old.
# TYPE brazier_samples counter
brazier_samples_total 7
# HELP brazier_spool_size_bytes Said \"so\"\nof old.
# TYPE brazier_spool_size_bytes gauge
# UNIT brazier_spool_size_bytes bytes
brazier_spool_size_bytes{service_name="a\"b\\c\nd�e"} -1
# HELP brazier_budget_used_ratio Said \"so\"\nof old.
# TYPE brazier_budget_used_ratio gauge
# UNIT brazier_budget_used_ratio ratio
brazier_budget_used_ratio 0.01
# EOF
"#;
        assert_eq!(seen, expected, "{seen}");
    }
}
