//! Requests within TLS, where OpenSSL has them in clear; and what is said of TLS that is not read.

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::servers::{self, Certificates};

use super::{
    Follower, asks, assert_exact, assert_logged, assert_upstream,
    backend::Backend,
    client::{Answer, ask_all_over},
    logged, number,
};

fn ask(server: &servers::Server, certificates: &Certificates, n_rounds: usize) -> Result<Vec<Answer>> {
    ask_all_over(server.address(), Some(&certificates.dir().join("ca.pem")), asks(4, n_rounds))
}

/// All connections speak TLS, and all were read.
fn assert_all_read(report: &Value, n_connections: u64) -> Result<()> {
    let seen = (number(report, "/connections/tls")?, number(report, "/connections/tls_read")?);
    assert_eq!(seen, (n_connections, n_connections), "{report:#}");
    let unread = report.pointer("/tls/unread").and_then(Value::as_array).context("nothing on TLS")?;
    assert!(unread.is_empty() && number(report, "/connections/other")? == 0, "{report:#}");
    Ok(())
}

#[test]
fn nginx_serves_through_openssl_what_its_log_says_it_does() -> Result<()> {
    let backend = Backend::start()?;
    let certificates = Certificates::new(servers::HOST)?;
    let nginx = servers::nginx_tls_proxy(("http", backend.address()), &certificates)?;
    let follower = Follower::start(nginx.running().pid(), &["--tls"])?;
    let answers = ask(&nginx, &certificates, 30)?;
    let log = logged(&nginx, answers.len())?;
    let report = follower.end()?;
    assert_exact(&report, &answers)?;
    assert_upstream(&report, &backend)?;
    assert_logged(&report, &log)?;
    assert_all_read(&report, 4)
}

#[test]
fn nginx_asks_through_openssl_what_the_other_end_says_it_was_asked() -> Result<()> {
    let backend = Backend::start()?;
    let certificates = Certificates::new(servers::HOST)?;
    let behind = servers::nginx_tls_proxy(("http", backend.address()), &certificates)?;
    let nginx = servers::nginx_tls_proxy(("https", behind.address()), &certificates)?;
    let follower = Follower::start(nginx.running().pid(), &["--tls"])?;
    let answers = ask(&nginx, &certificates, 10)?;
    let log = logged(&nginx, answers.len())?;
    let report = follower.end()?;
    assert_exact(&report, &answers)?;
    assert_logged(&report, &log)?;
    let n_asked = number(&report, "/upstream/requests")?;
    let asked = logged(&behind, usize::try_from(n_asked)?)?;
    let mut connections: Vec<&Value> = asked.iter().filter_map(|line| line.get("connection")).collect();
    connections.sort_by_key(|connection| connection.to_string());
    connections.dedup();
    let n_connections = connections.len() as u64;
    assert_eq!(number(&report, "/upstream/connections")?, n_connections, "{report:#}");
    assert_eq!(number(&report, "/upstream/unowned")?, 0, "{report:#}");
    assert_all_read(&report, 4 + n_connections)
}

#[test]
fn haproxy_serves_through_openssl_what_its_clients_ask() -> Result<()> {
    let backend = Backend::start()?;
    let certificates = Certificates::new(servers::HOST)?;
    let haproxy = servers::haproxy_tls_proxy(backend.address(), &certificates)?;
    let follower = Follower::start(haproxy.running().pid(), &["--tls"])?;
    let answers = ask(&haproxy, &certificates, 10)?;
    let report = follower.end()?;
    assert_exact(&report, &answers)?;
    assert_upstream(&report, &backend)?;
    assert_all_read(&report, 4)
}

#[test]
fn haproxy_is_read_by_probes_that_are_put_in_one_by_one() -> Result<()> {
    let backend = Backend::start()?;
    let certificates = Certificates::new(servers::HOST)?;
    let haproxy = servers::haproxy_tls_proxy(backend.address(), &certificates)?;
    // They are where children are not followed: those would keep the others.
    let follower = Follower::start(haproxy.running().pid(), &["--tls", "--no-children"])?;
    let answers = ask(&haproxy, &certificates, 10)?;
    let report = follower.end()?;
    assert_exact(&report, &answers)?;
    assert_all_read(&report, 4)
}

#[test]
fn node_serves_through_the_openssl_within_it_what_its_clients_ask() -> Result<()> {
    let certificates = Certificates::new(servers::HOST)?;
    let (node, address) = servers::node_tls_server(&certificates)?;
    let follower = Follower::start(node.pid(), &["--tls"])?;
    let answers = ask_all_over(address, Some(&certificates.dir().join("ca.pem")), asks(4, 10))?;
    let report = follower.end()?;
    assert_exact(&report, &answers)?;
    assert_all_read(&report, 4)
}

#[test]
fn tls_that_no_openssl_encrypts_is_counted_and_said_to_be_unread() -> Result<()> {
    let backend = Backend::start()?;
    let certificates = Certificates::new(servers::HOST)?;
    let caddy = servers::caddy_tls_proxy(backend.address(), &certificates)?;
    let follower = Follower::start(caddy.running().pid(), &["--tls"])?;
    ask(&caddy, &certificates, 1)?;
    let report = follower.end()?;
    let seen = ["/connections/tls", "/connections/tls_read", "/tls/unread/0/connections"];
    let seen: Vec<u64> = seen.iter().map(|path| number(&report, path)).collect::<Result<_>>()?;
    assert_eq!(seen, [4, 0, 4], "{report:#}");
    let reason = report.pointer("/tls/unread/0/reason").and_then(Value::as_str).unwrap_or_default();
    assert!(reason.contains("SSL_read"), "{report:#}");
    Ok(())
}
