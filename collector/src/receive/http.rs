//! Senders that speak HTTP: from a request to its answer.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ORIGIN, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, combinators::BoxBody};
use hyper::body::Body;
use opentelemetry_proto::tonic::collector::{
    metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse},
    profiles::v1development::{ExportProfilesPartialSuccess, ExportProfilesServiceResponse},
};
use prost::Message as _;
use tokio::sync::OwnedSemaphorePermit;

use super::{Encoding, Intake, Target, Tenant, grpc, intake::Request};
use crate::refusal::{Reason, Refusal, Rejected};

const PROTOBUF: &str = "application/x-protobuf";
/// A body has to be there by then.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// An answer, with or without trailers.
pub type Answer = Response<BoxBody<Bytes, Infallible>>;

/// What is answered to a request, once what it brings is on disk.
pub async fn answer<B>(request: http::Request<B>, intake: Arc<Intake>) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if grpc::is_grpc(request.headers()) {
        return grpc::answer(request, &intake).await;
    }
    let target = Target::of_path(request.uri().path());
    let result = match target {
        None => Err(Refusal::new(Reason::NoSuchPath, "nothing is taken at this path")),
        Some(_) if request.method() != Method::POST => {
            Err(Refusal::new(Reason::WrongMethod, format!("{} is not taken here", request.method())))
        }
        Some(target) => take(request, target, &intake).await,
    };
    match (target, result) {
        (Some(target), Ok(rejected)) => of_success(target, &rejected),
        (target, Err(refusal)) => {
            intake.figures().refused(target, &refusal);
            of_refusal(target, &refusal)
        }
        (None, Ok(_)) => text_answer(StatusCode::OK, ""),
    }
}

async fn take<B>(request: http::Request<B>, target: Target, intake: &Intake) -> Result<Rejected, Refusal>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    // Any page may have its reader's browser send a text to loopback; it cannot have it leave out this header.
    if head.headers.contains_key(ORIGIN) {
        return Err(Refusal::new(
            Reason::FromPage,
            "the request has an Origin: a browser sends it for a page",
        ));
    }
    let tenant = intake.tenants().of_headers(&head.headers)?;
    let encoding = Encoding::of(text(&head.headers, CONTENT_ENCODING.as_str()))?;
    let content_type = text(&head.headers, CONTENT_TYPE.as_str());
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    if target.is_otlp() && ![PROTOBUF, "application/protobuf"].contains(&kind) {
        return Err(Refusal::new(Reason::UnknownType, format!("the body is {kind:?}")));
    }
    let (body, _room) = read(&head.headers, body, 0, &tenant, intake).await?;
    let query = head.uri.query().unwrap_or_default().to_owned();
    let key = key(&head.headers);
    intake.accept(Request { target, tenant, query, key, encoding, body }).await
}

pub(super) fn key(headers: &HeaderMap) -> Option<Vec<u8>> {
    headers.get("idempotency-key").map(|key| key.as_bytes().to_vec())
}

/// A header as a text; empty if it is none.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The body, if it is not larger than the tenant may send (and `n_more_bytes`), and the room that it takes.
pub(super) async fn read<B>(
    headers: &HeaderMap,
    body: B,
    n_more_bytes: u64,
    tenant: &Tenant,
    intake: &Intake,
) -> Result<(Bytes, OwnedSemaphorePermit), Refusal>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limit_bytes = tenant.limits().body_bytes.saturating_add(n_more_bytes);
    let too_large = || {
        let what = format!(
            "the body has more than {} bytes, all that tenant {} may send",
            limit_bytes,
            tenant.name()
        );
        Refusal::new(Reason::BodyTooLarge, what)
    };
    let said_bytes: Option<u64> = text(headers, CONTENT_LENGTH.as_str()).parse().ok();
    if said_bytes.is_some_and(|n_bytes| n_bytes > limit_bytes) {
        return Err(too_large());
    }
    let room = intake.room(said_bytes.unwrap_or(limit_bytes)).await?;
    let limited = Limited::new(body, usize::try_from(limit_bytes).unwrap_or(usize::MAX));
    match tokio::time::timeout(BODY_TIMEOUT, limited.collect()).await {
        Ok(Ok(body)) => Ok((body.to_bytes(), room)),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Refusal::new(Reason::BodyCut, format!("the body did not come whole: {error}"))),
        Err(_) => Err(Refusal::new(Reason::BodyCut, "the body did not come in time")),
    }
}

/// The message that an OTLP service answers with.
pub(super) fn response(target: Target, rejected: &Rejected) -> Vec<u8> {
    let n_rejected = i64::try_from(rejected.total()).unwrap_or(i64::MAX);
    let error_message = rejected.first().map(ToString::to_string).unwrap_or_default();
    let is_partial = n_rejected > 0;
    match target {
        Target::OtlpMetrics => {
            let partial = ExportMetricsPartialSuccess { rejected_data_points: n_rejected, error_message };
            ExportMetricsServiceResponse { partial_success: is_partial.then_some(partial) }.encode_to_vec()
        }
        Target::OtlpProfiles => {
            let partial = ExportProfilesPartialSuccess { rejected_profiles: n_rejected, error_message };
            ExportProfilesServiceResponse { partial_success: is_partial.then_some(partial) }.encode_to_vec()
        }
        Target::Pprof | Target::Ingest | Target::Push => Vec::new(),
    }
}

fn of_success(target: Target, rejected: &Rejected) -> Answer {
    let content_type = match target {
        Target::OtlpProfiles | Target::OtlpMetrics => PROTOBUF,
        Target::Push => "application/proto",
        Target::Pprof | Target::Ingest => "text/plain; charset=utf-8",
    };
    whole(StatusCode::OK, content_type, response(target, rejected))
}

/// OTLP wants a `google.rpc.Status`, all others a text.
fn of_refusal(target: Option<Target>, refusal: &Refusal) -> Answer {
    let status = StatusCode::from_u16(refusal.reason.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut answer = if target.is_some_and(Target::is_otlp) {
        let message = tonic_types::Status {
            code: i32::from(refusal.reason.code()),
            message: refusal.to_string(),
            details: Vec::new(),
        };
        whole(status, PROTOBUF, message.encode_to_vec())
    } else {
        text_answer(status, format!("{refusal}\n"))
    };
    if let Some(after) = refusal.after {
        let seconds = after.as_secs_f64().ceil().clamp(1.0, 3_600.0);
        if let Ok(value) = HeaderValue::from_str(&format!("{seconds:.0}")) {
            answer.headers_mut().insert(RETRY_AFTER, value);
        }
    }
    if refusal.reason == Reason::WrongMethod {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    answer
}

/// A text.
#[must_use]
pub fn text_answer(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    whole(status, "text/plain; charset=utf-8", text)
}

fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
