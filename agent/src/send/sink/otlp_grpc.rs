//! OTLP over gRPC: one connection, kept and shared by all requests, made anew when it breaks.

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use http::uri::PathAndQuery;
use hyper_util::client::legacy::connect::{HttpConnector, proxy::Tunnel};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::CompressionEncoding,
    metadata::MetadataMap,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_types::StatusExt as _;
use ureq::Proxy;

use super::{
    Compression, Connection, Sending, Sink, SinkError,
    connection::{CONNECT_TIMEOUT, Headers, USER_AGENT},
    grpc_codec::BytesCodec,
    otlp_http::partial,
};
use crate::send::{
    batch::{Batch, Form, Signal},
    outcome::Outcome,
};

/// Of an answer, at most.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// A connection that a firewall has forgotten is found by then.
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const PROFILES: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export");
const METRICS: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");

/// A receiver of OTLP over gRPC.
pub struct OtlpGrpc {
    endpoint: Endpoint,
    proxy: Option<Proxy>,
    /// Made by the first request: it belongs to the runtime that sends.
    client: Option<Grpc<Channel>>,
    headers: Headers,
    compression: Compression,
}

impl OtlpGrpc {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// If the address, a header or a certificate is none.
    pub fn new(connection: &Connection) -> Result<Self, SinkError> {
        let uri = connection.uri()?;
        let error = |reason: &tonic::transport::Error| SinkError::Endpoint {
            endpoint: connection.endpoint.clone(),
            reason: reason.source().map_or_else(|| reason.to_string(), ToString::to_string),
        };
        let mut endpoint = Endpoint::from(uri.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(connection.timeout)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .user_agent(USER_AGENT)
            .map_err(|reason| error(&reason))?;
        if uri.scheme_str() == Some("https") {
            endpoint = endpoint.tls_config(tls_config(connection)?).map_err(|reason| error(&reason))?;
        }
        Ok(Self {
            endpoint,
            proxy: connection.proxy_for(&uri)?,
            client: None,
            headers: Headers::of(connection)?,
            compression: connection.compression,
        })
    }

    async fn deliver(&mut self, batch: &Batch) -> Outcome {
        let headers = match self.headers.for_batch(batch.key) {
            Ok(headers) => headers,
            Err(reason) => return Outcome::retry(reason),
        };
        let mut request = Request::new(Bytes::copy_from_slice(batch.part(Form::Otlp).unwrap_or_default()));
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        let path = match batch.signal {
            Signal::Profiles => PROFILES,
            Signal::Metrics => METRICS,
        };
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(client(&self.endpoint, self.proxy.as_ref(), self.compression)),
        };
        if let Err(error) = client.ready().await {
            return Outcome::retry(with_cause("no connection", &error));
        }
        match client.unary(request, path, BytesCodec).await {
            Ok(answer) => partial(batch.signal, answer.get_ref()).unwrap_or_else(|| {
                Outcome::retry("the answer is not one of OTLP; check the address of this sink")
            }),
            Err(status) => of_status(&status),
        }
    }
}

impl Sink for OtlpGrpc {
    fn form(&self, _signal: Signal) -> Option<Form> {
        Some(Form::Otlp)
    }

    fn send<'a>(&'a mut self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(self.deliver(batch))
    }
}

fn client(endpoint: &Endpoint, proxy: Option<&Proxy>, compression: Compression) -> Grpc<Channel> {
    let channel = match proxy {
        None => endpoint.connect_lazy(),
        Some(proxy) => {
            let mut connector = HttpConnector::new();
            connector.enforce_http(false);
            let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
            if let Some(authorization) = proxy_authorization(proxy) {
                tunnel = tunnel.with_auth(authorization);
            }
            endpoint.connect_with_connector_lazy(tunnel)
        }
    };
    let client = Grpc::with_origin(channel, endpoint.uri().clone())
        .max_decoding_message_size(MAX_ANSWER_BYTES)
        .accept_compressed(CompressionEncoding::Gzip);
    match compression {
        Compression::None => client,
        Compression::Gzip => client.send_compressed(CompressionEncoding::Gzip),
        Compression::Zstd => {
            client.send_compressed(CompressionEncoding::Zstd).accept_compressed(CompressionEncoding::Zstd)
        }
    }
}

fn proxy_authorization(proxy: &Proxy) -> Option<http::HeaderValue> {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let user = proxy.username()?;
    let password = proxy.password().unwrap_or_default();
    let credentials = BASE64_STANDARD.encode(format!("{user}:{password}"));
    http::HeaderValue::try_from(format!("Basic {credentials}")).ok()
}

fn tls_config(connection: &Connection) -> Result<ClientTlsConfig, SinkError> {
    let pem = connection.pem()?;
    let config = ClientTlsConfig::new();
    let config = match pem.authorities {
        Some(authorities) => config.ca_certificate(Certificate::from_pem(authorities.bytes)),
        None => config.with_webpki_roots(),
    };
    Ok(match pem.identity {
        Some((certificate, key)) => config.identity(Identity::from_pem(certificate.bytes, key.bytes)),
        None => config,
    })
}

/// What a status means, by OTLP's table.
fn of_status(status: &Status) -> Outcome {
    let asked_for = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let reason = with_cause(&format!("{:?}: {}", status.code(), status.message()), status);
    // A status that we made ourselves, for a connection that broke, says nothing about the batch.
    let is_ours = status.source().is_some();
    match status.code() {
        Code::ResourceExhausted if asked_for.is_none() && !is_ours => Outcome::permanent(format!(
            "{reason}; the receiver does not say when to come again: send shorter windows, or raise its limits"
        )),
        Code::Unauthenticated | Code::PermissionDenied => {
            Outcome::permanent(format!("{reason}; check token, tenant and certificate of this sink"))
        }
        Code::Unimplemented => {
            Outcome::permanent(format!("{reason}; this receiver does not take this signal over gRPC"))
        }
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => retry(asked_for, &reason),
        _ if is_ours => retry(asked_for, &reason),
        _ => Outcome::permanent(reason),
    }
}

fn retry(after: Option<Duration>, reason: &str) -> Outcome {
    Outcome::Retry { after, reason: crate::send::outcome::bounded(reason) }
}

/// The last cause says most: "connection refused", not "transport error".
fn with_cause(text: &str, error: &dyn std::error::Error) -> String {
    let mut last = None;
    let mut cause = error.source();
    while let Some(it) = cause {
        last = Some(it.to_string());
        cause = it.source();
    }
    match last {
        Some(last) if !text.contains(&last) => format!("{text}: {last}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    fn word(status: &Status) -> String {
        match of_status(status) {
            Outcome::Retry { after: None, .. } => "again".to_owned(),
            Outcome::Retry { after: Some(after), .. } => format!("again after {}", after.as_secs()),
            Outcome::Permanent { .. } => "final".to_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_status_is_worth_another_try_by_the_table_of_otlp() {
        let retry_info = ErrorDetails::with_retry_info(Some(Duration::from_secs(7)));
        let cases = [
            (Code::Cancelled, "again", "again after 7"),
            (Code::Unknown, "final", "final"),
            (Code::InvalidArgument, "final", "final"),
            (Code::DeadlineExceeded, "again", "again after 7"),
            (Code::NotFound, "final", "final"),
            (Code::AlreadyExists, "final", "final"),
            (Code::PermissionDenied, "final", "final"),
            (Code::ResourceExhausted, "final", "again after 7"),
            (Code::FailedPrecondition, "final", "final"),
            (Code::Aborted, "again", "again after 7"),
            (Code::OutOfRange, "again", "again after 7"),
            (Code::Unimplemented, "final", "final"),
            (Code::Internal, "final", "final"),
            (Code::Unavailable, "again", "again after 7"),
            (Code::DataLoss, "again", "again after 7"),
            (Code::Unauthenticated, "final", "final"),
        ];
        for (code, bare, with_retry_info) in cases {
            assert_eq!(word(&Status::new(code, "x")), bare, "{code:?}");
            let status = Status::with_error_details(code, "x", retry_info.clone());
            assert_eq!(word(&status), with_retry_info, "{code:?} with RetryInfo");
        }
    }

    #[test]
    fn details_that_are_garbage_are_none() {
        let status = Status::with_details(Code::ResourceExhausted, "x", Bytes::from_static(&[0xff; 40]));
        assert_eq!(word(&status), "final");
    }

    #[test]
    fn a_connection_that_broke_says_nothing_about_the_batch_and_its_last_cause_is_told() {
        let mut status = Status::new(Code::Unknown, "transport error");
        status.set_source(std::sync::Arc::new(std::io::Error::other("the wire is cut")));
        let Outcome::Retry { reason, .. } = of_status(&status) else { panic!("is tried again") };
        assert!(reason.contains("the wire is cut"), "{reason}");
    }
}
