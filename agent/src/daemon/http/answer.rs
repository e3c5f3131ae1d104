//! From a request to its answer.

use std::net::IpAddr;

use http::{
    HeaderMap, Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING},
    uri::Authority,
};
use http_body_util::Full;
use hyper::body::Bytes;
use serde::Serialize;

use crate::{
    clock,
    daemon::{
        board::{Board, View},
        metrics::metrics,
        status::Status,
    },
};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const INDEX: &str = "brazier agent\n
/metrics  figures, for Prometheus
/health   healthy or degraded: 200; unhealthy: 503; with the reasons
/status   what is attached to what
";
const STARTING: &str = "the agent has just started and has no figures yet\n";

type Answer = Response<Full<Bytes>>;

/// The answer to a request. One who listens on loopback only answers those only who mean it: the name of a page's own
/// host can be made to lead to loopback by whoever made the page.
pub(super) fn answer<B>(request: &Request<B>, board: &Board, is_loopback: bool) -> Answer {
    if is_loopback && !is_meant(request) {
        return text(
            StatusCode::FORBIDDEN,
            "the host of this request is not this one: ask for localhost or 127.0.0.1\n",
        );
    }
    if has_body(request.headers()) {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "no body is taken here\n");
    }
    let known = ["/", "/metrics", "/health", "/status"].contains(&request.uri().path());
    if !known {
        return text(StatusCode::NOT_FOUND, "there is /metrics, /health and /status\n");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        answer.headers_mut().insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    if request.uri().path() == "/" {
        return text(StatusCode::OK, INDEX);
    }
    let Some(view) = board.view(clock::monotonic_ns()) else {
        return text(StatusCode::SERVICE_UNAVAILABLE, STARTING);
    };
    match request.uri().path() {
        "/metrics" => of_metrics(&view),
        "/health" => {
            let status = StatusCode::from_u16(view.health.status.http_code())
                .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            json(status, &view.health)
        }
        _ => json(StatusCode::OK, &Status::from(&view)),
    }
}

fn of_metrics(view: &View) -> Answer {
    match exposition::text(metrics(&view.figures)) {
        Ok(body) => whole(StatusCode::OK, exposition::CONTENT_TYPE, body),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the figures cannot be written as text\n"),
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_string_pretty(value) {
        Ok(body) => whole(status, JSON, body + "\n"),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the figures cannot be written as JSON\n"),
    }
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    whole(status, TEXT, body)
}

fn whole(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    answer
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0")
}

/// Whether the names that a request has for this host, one at most, are names of loopback. One without a name is of
/// HTTP/1.0, which no page speaks.
fn is_meant<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let by_header = host.is_none_or(|host| host.to_str().is_ok_and(is_loopback));
    let by_target = request.uri().authority().is_none_or(|it| is_loopback(it.as_str()));
    second.is_none() && by_header && by_target
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let has_user = host.contains('@');
    !has_user
        && (name.eq_ignore_ascii_case("localhost")
            || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn names_of_loopback_are_told_from_all_others() {
        for host in
            ["localhost", "LOCALHOST:9464", "127.0.0.1", "127.0.0.1:9464", "127.8.9.1:1", "[::1]:9464"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:9464",
            "evil@localhost",
            "localhost@evil",
            "10.0.0.1",
            "[::2]",
            "0.0.0.0",
            "localhost:9464/x",
            " localhost",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
