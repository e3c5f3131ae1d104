//! What is answered: JSON, or a file; and why not.

use bytes::Bytes;
use http::{
    HeaderValue, Method, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::{BodyExt as _, Full};
use query::Answer as Answered;
use serde::Serialize;

use crate::{
    receive::Answer,
    refusal::{Reason, Refusal},
};

const JSON: &str = "application/json";

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    content_type: &'static str,
    body: Bytes,
    /// To be saved under this name.
    name: Option<String>,
    /// How many things are not in a file.
    n_warnings: usize,
}

/// JSON, with what is not in it.
#[derive(Serialize)]
struct WithWarnings<'a, T> {
    #[serde(flatten)]
    value: &'a T,
    warnings: &'a [String],
}

impl Reply {
    /// An object, with a list of warnings in it.
    pub(super) fn json<T: Serialize>(answered: &Answered<T>) -> Result<Self, Failure> {
        let Answered { value, warnings } = answered;
        let body =
            serde_json::to_vec(&WithWarnings { value, warnings }).map_err(|_| Failure::internal("JSON"))?;
        Ok(Self { content_type: JSON, body: body.into(), name: None, n_warnings: 0 })
    }

    /// A file.
    pub(super) fn file(body: Bytes, content_type: &'static str, name: Option<String>) -> Self {
        Self { content_type, body, name, n_warnings: 0 }
    }

    /// What is not in a file has no place in it.
    pub(super) fn with_warnings(self, warnings: &[String]) -> Self {
        Self { n_warnings: warnings.len(), ..self }
    }

    pub(super) fn answer(self) -> Answer {
        let mut answer = whole(StatusCode::OK, self.content_type, self.body);
        let headers = answer.headers_mut();
        let name = self.name.map(|name| HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")));
        if let Some(Ok(name)) = name {
            headers.insert(CONTENT_DISPOSITION, name);
        }
        if self.n_warnings > 0 {
            headers.insert("x-brazier-warnings", HeaderValue::from(self.n_warnings));
        }
        answer
    }
}

/// Why there is none.
#[derive(Debug)]
pub(super) struct Failure {
    reason: &'static str,
    status: u16,
    message: String,
    to_do: &'static str,
    allow: Option<Method>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorText<'a>,
}

#[derive(Serialize)]
struct ErrorText<'a> {
    reason: &'a str,
    message: &'a str,
    to_do: &'a str,
}

impl Failure {
    pub(super) fn wrong_method(allow: Method) -> Self {
        let message = format!("{allow} is taken here");
        Self { reason: "wrong_method", status: 405, message, to_do: "see docs/api.md", allow: Some(allow) }
    }

    pub(super) fn internal(what: &str) -> Self {
        let message = format!("the answer cannot be written as {what}");
        Self { reason: "internal", status: 500, message, to_do: "report it, with the question", allow: None }
    }

    /// As Connect has it: its own names for statuses.
    pub(super) fn connect_answer(self) -> Answer {
        let (code, status) = match self.status {
            400 | 415 => ("invalid_argument", self.status),
            401 => ("unauthenticated", 401),
            403 => ("permission_denied", 403),
            404 => ("unimplemented", 501),
            405 => ("unimplemented", 405),
            413 | 429 => ("resource_exhausted", 429),
            503 => ("unavailable", 503),
            504 => ("deadline_exceeded", 504),
            _ => ("internal", 500),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = format!("{}: {}; {}", self.reason, self.message, self.to_do);
        let body = serde_json::json!({ "code": code, "message": message });
        whole(status, JSON, body.to_string())
    }

    pub(super) fn answer(self) -> Answer {
        let Self { reason, status, message, to_do, allow } = self;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = ErrorBody { error: ErrorText { reason, message: &message, to_do } };
        let mut answer = whole(status, JSON, serde_json::to_vec(&body).unwrap_or_default());
        let headers = answer.headers_mut();
        if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(allow.as_str()).ok()) {
            headers.insert(ALLOW, allow);
        }
        if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status) {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        answer
    }
}

impl From<query::Error> for Failure {
    fn from(error: query::Error) -> Self {
        let (reason, status, to_do) = (error.reason(), error.status(), error.to_do());
        // What stands behind it says what to do about it.
        let message = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self { reason, status, message, to_do, allow: None }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let Refusal { reason, what, .. } = refusal;
        let to_do = if reason == Reason::NoSuchPath { "see docs/api.md" } else { reason.to_do() };
        Self { reason: reason.name(), status: reason.status(), message: what, to_do, allow: None }
    }
}

fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
