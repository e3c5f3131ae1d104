//! Requests over HTTP/1.1, by the client that asks debuginfod servers, too. It blocks, so it runs on a thread of the
//! runtime's pool; its connections are kept.

use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};
use ureq::{
    Agent,
    tls::{ClientCert, RootCerts, TlsConfig},
};

use super::{
    Compression, Connection, SinkError,
    connection::{CONNECT_TIMEOUT, Headers, Pem, USER_AGENT},
};
use crate::send::{
    batch::Key,
    outcome::{Outcome, RetryRule, of_http},
};

/// Of an answer, at most: it is a sentence, or a page that stands in for one.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// One receiver.
pub(super) struct HttpClient {
    agent: Agent,
    headers: Headers,
    compression: Compression,
    rule: RetryRule,
}

/// What is sent.
pub(super) struct Request {
    pub(super) url: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) content_type: &'static str,
    pub(super) key: Key,
    pub(super) body: Vec<u8>,
}

/// What the receiver says to a request that it took.
pub(super) struct Answer {
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

impl HttpClient {
    pub(super) fn new(
        connection: &Connection,
        compression: Compression,
        rule: RetryRule,
    ) -> Result<Self, SinkError> {
        let uri = connection.uri()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A POST that is led elsewhere becomes a GET, and nothing is delivered.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(connection.timeout))
            .tls_config(tls_config(&connection.pem()?))
            .proxy(connection.proxy_for(&uri)?)
            .user_agent(USER_AGENT)
            .build();
        Ok(Self { agent: config.new_agent(), headers: Headers::of(connection)?, compression, rule })
    }

    /// Sends it; the answer if it was taken, else what became of it.
    pub(super) async fn post(&self, request: Request) -> Result<Answer, Outcome> {
        let mut headers = self.headers.for_batch(request.key).map_err(Outcome::retry)?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(request.content_type));
        if let Some(encoding) = self.compression.content_encoding() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let (agent, compression, rule) = (self.agent.clone(), self.compression, self.rule);
        let call = move || call(&agent, request, headers, compression, rule);
        tokio::task::spawn_blocking(call)
            .await
            .unwrap_or_else(|_| Err(Outcome::retry("the request was given up as the agent ends")))
    }
}

fn call(
    agent: &Agent,
    request: Request,
    headers: HeaderMap,
    compression: Compression,
    rule: RetryRule,
) -> Result<Answer, Outcome> {
    let body = compression
        .compress(&request.body)
        .map_err(|error| Outcome::permanent(format!("cannot compress: {error}")))?;
    let mut post = agent.post(&request.url);
    for (name, value) in request.query {
        post = post.query(name, value);
    }
    if let Some(all) = post.headers_mut() {
        all.extend(headers);
    }
    let mut response = post.send(&body).map_err(|error| Outcome::retry(words(&error)))?;
    let status = response.status().as_u16();
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (retry_after, content_type) =
        (header(header::RETRY_AFTER), header(header::CONTENT_TYPE).unwrap_or_default());
    let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
    if (200..300).contains(&status) {
        // The receiver has it; what it says besides can be missed.
        return Ok(Answer { content_type, body: body.unwrap_or_default() });
    }
    let text = words_of(&content_type, &body.unwrap_or_default());
    Err(of_http(status, retry_after.as_deref(), &text, rule, SystemTime::now()))
}

/// What an answer says: the sentence in a `google.rpc.Status`, as OTLP has it, or its text.
fn words_of(content_type: &str, body: &[u8]) -> String {
    use prost::Message as _;
    if content_type.contains("protobuf")
        && let Ok(status) = tonic_types::pb::Status::decode(body)
    {
        return status.message;
    }
    String::from_utf8_lossy(body).into_owned()
}

fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "the receiver took too long".to_owned(),
        ureq::Error::HostNotFound => "no such host".to_owned(),
        error => format!("no answer: {error}"),
    }
}

fn tls_config(pem: &Pem) -> TlsConfig {
    let mut config = TlsConfig::builder();
    if let Some(authorities) = &pem.authorities {
        config = config.root_certs(RootCerts::from(authorities.certificates()));
    }
    if let Some((certificate, key)) = &pem.identity {
        let identity = key.key().map(|key| ClientCert::new_with_certs(&certificate.certificates(), key));
        config = config.client_cert(identity);
    }
    config.build()
}
