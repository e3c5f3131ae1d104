//! Where a browser says that a request comes from. Pure.

use std::net::IpAddr;

use http::{
    HeaderMap, Request,
    header::{HOST, HeaderValue},
    uri::Authority,
};

/// Whether a browser says that a page of another site asks.
pub(super) fn is_of_another_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").map(HeaderValue::as_bytes) == Some(b"cross-site")
}

/// Whether the address was asked for as an address or as `localhost`. Whoever owns a name can have it lead to this host once its page is
/// open, and the page then is of the same site.
pub(super) fn is_of_this_host<B>(request: &Request<B>) -> bool {
    let said = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default().parse::<Authority>());
    let authority = match said {
        Some(Ok(host)) => Some(host),
        Some(Err(_)) => return false,
        None => request.uri().authority().cloned(),
    };
    // Only a browser can be led astray, and it always says.
    authority.is_none_or(|it| is_local_name(it.host()))
}

fn is_local_name(host: &str) -> bool {
    let plain = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    plain == "localhost" || plain.ends_with(".localhost") || plain.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_somebody_owns_is_not_this_host() {
        let asked = |host: Option<&str>| {
            let mut request = Request::get("/api/v1/types");
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            is_of_this_host(&request.body(()).expect("is a request"))
        };
        for host in [
            None,
            Some("127.0.0.1:4040"),
            Some("localhost:4040"),
            Some("LOCALHOST"),
            Some("[::1]:4040"),
            Some("a.localhost"),
        ] {
            assert!(asked(host), "{host:?}");
        }
        for host in ["rebound.example:4040", "localhost.example", "127.0.0.1.example", "", "a b"] {
            assert!(!asked(Some(host)), "{host}");
        }
    }
}
