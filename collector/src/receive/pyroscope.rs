//! What Pyroscope takes: `/ingest` (pprof or folded stacks, the rest in the query), `push.v1.PusherService/Push`, and a pprof file on its own.

use prost::Message as _;
use proto::{log, push};

use super::{
    Decoded, Envelope, Keyed,
    decoded::Builders,
    folded,
    pprof::{self, Span},
    value::{NO_SERVICE, Origin},
    weigh,
};
use crate::{
    model::{LabelSet, Room},
    refusal::{Reason, Refusal, Rejected},
};

/// Names that Pyroscope's labels have for what has a place of its own here.
const NAMES: [(&str, &str); 4] = [
    ("service_name", "service.name"),
    ("host_name", "host.name"),
    ("hostname", "host.name"),
    ("host", "host.name"),
];
/// The kind of profile, which the types of its samples say better.
const PROFILE_NAME: &str = "__name__";
/// Samples a second, unless the sender says.
const USUAL_RATE: i64 = 100;
const SECOND_NS: i64 = 1_000_000_000;

/// A pprof file; who was measured stands in the query: `service`, `host`, and any label.
///
/// # Errors
/// If nothing of it can be taken.
pub(super) fn upload(body: &[u8], envelope: &Envelope<'_>) -> Result<Decoded, Refusal> {
    let pairs = form_urlencoded::parse(envelope.query.as_bytes()).into_owned();
    let mut labels: LabelSet = pairs.collect();
    if let Some(service) = labels.remove("service") {
        labels.insert("service.name".to_owned(), service);
    }
    of_pprof(body, &origin(labels), Span::default(), envelope)
}

/// `/ingest`.
///
/// # Errors
/// If nothing of it can be taken.
pub(super) fn ingest(body: &[u8], envelope: &Envelope<'_>) -> Result<Decoded, Refusal> {
    let query: LabelSet = form_urlencoded::parse(envelope.query.as_bytes()).into_owned().collect();
    let value = |name: &str| query.get(name).map_or("", String::as_str);
    let origin = origin(name_labels(value("name")));
    let [from, until] = ["from", "until"].map(|name| unix_ns(value(name)));
    let span = Span { start_unix_ns: from, duration_ns: until.saturating_sub(from) };
    match value("format") {
        "pprof" => of_pprof(body, &origin, span, envelope),
        "" | "folded" | "collapsed" | "lines" => {
            let rate = value("sampleRate").parse().unwrap_or(USUAL_RATE).clamp(1, SECOND_NS);
            of_folded(body, &origin, span, value("units"), rate, envelope)
        }
        other => Err(Refusal::new(
            Reason::UnknownType,
            format!("the format {other} is not taken; send pprof or folded"),
        )),
    }
}

/// `push.v1.PusherService/Push`: pprof files with labels, each a batch of its own unless the request has a key.
///
/// # Errors
/// If nothing of it can be taken.
pub(super) fn push(message: &[u8], envelope: &Envelope<'_>) -> Result<Decoded, Refusal> {
    weigh::weigh(message, &weigh::PUSH)?;
    let request = push::PushRequest::decode(message)
        .map_err(|error| Refusal::new(Reason::Malformed, format!("it is no push request: {error}")))?;
    let mut builders = Builders::new(envelope);
    let mut rejected = Rejected::default();
    let mut room = Room::default();
    // Of all files together, as the body may be nothing but files.
    let mut left_bytes = envelope.limits.message_bytes;
    for series in &request.series {
        let origin = origin(series.labels.iter().map(|it| (it.name.clone(), it.value.clone())).collect());
        for sample in &series.samples {
            let file = match pprof::parse(&sample.raw_profile, left_bytes) {
                Ok(file) => file,
                Err(refusal) => {
                    rejected.add(refusal, 1);
                    continue;
                }
            };
            left_bytes = left_bytes.saturating_sub(u64::try_from(file.encoded_len()).unwrap_or(u64::MAX));
            let own =
                (envelope.given.is_none() && !sample.id.is_empty()).then(|| envelope.key_of(&sample.id));
            let key = own.unwrap_or_else(|| envelope.key(file.time_nanos != 0));
            match builders.place(key).map(|place| builders.at(place)) {
                Ok(Some(builder)) => {
                    pprof::add(&file, &origin, Span::default(), builder, &mut room, &mut rejected);
                }
                Ok(None) => {}
                Err(refusal) => rejected.add(refusal, 1),
            }
        }
    }
    all_or_error(builders.finish(rejected))
}

fn of_pprof(body: &[u8], origin: &Origin, span: Span, envelope: &Envelope<'_>) -> Result<Decoded, Refusal> {
    let file = pprof::parse(body, envelope.limits.message_bytes)?;
    let mut builder = envelope.builder();
    let mut rejected = Rejected::default();
    pprof::add(&file, origin, span, &mut builder, &mut Room::default(), &mut rejected);
    let key = envelope.key(file.time_nanos != 0 || span.start_unix_ns != 0);
    let batch = builder.finish();
    let batches = if batch.is_empty() { Vec::new() } else { vec![Keyed { key, batch }] };
    all_or_error(Decoded { batches, rejected })
}

fn of_folded(
    body: &[u8],
    origin: &Origin,
    span: Span,
    units: &str,
    rate: i64,
    envelope: &Envelope<'_>,
) -> Result<Decoded, Refusal> {
    let period_ns = SECOND_NS / rate;
    let (name, unit, scale) = match units {
        "" | "samples" => ("cpu", "nanoseconds", period_ns),
        "bytes" => ("alloc_space", "bytes", 1),
        "objects" => ("alloc_objects", "count", 1),
        other => (other, "count", 1),
    };
    let mut builder = envelope.builder();
    let time_unix_ns = builder.time(span.start_unix_ns, span.duration_ns)?;
    let source = builder.source(&origin.service, &origin.host, &origin.labels)?;
    let samples = folded::samples(body, scale, &mut builder, &mut Room::default())?;
    let is_cpu = name == "cpu";
    let profile = log::Profile {
        source,
        r#type: builder.string(name),
        unit: builder.string(unit),
        period_type: builder.string(if is_cpu { "cpu" } else { "" }),
        period_unit: builder.string(if is_cpu { "nanoseconds" } else { "" }),
        period: if is_cpu { period_ns } else { 0 },
        time_unix_ns,
        duration_ns: span.duration_ns,
        samples,
    };
    builder.profile(profile);
    let key = envelope.key(span.start_unix_ns != 0);
    let batch = builder.finish();
    let batches = if batch.is_empty() { Vec::new() } else { vec![Keyed { key, batch }] };
    Ok(Decoded { batches, rejected: Rejected::default() })
}

/// These protocols have no word for a part that was not taken: when nothing was, it is an error.
fn all_or_error(decoded: Decoded) -> Result<Decoded, Refusal> {
    match decoded.rejected.first() {
        Some(refusal) if decoded.batches.is_empty() => Err(refusal.clone()),
        _ => Ok(decoded),
    }
}

fn origin(mut labels: LabelSet) -> Origin {
    labels.remove(PROFILE_NAME);
    for (name, here) in NAMES {
        if let Some(value) = labels.remove(name) {
            labels.entry(here.to_owned()).or_insert(value);
        }
    }
    Origin::of(labels)
}

/// `service{name=value,...}`.
fn name_labels(name: &str) -> LabelSet {
    let (service, rest) = name.split_once('{').unwrap_or((name, ""));
    let pairs = rest.trim_end().trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
    let mut labels: LabelSet = pairs
        .map(|(name, value)| (name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let service = if service.trim().is_empty() { NO_SERVICE } else { service.trim() };
    labels.entry("service.name".to_owned()).or_insert_with(|| service.to_owned());
    labels
}

/// A time, in seconds or any smaller unit that makes it one of this century; 0 if it is none.
fn unix_ns(text: &str) -> u64 {
    let number: u64 = text.trim().parse().unwrap_or(0);
    let scale = match number {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    number.saturating_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_pyroscope_is_a_service_with_labels() {
        let origin = origin(name_labels("edge{__name__=process_cpu,host_name=a,x=\"1\",broken,=2}"));
        assert_eq!((origin.service.as_str(), origin.host.as_str()), ("edge", "a"));
        assert_eq!(origin.labels.into_iter().collect::<Vec<_>>(), [("x".to_owned(), "1".to_owned())]);
        assert_eq!(super::origin(name_labels("{")).service, NO_SERVICE);
    }

    #[test]
    fn times_are_seconds_or_smaller() {
        for text in ["1700000000", "1700000000000", "1700000000000000", "1700000000000000000"] {
            assert_eq!(unix_ns(text), 1_700_000_000_000_000_000, "{text}");
        }
        assert_eq!((unix_ns("now-1h"), unix_ns("-1"), unix_ns("18446744073709551615")), (0, 0, u64::MAX));
    }
}
