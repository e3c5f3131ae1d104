//! Settings that cost requests time, each planted alone in an nginx before a backend: `agent analyze` names it first, and
//! of the same nginx without it says nothing.

mod clients;

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{
    agent,
    analysis::{Analysis, Analyzing},
    servers::{self, Certificates, Server},
};

use crate::requests::{LAST_RETURNS, backend::Backend, client::trusting};
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

/// An nginx that passes on and keeps answers.
fn start(fault: Fault, backend: &Backend, tls: Option<&Certificates>) -> Result<Server> {
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
    match tls {
        Some(certificates) => servers::nginx_tls_with(certificates, &http, &server),
        None => servers::nginx_with(&http, &server),
    }
}

fn number(analysis: &Analysis, path: &str) -> Result<u64> {
    let found = analysis.requests.as_ref().and_then(|it| it.pointer(path)).and_then(Value::as_u64);
    found.with_context(|| format!("no {path} of requests\n{analysis}"))
}

/// Analyzes it under load by clients that keep their connections.
fn analyze(fault: Fault) -> Result<Analysis> {
    let backend = Backend::start()?;
    let nginx = start(fault, &backend, None)?;
    clients::fill_cache(nginx.address(), &None)?;
    let analyzing = Analyzing::start(nginx.running().pid(), &["--duration", "1500ms"])?;
    agent::wait_until_sampling(analyzing.running())?;
    let clients = Clients::start(nginx.address(), &None);
    let analysis = analyzing.finish();
    let n_asked = clients.end()?;
    let analysis = analysis?;
    let n_seen = number(&analysis, "/count")?;
    assert!(n_seen > 100 && n_seen <= n_asked, "{n_seen} of {n_asked}\n{analysis}");
    assert!(number(&analysis, "/network/sent_segments")? >= n_seen, "{analysis}");
    Ok(analysis)
}

/// The same within TLS, from before the first request until after the last: every one is counted.
fn analyze_tls(fault: Fault) -> Result<Analysis> {
    let backend = Backend::start()?;
    let certificates = Certificates::new(servers::HOST)?;
    let tls = Some(trusting(&certificates.dir().join("ca.pem"))?);
    let nginx = start(fault, &backend, Some(&certificates))?;
    clients::fill_cache(nginx.address(), &tls)?;
    let analyzing = Analyzing::start(nginx.running().pid(), &["--tls", "--duration", "60s"])?;
    agent::wait_until_sampling(analyzing.running())?;
    let clients = Clients::start(nginx.address(), &tls);
    std::thread::sleep(Duration::from_millis(1500));
    let n_asked = clients.end()?;
    std::thread::sleep(LAST_RETURNS);
    analyzing.running().signal(libc::SIGINT)?;
    let analysis = analyzing.finish()?;
    assert_eq!(number(&analysis, "/count")?, n_asked, "{analysis}");
    assert!(n_asked > 100, "{n_asked}\n{analysis}");
    assert_eq!(number(&analysis, "/connections/unseen")?, 0, "{analysis}");
    assert!(analysis.notes.iter().all(|note| !note.contains("not read")), "{analysis}");
    // What the probes take is not held against it.
    let is_named = |what: &str| analysis.bottlenecks.iter().any(|it| it.what == what);
    assert!(!is_named("probes") && !is_named("interrupts"), "{analysis}");
    Ok(analysis)
}

fn assert_first(analysis: &Analysis, group: &str, directive: &str) -> Result<()> {
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
    assert_first(&analyze(Fault::ConnectionsClosed)?, "upstream", "keepalive 32;")
}

#[test]
fn text_that_is_sent_uncompressed_is_named_first() -> Result<()> {
    assert_first(&analyze(Fault::Uncompressed)?, "compression", "gzip on;")
}

#[test]
fn a_cache_that_is_bypassed_is_named_first() -> Result<()> {
    assert_first(&analyze(Fault::CacheBypassed)?, "caching", "proxy_cache z;")
}

#[test]
fn small_writes_that_wait_for_the_other_end_are_named_first() -> Result<()> {
    assert_first(&analyze(Fault::Delayed)?, "small_writes", "tcp_nodelay on;")
}

#[test]
fn within_tls_every_request_is_counted_and_where_nothing_is_wrong_nothing_is_advised() -> Result<()> {
    let analysis = analyze_tls(Fault::None)?;
    assert!(analysis.advice.is_empty(), "{analysis}");
    let routes = analysis.requests.as_ref().and_then(|it| it.get("routes")).and_then(Value::as_array);
    let routes = routes.with_context(|| format!("no routes\n{analysis}"))?;
    let names: Vec<&str> = routes.iter().filter_map(|it| it.get("route").and_then(Value::as_str)).collect();
    assert!(["/items/{n}", "/cached/{n}", "/pieces/{n}"].iter().all(|it| names.contains(it)), "{analysis}");
    Ok(())
}

#[test]
fn text_that_is_sent_uncompressed_within_tls_is_named_first() -> Result<()> {
    assert_first(&analyze_tls(Fault::Uncompressed)?, "compression", "gzip on;")
}

#[test]
fn of_tls_that_no_openssl_encrypts_it_is_said_why_it_was_not_read() -> Result<()> {
    let backend = Backend::start()?;
    let certificates = Certificates::new(servers::HOST)?;
    let caddy = servers::caddy_tls_proxy(backend.address(), &certificates)?;
    let options = ["--event", "requests", "--tls", "--duration", "60s"];
    let analyzing = Analyzing::start(caddy.running().pid(), &options)?;
    agent::wait_until_sampling(analyzing.running())?;
    clients::fill_cache(caddy.address(), &Some(trusting(&certificates.dir().join("ca.pem"))?))?;
    analyzing.running().signal(libc::SIGINT)?;
    let analysis = analyzing.finish()?;
    assert_eq!(number(&analysis, "/connections/unseen")?, 1, "{analysis}");
    let says = |text: &str| analysis.notes.iter().any(|note| note.contains(text));
    assert!(says("1 connections of caddy") && says("SSL_read"), "{analysis}");
    assert!(analysis.advice.is_empty(), "{analysis}");
    Ok(())
}
