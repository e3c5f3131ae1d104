//! The address for people and their programs: the page, `/api`, and what the collector tells of itself, `/health` and `/metrics`.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use hyper::body::Body;

use super::{
    Flusher,
    health::{self, View},
    metrics,
};
use crate::{
    api::{self, Api},
    clock, page,
    receive::{Answer, Intake, text_answer},
    wal::Log,
};

const JSON: &str = "application/json";

/// All that can be told of.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) intake: Arc<Intake>,
    pub(super) log: Arc<Log>,
    pub(super) flusher: Arc<Flusher>,
    pub(super) api: Api,
    pub(super) max_log_bytes: u64,
    pub(super) start_unix_ns: u64,
}

impl Known {
    pub(super) fn new(
        intake: Arc<Intake>,
        log: Arc<Log>,
        flusher: Arc<Flusher>,
        api: Api,
        max_log_bytes: u64,
    ) -> Self {
        Self { intake, log, flusher, api, max_log_bytes, start_unix_ns: clock::unix_ns() }
    }

    fn view(&self) -> View {
        let figures = self.flusher.figures();
        let log = self.log.figures();
        let read =
            |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        View {
            store: figures.state(),
            waiting_bytes: self.log.shelf().waiting().1,
            max_log_bytes: self.max_log_bytes,
            n_damaged: read(&log.damaged).saturating_add(read(&figures.damaged)),
            n_files_damaged: read(&figures.files_damaged),
            n_log_failures: read(&log.failed),
            watch: self.api.board().standing(),
            missing_cluster: self.api.engine().missing_cluster(),
        }
    }
}

pub(super) async fn answer<B>(request: Request<B>, known: Arc<Known>) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if api::is_of_api(request.uri().path()) {
        return api::answer(request, &known.api, known.intake.tenants(), clock::unix_ns()).await;
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return text_answer(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    }
    match request.uri().path() {
        "/health" => {
            let health = health::judge(&known.view());
            let status =
                StatusCode::from_u16(health.status.http_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            match serde_json::to_string_pretty(&health) {
                Ok(body) => typed(text_answer(status, body + "\n"), JSON),
                Err(_) => text_answer(StatusCode::INTERNAL_SERVER_ERROR, "cannot be written as JSON\n"),
            }
        }
        "/metrics" => match exposition::text(metrics::metrics(&known, clock::unix_ns())) {
            Ok(body) => typed(text_answer(StatusCode::OK, body), exposition::CONTENT_TYPE),
            Err(_) => text_answer(StatusCode::INTERNAL_SERVER_ERROR, "cannot be written as text\n"),
        },
        path => page::answer(request.method(), path, request.headers()).unwrap_or_else(|| {
            text_answer(StatusCode::NOT_FOUND, "there is / for a browser, /api/v1/, /metrics and /health\n")
        }),
    }
}

fn typed(mut answer: Answer, content_type: &'static str) -> Answer {
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
