//! OTLP metrics: gauges and sums, which is all that a profiler has to say besides profiles.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{
        AggregationTemporality, Gauge, Metric as OtlpMetric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
        Sum, metric::Data, number_data_point,
    },
};

use super::{
    otlp::{resource, scope},
    otlp_value::{key_value, text},
};
use crate::labels::Labels;

/// One quantity, as seen on all that has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name, dots between the parts: `process.memory.usage`.
    pub name: String,
    /// Its unit in UCUM: `By`, `s`, `1`, `{batch}`.
    pub unit: String,
    /// One sentence for people.
    pub description: String,
    /// How its values follow each other.
    pub kind: MetricKind,
    /// The values.
    pub points: Vec<Point>,
}

/// How the values of a metric follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// What was there at that moment.
    Gauge,
    /// All since this time, in nanoseconds since the Unix epoch; it never falls.
    Counter {
        /// The beginning of the count.
        since_unix_ns: u64,
    },
    /// The same of a quantity that also falls.
    UpDownCounter {
        /// The beginning of the count.
        since_unix_ns: u64,
    },
}

/// A value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// What it was seen on.
    pub attributes: Labels,
    /// When, in nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// How much.
    pub value: Number,
}

/// The number of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A count, or bytes.
    Integer(i64),
    /// A share, a rate, seconds.
    Float(f64),
}

/// Metrics as the message that is sent, with the attributes of the resources that they are of. A metric without a value
/// is left out.
pub fn message<'a>(
    resources: impl IntoIterator<Item = (&'a Labels, &'a [Metric])>,
    host: &str,
) -> ExportMetricsServiceRequest {
    let resource_metrics = |(attributes, metrics): (&Labels, &[Metric])| {
        let metrics = metrics.iter().filter(|metric| !metric.points.is_empty()).map(metric).collect();
        let scope_metrics = ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() };
        ResourceMetrics {
            resource: Some(resource(attributes, host)),
            scope_metrics: vec![scope_metrics],
            ..ResourceMetrics::default()
        }
    };
    ExportMetricsServiceRequest { resource_metrics: resources.into_iter().map(resource_metrics).collect() }
}

fn metric(metric: &Metric) -> OtlpMetric {
    let points = |since_unix_ns| metric.points.iter().map(|it| point(it, since_unix_ns)).collect();
    let sum = |since_unix_ns, is_monotonic| {
        Data::Sum(Sum {
            data_points: points(since_unix_ns),
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic,
        })
    };
    let data = match metric.kind {
        MetricKind::Gauge => Data::Gauge(Gauge { data_points: points(0) }),
        MetricKind::Counter { since_unix_ns } => sum(since_unix_ns, true),
        MetricKind::UpDownCounter { since_unix_ns } => sum(since_unix_ns, false),
    };
    OtlpMetric {
        name: metric.name.clone(),
        unit: metric.unit.clone(),
        description: metric.description.clone(),
        data: Some(data),
        ..OtlpMetric::default()
    }
}

fn point(point: &Point, since_unix_ns: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: point.attributes.iter().map(|(key, value)| key_value(key, text(value))).collect(),
        start_time_unix_nano: since_unix_ns,
        time_unix_nano: point.unix_ns,
        value: Some(match point.value {
            Number::Integer(number) => number_data_point::Value::AsInt(number),
            Number::Float(number) => number_data_point::Value::AsDouble(number),
        }),
        ..NumberDataPoint::default()
    }
}
