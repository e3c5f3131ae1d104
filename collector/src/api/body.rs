//! The body of a question that has one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;

use crate::refusal::{Reason, Refusal};

const MAX_BYTES: usize = 256 << 10;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A body of JSON. Its type has to be said: a browser then asks before it sends it for another page.
pub(super) async fn json<B>(headers: &HeaderMap, body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if content_type(headers) != "application/json" {
        return Err(Refusal::new(Reason::UnknownType, "the body is not said to be application/json"));
    }
    whole(body).await
}

/// What the body is said to be.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// Any body.
pub(super) async fn whole<B>(body: B) -> Result<Bytes, Refusal>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match tokio::time::timeout(TIMEOUT, Limited::new(body, MAX_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::new(Reason::BodyTooLarge, format!("the body has more than {MAX_BYTES} bytes")))
        }
        Ok(Err(error)) => Err(Refusal::new(Reason::BodyCut, format!("the body did not come whole: {error}"))),
        Err(_) => Err(Refusal::new(Reason::BodyCut, "the body did not come in time")),
    }
}
