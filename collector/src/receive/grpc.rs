//! Senders that speak gRPC: one message there, one message back.
//!
//! The five bytes before a message are read here, and not by a server of tonic: what is too large has to be refused for
//! good, with a reason and a counter of ours and by the limits of the tenant.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Body;
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{
    Encoding, Intake, Target,
    http::{Answer, key, read, response, text},
    intake::Request,
};
use crate::refusal::{Reason, Refusal, Rejected};

const GRPC: &str = "application/grpc";
/// Whether it is compressed, and how long it is.
const PREFIX_BYTES: usize = 5;

/// Whether a request is one of gRPC.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    // `application/grpc+proto` is the same, `application/grpc-web` is another protocol.
    let rest = text(headers, CONTENT_TYPE.as_str()).strip_prefix(GRPC);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

pub(super) async fn answer<B>(request: http::Request<B>, intake: &Intake) -> Answer
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let target = Target::of_grpc_path(request.uri().path());
    let result = match target {
        None => Err(Refusal::new(Reason::NoSuchPath, "there is no such service or method")),
        Some(target) => take(request, target, intake).await.map(|rejected| response(target, &rejected)),
    };
    match result {
        Ok(message) => of_success(&message),
        Err(refusal) => {
            intake.figures().refused(target, &refusal);
            of_refusal(&refusal)
        }
    }
}

async fn take<B>(request: http::Request<B>, target: Target, intake: &Intake) -> Result<Rejected, Refusal>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let tenant = intake.tenants().of_headers(&head.headers)?;
    let n_prefix_bytes = u64::try_from(PREFIX_BYTES).unwrap_or(0);
    let (body, _room) = read(&head.headers, body, n_prefix_bytes, &tenant, intake).await?;
    let (is_compressed, body) = message(&body)?;
    let encoding = match is_compressed {
        true => Encoding::of(text(&head.headers, "grpc-encoding"))?,
        false => Encoding::Identity,
    };
    let key = key(&head.headers);
    intake.accept(Request { target, tenant, query: String::new(), key, encoding, body }).await
}

/// The one message of a body.
fn message(body: &Bytes) -> Result<(bool, Bytes), Refusal> {
    let malformed = |what: &str| Refusal::new(Reason::Malformed, format!("it is no gRPC message: {what}"));
    let (prefix, content) =
        body.split_at_checked(PREFIX_BYTES).ok_or_else(|| malformed("it is too short"))?;
    let [flag, length @ ..] = prefix else { return Err(malformed("it is too short")) };
    let length = <[u8; 4]>::try_from(length).map(u32::from_be_bytes).unwrap_or_default();
    if usize::try_from(length) != Ok(content.len()) {
        return Err(malformed("its length is not what it says"));
    }
    match flag {
        0 | 1 => Ok((*flag == 1, body.slice(PREFIX_BYTES..))),
        _ => Err(malformed("it is compressed in no known way")),
    }
}

fn of_success(message: &[u8]) -> Answer {
    let mut body = BytesMut::with_capacity(PREFIX_BYTES.saturating_add(message.len()));
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.put_slice(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(body.freeze()).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut answer = Response::new(body.boxed());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    answer
}

/// OTLP says that `RESOURCE_EXHAUSTED` is worth another try only with a time to come again.
fn of_refusal(refusal: &Refusal) -> Answer {
    let details = match refusal.after {
        Some(after) => ErrorDetails::with_retry_info(Some(after)),
        None => ErrorDetails::new(),
    };
    let status = tonic::Status::with_error_details(refusal.reason.code(), refusal.to_string(), details);
    status.into_http::<Full<Bytes>>().map(|body| body.boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_as_long_as_it_says() {
        let of = |bytes: &'static [u8]| message(&Bytes::from_static(bytes)).ok();
        assert_eq!(of(&[0, 0, 0, 0, 2, 7, 8]), Some((false, Bytes::from_static(&[7, 8]))));
        assert_eq!(of(&[1, 0, 0, 0, 0]), Some((true, Bytes::new())));
        for bytes in [
            &[][..],
            &[0, 0, 0, 0],
            &[2, 0, 0, 0, 0],
            &[0, 0, 0, 0, 1],
            &[0, 0, 0, 0, 0, 0],
            &[0, 255, 255, 255, 255],
        ] {
            assert_eq!(of(bytes), None, "{bytes:?}");
        }
    }
}
