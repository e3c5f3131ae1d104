//! Pyroscope and what speaks its protocols: pprof files with labels.

use prost::Message as _;
use proto::push::{LabelPair, PushRequest, RawProfileSeries, RawSample};

use super::{
    Compression, Connection, Sending, Sink, SinkError,
    http::{HttpClient, Request},
};
use crate::send::{
    batch::{Batch, EVENT_LABEL, Form, Signal},
    outcome::{Outcome, RetryRule},
};

const SERVICE: &str = "service.name";
const NO_SERVICE: &str = "unknown_service";
const SPY: &str = "brazier";

/// Which of its interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PyroscopeApi {
    /// `push.v1.PusherService/Push`, in the Connect protocol: the one that servers and collectors of today share.
    #[default]
    Push,
    /// `/ingest`, the older one.
    Ingest,
}

/// A receiver of pprof files.
pub struct Pyroscope {
    client: HttpClient,
    /// Without a slash at the end.
    base: String,
    api: PyroscopeApi,
}

impl Pyroscope {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// If the address, a header or a certificate is none.
    pub fn new(connection: &Connection, api: PyroscopeApi) -> Result<Self, SinkError> {
        // The files are gzipped already.
        let client = HttpClient::new(connection, Compression::None, RetryRule::ServerErrors)?;
        Ok(Self { client, base: connection.endpoint.trim_end_matches('/').to_owned(), api })
    }

    async fn deliver(&self, batch: &Batch) -> Outcome {
        let request = match self.api {
            PyroscopeApi::Push => push(&self.base, batch),
            PyroscopeApi::Ingest => ingest(&self.base, batch),
        };
        match self.client.post(request).await {
            Ok(answer) if answer.content_type.contains("html") => {
                Outcome::retry("the answer is a page; check the address of this sink")
            }
            Ok(_) => Outcome::Delivered,
            Err(outcome) => outcome,
        }
    }
}

impl Sink for Pyroscope {
    fn form(&self, signal: Signal) -> Option<Form> {
        (signal == Signal::Profiles).then_some(Form::Pprof)
    }

    fn send<'a>(&'a mut self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(self.deliver(batch))
    }
}

fn push(base: &str, batch: &Batch) -> Request {
    let label = |name: &str, value: &str| LabelPair { name: name.to_owned(), value: value.to_owned() };
    let name = label("__name__", profile_name(batch));
    let service = label("service_name", batch.labels.get(SERVICE).unwrap_or(NO_SERVICE));
    let others = other_labels(batch).map(|(name, value)| label(&name, value));
    let sample = RawSample {
        raw_profile: batch.part(Form::Pprof).unwrap_or_default().to_vec(),
        id: as_uuid(&batch.key.to_string()),
    };
    let series = RawProfileSeries {
        labels: [name, service].into_iter().chain(others).collect(),
        samples: vec![sample],
    };
    Request {
        url: format!("{base}/push.v1.PusherService/Push"),
        query: Vec::new(),
        content_type: "application/proto",
        key: batch.key,
        body: PushRequest { series: vec![series] }.encode_to_vec(),
    }
}

fn ingest(base: &str, batch: &Batch) -> Request {
    // A label that held what ends a label would become others.
    let plain = |text: &str| text.replace(['{', '}', ',', '=', '"'], "_");
    let labels: Vec<String> = std::iter::once(("__name__".to_owned(), profile_name(batch)))
        .chain(other_labels(batch))
        .map(|(name, value)| format!("{name}={}", plain(value)))
        .collect();
    let service = plain(batch.labels.get(SERVICE).unwrap_or(NO_SERVICE));
    let seconds = |unix_ns: u64| (unix_ns / 1_000_000_000).to_string();
    Request {
        url: format!("{base}/ingest"),
        query: vec![
            ("name", format!("{service}{{{}}}", labels.join(","))),
            ("from", seconds(batch.start_unix_ns)),
            ("until", seconds(batch.end_unix_ns)),
            ("format", "pprof".to_owned()),
            ("spyName", SPY.to_owned()),
        ],
        content_type: "application/octet-stream",
        key: batch.key,
        body: batch.part(Form::Pprof).unwrap_or_default().to_vec(),
    }
}

/// By what Pyroscope calls the usual kinds.
fn profile_name(batch: &Batch) -> &str {
    match batch.labels.get(EVENT_LABEL) {
        None | Some("cpu") => "process_cpu",
        Some("alloc") => "memory",
        Some(other) => other,
    }
}

/// All labels that have no place of their own, under names that Pyroscope takes: letters, digits and `_`.
fn other_labels(batch: &Batch) -> impl Iterator<Item = (String, &str)> {
    let name = |name: &str| -> String {
        let plain = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        let first = name.starts_with(|c: char| c.is_ascii_digit()).then_some('_');
        first.into_iter().chain(plain).collect()
    };
    let others = batch.labels.iter().filter(|(name, _)| ![SERVICE, EVENT_LABEL].contains(name));
    others.map(move |(label, value)| (name(label), value))
}

fn as_uuid(hex: &str) -> String {
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use profile::Labels;

    use super::*;
    use crate::send::batch::Key;

    fn batch() -> Batch {
        let labels = [("service.name", "edge"), (EVENT_LABEL, "alloc"), ("host.name", "a=b,c"), ("9x", "y")];
        Batch {
            key: Key([0x5a; 16]),
            signal: Signal::Profiles,
            start_unix_ns: 1_700_000_000_999_999_999,
            end_unix_ns: 1_700_000_060_000_000_000,
            labels: labels.into_iter().collect::<Labels>(),
            parts: vec![(Form::Pprof, vec![1, 2, 3])],
        }
    }

    #[test]
    fn a_push_has_the_labels_the_file_and_the_key_as_its_id() {
        let request = push("http://a", &batch());
        assert_eq!(request.url, "http://a/push.v1.PusherService/Push");
        let message = PushRequest::decode(request.body.as_slice()).expect("decodes");
        let series = &message.series[0];
        let labels: Vec<_> = series.labels.iter().map(|it| (it.name.as_str(), it.value.as_str())).collect();
        let expected =
            [("__name__", "memory"), ("service_name", "edge"), ("host_name", "a=b,c"), ("_9x", "y")];
        assert_eq!(labels, expected);
        assert_eq!(series.samples[0].raw_profile, [1, 2, 3]);
        assert_eq!(series.samples[0].id, "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a");
    }

    #[test]
    fn what_is_ingested_has_its_name_and_times_in_the_query() {
        let request = ingest("http://a", &batch());
        let query: Vec<_> = request.query.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let expected = [
            ("name", "edge{__name__=memory,host_name=a_b_c,_9x=y}"),
            ("from", "1700000000"),
            ("until", "1700000060"),
            ("format", "pprof"),
            ("spyName", "brazier"),
        ];
        assert_eq!(query, expected);
        assert_eq!(request.body, [1, 2, 3]);
    }
}
