//! OTLP metrics: gauges and sums.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    metrics::v1::{
        AggregationTemporality, Metric, NumberDataPoint, ResourceMetrics, metric::Data,
        number_data_point::Value,
    },
};
use prost::Message as _;
use proto::log::{self, MetricKind};

use super::{
    Decoded, Envelope,
    decoded::Builders,
    otlp_profiles::n,
    value::{self, Origin},
    weigh,
};
use crate::{
    model::{Builder, LabelSet, Room},
    refusal::{Reason, Refusal, Rejected},
};

/// The batches of a request: one for each key that its resources have.
///
/// # Errors
/// If it is no such message. What is wrong with a point of it is said beside the rest.
pub(super) fn decode(message: &[u8], envelope: &Envelope<'_>) -> Result<Decoded, Refusal> {
    weigh::weigh(message, &weigh::METRICS)?;
    let request = ExportMetricsServiceRequest::decode(message).map_err(|error| {
        Refusal::new(Reason::Malformed, format!("it is no request of OTLP metrics: {error}"))
    })?;
    let mut builders = Builders::new(envelope);
    let mut rejected = Rejected::default();
    let mut room = Room::default();
    for resource in &request.resource_metrics {
        let attributes = resource.resource.iter().flat_map(|it| &it.attributes);
        let origin = Origin::of(value::labels(attributes, &[]));
        let says_when = metrics(resource).flat_map(points).all(|point| point.time_unix_nano != 0);
        let key = origin.key.as_deref().map_or_else(|| envelope.key(says_when), |key| envelope.key_of(key));
        let place = match builders.place(key) {
            Ok(place) => place,
            Err(refusal) => {
                rejected.add(refusal, n(metrics(resource).flat_map(points).count()));
                continue;
            }
        };
        let Some(builder) = builders.at(place) else { continue };
        for metric in metrics(resource) {
            one(metric, &origin, builder, &mut room, &mut rejected);
        }
    }
    Ok(builders.finish(rejected))
}

fn metrics(resource: &ResourceMetrics) -> impl Iterator<Item = &Metric> {
    resource.scope_metrics.iter().flat_map(|scope| &scope.metrics)
}

fn points(metric: &Metric) -> &[NumberDataPoint] {
    match &metric.data {
        Some(Data::Gauge(gauge)) => &gauge.data_points,
        Some(Data::Sum(sum)) => &sum.data_points,
        _ => &[],
    }
}

fn kind(metric: &Metric) -> Result<MetricKind, Refusal> {
    let unknown = |what: &str| Refusal::new(Reason::UnknownMetric, format!("{what} {}", metric.name));
    match &metric.data {
        Some(Data::Gauge(_)) => Ok(MetricKind::Gauge),
        Some(Data::Sum(sum)) => match (sum.aggregation_temporality(), sum.is_monotonic) {
            (AggregationTemporality::Cumulative, true) => Ok(MetricKind::Counter),
            (AggregationTemporality::Cumulative, false) => Ok(MetricKind::UpDownCounter),
            (AggregationTemporality::Delta, _) => Ok(MetricKind::Delta),
            (AggregationTemporality::Unspecified, _) => Err(unknown("a sum that does not say of what:")),
        },
        Some(Data::Histogram(_) | Data::ExponentialHistogram(_)) => Err(unknown("a histogram:")),
        Some(Data::Summary(_)) => Err(unknown("a summary:")),
        None => Err(unknown("nothing:")),
    }
}

/// Points of one set of labels are one metric.
fn one(
    metric: &Metric,
    origin: &Origin,
    builder: &mut Builder<'_>,
    room: &mut Room,
    rejected: &mut Rejected,
) {
    let kind = match kind(metric) {
        Ok(kind) if !metric.name.is_empty() => kind,
        Ok(_) => {
            return rejected
                .add(Refusal::new(Reason::NoType, "a metric without a name"), n(points(metric).len()));
        }
        Err(refusal) => return rejected.add(refusal, 1),
    };
    let (name, unit) = (builder.string(&metric.name), builder.string(&metric.unit));
    let mut by_source: Vec<log::Metric> = Vec::new();
    for point in points(metric) {
        let made = made(point, origin, builder, room);
        match made {
            Ok(Some((source, point))) => match by_source.last_mut() {
                Some(last) if last.source == source => last.points.push(point),
                _ => {
                    by_source.push(log::Metric {
                        source,
                        name,
                        unit,
                        kind: kind.into(),
                        points: vec![point],
                    });
                }
            },
            Ok(None) => {}
            Err(refusal) => rejected.add(refusal, 1),
        }
    }
    for metric in by_source {
        builder.metric(metric);
    }
}

/// Where a point belongs, and its value; none if it says that there was none.
fn made(
    point: &NumberDataPoint,
    origin: &Origin,
    builder: &mut Builder<'_>,
    room: &mut Room,
) -> Result<Option<(u32, log::Point)>, Refusal> {
    let value = match point.value {
        Some(Value::AsInt(value)) => value as f64,
        Some(Value::AsDouble(value)) => value,
        None => return Ok(None),
    };
    room.take_rows(1)?;
    let time_unix_ns = builder.time(point.time_unix_nano, 0)?;
    let labels: LabelSet =
        origin.labels.clone().into_iter().chain(value::labels(&point.attributes, &[])).collect();
    let source = builder.source(&origin.service, &origin.host, &labels)?;
    Ok(Some((source, log::Point { start_unix_ns: point.start_time_unix_nano, time_unix_ns, value })))
}
