//! Settings that cost requests time, each planted alone in an nginx before a backend: `agent analyze` names it first, and
//! of the same nginx without it says nothing.

mod clients;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{
    agent,
    analysis::{Analysis, Analyzing},
    servers,
};

use crate::requests::backend::Backend;
use clients::Clients;

/// What can be wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    ConnectionsClosed,
    Uncompressed,
    CacheBypassed,
    Delayed,
}

/// Analyzes an nginx that passes on and keeps answers, under load by clients that keep their connections.
fn analyze(fault: Fault) -> Result<Analysis> {
    let backend = Backend::start()?;
    let without = |which, text: &'static str| if fault == which { "" } else { text };
    let keepalive = without(Fault::ConnectionsClosed, "keepalive 16;");
    let keeps =
        without(Fault::ConnectionsClosed, "proxy_http_version 1.1; proxy_set_header Connection \"\";");
    let gzip = without(Fault::Uncompressed, "gzip on;");
    let cache = without(Fault::CacheBypassed, "proxy_cache z;");
    let no_delay = if fault == Fault::Delayed { "off" } else { "on" };
    let http = format!(
        "proxy_cache_path cache keys_zone=z:1m; upstream b {{ server {}; {keepalive} }} {gzip} {keeps} tcp_nodelay {no_delay};",
        backend.address()
    );
    let server = format!(
        "location / {{ proxy_pass http://b; {cache} }} location /pieces {{ proxy_pass http://b; proxy_buffering off; }}"
    );
    let nginx = servers::nginx_with(&http, &server)?;
    clients::fill_cache(nginx.address())?;
    let analyzing = Analyzing::start(nginx.running().pid(), &["--duration", "1500ms"])?;
    agent::wait_until_sampling(analyzing.running())?;
    let clients = Clients::start(nginx.address());
    let analysis = analyzing.finish();
    let n_asked = clients.end()?;
    let analysis = analysis?;
    let n_seen = analysis.requests.as_ref().and_then(|it| it.get("count")).and_then(Value::as_u64);
    let n_seen = n_seen.with_context(|| format!("no requests\n{analysis}"))?;
    assert!(n_seen > 100 && n_seen <= n_asked, "{n_seen} of {n_asked}\n{analysis}");
    let n_segments = analysis.requests.as_ref().and_then(|it| it.pointer("/network/sent_segments"));
    assert!(n_segments.and_then(Value::as_u64) >= Some(n_seen), "{analysis}");
    Ok(analysis)
}

fn assert_first(fault: Fault, group: &str, directive: &str) -> Result<()> {
    let analysis = analyze(fault)?;
    let first = analysis.first_advice()?;
    assert_eq!(first.group, group, "{analysis}");
    assert!(first.directive.as_ref().is_some_and(|it| it.contains(directive)), "{analysis}");
    assert!(!first.evidence.is_empty(), "{analysis}");
    assert_eq!(analysis.advice.len(), 1, "{analysis}");
    assert!(analysis.bottlenecks.iter().any(|it| it.group == group), "{analysis}");
    Ok(())
}

#[test]
fn a_proxy_that_keeps_compresses_and_sends_at_once_gets_no_advice() -> Result<()> {
    let analysis = analyze(Fault::None)?;
    assert!(analysis.advice.is_empty(), "{analysis}");
    Ok(())
}

#[test]
fn connections_to_a_backend_that_are_closed_after_each_request_are_named_first() -> Result<()> {
    assert_first(Fault::ConnectionsClosed, "upstream", "keepalive 32;")
}

#[test]
fn text_that_is_sent_uncompressed_is_named_first() -> Result<()> {
    assert_first(Fault::Uncompressed, "compression", "gzip on;")
}

#[test]
fn a_cache_that_is_bypassed_is_named_first() -> Result<()> {
    assert_first(Fault::CacheBypassed, "caching", "proxy_cache z;")
}

#[test]
fn small_writes_that_wait_for_the_other_end_are_named_first() -> Result<()> {
    assert_first(Fault::Delayed, "small_writes", "tcp_nodelay on;")
}
