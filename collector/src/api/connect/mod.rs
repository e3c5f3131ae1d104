//! The read side of Pyroscope's API, as Grafana's own data source asks it: Connect's unary calls, in protobuf or JSON.
//!
//! A profile type is called by `NAME:TYPE:UNIT:PERIOD_TYPE:PERIOD_UNIT`; of these, type and unit say which samples are meant.

mod codec;
mod methods;
mod names;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header::CONTENT_ENCODING};
use hyper::body::Body;
use query::Engine;

use super::{
    body,
    reply::{Failure, Reply},
};
use crate::{
    receive::{Encoding, Tenants, unpack},
    refusal::{Reason, Refusal},
};

/// What its paths begin with.
pub(super) const PREFIX: &str = "/querier.v1.QuerierService/";
/// What a request may be, decompressed.
const MAX_BYTES: u64 = 1 << 20;

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
struct Caller<'a> {
    engine: &'a Engine,
    tenant: &'a str,
    now_unix_ns: u64,
}

/// Answers a call.
pub(super) async fn call<B>(
    request: Request<B>,
    engine: &Engine,
    tenants: &Tenants,
    now_unix_ns: u64,
) -> Result<Reply, Failure>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return Err(Failure::wrong_method(Method::POST));
    }
    let form = form(&head.headers)?;
    let tenant = tenants.of_headers(&head.headers)?;
    let encoding = head.headers.get(CONTENT_ENCODING).and_then(|value| value.to_str().ok());
    let body = body::whole(body).await?;
    let body = unpack(&body, Encoding::of(encoding.unwrap_or_default())?, MAX_BYTES)?;
    let caller = Caller { engine, tenant: tenant.name(), now_unix_ns };
    let method = head.uri.path().strip_prefix(PREFIX).unwrap_or_default();
    methods::answer(&caller, method, form, &body).await
}

/// Also a page of another site may send a text; it cannot say that it is one of these.
fn form(headers: &HeaderMap) -> Result<codec::Form, Refusal> {
    match body::content_type(headers) {
        "application/proto" => Ok(codec::Form::Proto),
        "application/json" => Ok(codec::Form::Json),
        other => Err(Refusal::new(Reason::UnknownType, format!("the body is {other:?}"))),
    }
}
