//! OTLP over HTTP with protobuf: `/v1development/profiles` and `/v1/metrics` below the address.

use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceResponse, profiles::v1development::ExportProfilesServiceResponse,
};
use prost::Message as _;

use super::{
    Connection, Sending, Sink, SinkError,
    http::{Answer, HttpClient, Request},
};
use crate::send::{
    batch::{Batch, Form, Signal},
    outcome::{Outcome, RetryRule},
};

const PROTOBUF: &str = "application/x-protobuf";

/// A receiver of OTLP over HTTP.
pub struct OtlpHttp {
    client: HttpClient,
    /// Without a slash at the end.
    base: String,
}

impl OtlpHttp {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// If the address, a header or a certificate is none.
    pub fn new(connection: &Connection) -> Result<Self, SinkError> {
        let client = HttpClient::new(connection, connection.compression, RetryRule::Otlp)?;
        Ok(Self { client, base: connection.endpoint.trim_end_matches('/').to_owned() })
    }

    async fn deliver(&self, batch: &Batch) -> Outcome {
        let path = match batch.signal {
            Signal::Profiles => "v1development/profiles",
            Signal::Metrics => "v1/metrics",
        };
        let request = Request {
            url: format!("{}/{path}", self.base),
            query: Vec::new(),
            content_type: PROTOBUF,
            key: batch.key,
            body: batch.part(Form::Otlp).unwrap_or_default().to_vec(),
        };
        match self.client.post(request).await {
            Ok(answer) => taken(batch.signal, &answer),
            Err(outcome) => outcome,
        }
    }
}

impl Sink for OtlpHttp {
    fn form(&self, _signal: Signal) -> Option<Form> {
        Some(Form::Otlp)
    }

    fn send<'a>(&'a mut self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(self.deliver(batch))
    }
}

/// Whatever answers 200 to anything has not necessarily understood what it got.
fn taken(signal: Signal, answer: &Answer) -> Outcome {
    let kind = &answer.content_type;
    if kind.contains("html") || (kind.contains("protobuf") && partial(signal, &answer.body).is_none()) {
        return Outcome::retry("the answer is not one of OTLP; check the address of this sink");
    }
    partial(signal, &answer.body).unwrap_or(Outcome::Delivered)
}

/// What of it was taken, by the answer of an export service; none if it is no such answer.
pub(super) fn partial(signal: Signal, answer: &[u8]) -> Option<Outcome> {
    let (n_rejected, reason) = match signal {
        Signal::Profiles => {
            let partial = ExportProfilesServiceResponse::decode(answer).ok()?.partial_success;
            partial.map(|it| (it.rejected_profiles, it.error_message))
        }
        Signal::Metrics => {
            let partial = ExportMetricsServiceResponse::decode(answer).ok()?.partial_success;
            partial.map(|it| (it.rejected_data_points, it.error_message))
        }
    }
    .unwrap_or_default();
    Some(Outcome::partial(n_rejected, &reason))
}
