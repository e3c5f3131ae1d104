//! `agent requests`: what proxies serve, against what clients, a backend and the proxies' own logs say.

pub(crate) mod backend;
pub(crate) mod client;
mod http2;
mod rings;
mod tls;

use std::{collections::BTreeMap, fs, net::SocketAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tests::{
    bpf::Objects,
    paths,
    process::Running,
    servers::{self, Server},
    wait,
};

use backend::Backend;
use client::{Answer, Ask, ask_all, counts, durations};

/// A client may have an answer before the call that wrote it has returned, which is when it is seen; more so within TLS.
pub(crate) const LAST_RETURNS: Duration = Duration::from_millis(300);

/// `agent requests --json` under way.
struct Follower(Running);

impl Follower {
    fn start(pid: u32, options: &[&str]) -> Result<Self> {
        let mut command = Command::new(paths::agent()?);
        command.args(["requests", "--json", "--duration", "120s", "--pid", &pid.to_string()]).args(options);
        let running = Running::start(&mut command)?;
        wait::until("the agent follows requests", wait::PATIENCE, || {
            ensure!(!running.has_ended(), "the agent ended: {}", running.stderr()?);
            Ok(Objects::has_link_to(running.pid(), "sys_exit").then_some(()))
        })?;
        // The switch is set after the last link is there.
        std::thread::sleep(Duration::from_millis(300));
        Ok(Self(running))
    }

    fn end(self) -> Result<Value> {
        std::thread::sleep(LAST_RETURNS);
        self.0.signal(libc::SIGINT)?;
        let finished = self.0.finish(wait::PATIENCE)?;
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        serde_json::from_str(&text).with_context(|| format!("no report: {text}{}", finished.stderr))
    }
}

fn number(report: &Value, path: &str) -> Result<u64> {
    report.pointer(path).and_then(Value::as_u64).with_context(|| format!("no {path} in {report:#}"))
}

/// Count by method, route and status.
fn rows(report: &Value) -> Result<BTreeMap<(String, String, u16), u64>> {
    let rows = report.get("rows").and_then(Value::as_array).context("no rows")?;
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let count = |row: &Value, name: &str| row.get(name).and_then(Value::as_u64).context("no number");
    rows.iter()
        .map(|row| {
            let key = (text(row, "method"), text(row, "route"), u16::try_from(count(row, "status")?)?);
            Ok((key, count(row, "count")?))
        })
        .collect()
}

/// What several clients ask: every kind of answer, pipelined now and then.
fn asks(n_clients: usize, n_rounds: usize) -> Vec<Vec<Ask>> {
    let ask = |method, path: String| Ask { method, path, is_pipelined: false };
    let of_client = |client: usize| {
        let mut all = Vec::new();
        for round in 0..n_rounds {
            let id = client * 10_000 + round;
            all.push(ask("GET", format!("/items/{id}")));
            all.push(ask("GET", format!("/cached/{}", round % 5)));
            all.push(Ask { is_pipelined: true, ..ask("GET", format!("/piped/{id}")) });
            all.push(Ask { is_pipelined: true, ..ask("GET", format!("/chunks/{id}")) });
            all.push(ask("HEAD", format!("/piped/{id}")));
            all.push(ask("POST", format!("/form/{id}")));
            all.push(ask("GET", format!("/chunks/{id}")));
            all.push(ask("GET", format!("/missing/{id}")));
            all.push(ask("GET", format!("/fails/{id}")));
            if round % 5 == 0 {
                all.push(ask("GET", "/large".to_owned()));
            }
        }
        all
    };
    (0..n_clients).map(of_client).collect()
}

/// The route of one of these paths.
fn route(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((start, end)) if end.bytes().all(|byte| byte.is_ascii_digit()) && !end.is_empty() => {
            format!("{start}/{{n}}")
        }
        _ => path.to_owned(),
    }
}

/// Counts are exact, and nothing was lost.
fn assert_exact(report: &Value, answers: &[Answer]) -> Result<()> {
    assert_eq!(rows(report)?, counts(answers, route), "{report:#}");
    let losses = report.get("losses").and_then(Value::as_object).context("no losses")?;
    assert!(losses.values().all(|n| n.as_u64() == Some(0)), "{report:#}");
    let text = report.to_string();
    assert!(!text.contains("secret"), "{report:#}");
    Ok(())
}

/// What it asked of others is what those were asked.
fn assert_upstream(report: &Value, backend: &Backend) -> Result<()> {
    let seen = (number(report, "/upstream/connections")?, number(report, "/upstream/requests")?);
    assert_eq!(seen, backend.asked(), "{report:#}");
    assert!(seen.1 > 0, "nothing was passed on\n{report:#}");
    assert_eq!(number(report, "/upstream/unowned")?, 0, "{report:#}");
    Ok(())
}

/// Percentiles that are not within 5 % or 0.2 ms of what the clients have measured.
fn far_percentiles(report: &Value, answers: &[Answer], kind: &str) -> Result<Vec<String>> {
    let of_clients = durations(answers);
    let mut far = Vec::new();
    for (name, share) in [("median", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
        let rank = (share * of_clients.len() as f64).ceil() as usize;
        let expected = of_clients.get(rank - 1).context("no answers")?.as_nanos() as f64;
        let found = number(report, &format!("{kind}/{name}_ns"))? as f64;
        if (found - expected).abs() > (expected * 0.05).max(200_000.0) {
            far.push(format!("{name}: {found} ns, and clients have {expected}"));
        }
    }
    Ok(far)
}

/// A field of each line of the log of an nginx that logs JSON.
fn logged(nginx: &Server, n_lines: usize) -> Result<Vec<Value>> {
    let path = nginx.dir().join("access.log");
    let mut lines = Vec::new();
    wait::until("nginx logs all requests", wait::PATIENCE, || {
        let text = fs::read_to_string(&path)?;
        lines = text.lines().map(serde_json::from_str).collect::<Result<_, _>>().unwrap_or_default();
        Ok((lines.len() >= n_lines).then_some(()))
    })?;
    ensure!(lines.len() == n_lines, "{} lines, and {n_lines} requests", lines.len());
    Ok(lines)
}

#[test]
fn nginx_with_a_cache_serves_what_its_log_says_it_does() -> Result<()> {
    let backend = Backend::start()?;
    let nginx = servers::nginx_proxy(backend.address())?;
    let follower = Follower::start(nginx.running().pid(), &[])?;
    let answers = ask_all(nginx.address(), asks(4, 30))?;
    let log = logged(&nginx, answers.len())?;
    let report = follower.end()?;
    assert_exact(&report, &answers)?;
    assert_upstream(&report, &backend)?;
    assert_logged(&report, &log)
}

/// What it says is what an nginx has logged: answers from the cache, connections, bytes.
fn assert_logged(report: &Value, log: &[Value]) -> Result<()> {
    let field =
        |line: &Value, name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let n_hits = log.iter().filter(|line| field(line, "cache") == "HIT").count() as u64;
    assert_eq!(number(report, "/all/without_upstream")?, n_hits, "{report:#}");
    assert!(n_hits > 0, "{log:?}");
    let mut connections: Vec<String> = log.iter().map(|line| field(line, "connection")).collect();
    connections.sort();
    connections.dedup();
    assert_eq!(number(report, "/connections/accepted")?, connections.len() as u64, "{report:#}");
    let bytes: u64 = log.iter().filter_map(|line| field(line, "sent").parse::<u64>().ok()).sum();
    assert_eq!(number(report, "/all/bytes_out")?, bytes, "{report:#}");
    let bytes: u64 = log.iter().filter_map(|line| field(line, "received").parse::<u64>().ok()).sum();
    assert_eq!(number(report, "/all/bytes_in")?, bytes, "{report:#}");
    Ok(())
}

#[test]
fn percentiles_are_those_that_clients_measure() -> Result<()> {
    /// What waits for a CPU in the client is none of the proxy's: a host that is busy for a moment gets another chance.
    const N_CHANCES: usize = 15;
    let backend = Backend::start()?;
    let nginx = servers::nginx_proxy(backend.address())?;
    let mut far = Vec::new();
    for _ in 0..N_CHANCES {
        let follower = Follower::start(nginx.running().pid(), &[])?;
        let asks = (0..2).map(|client| {
            let ask =
                |i: usize| Ask { method: "GET", path: format!("/slow/{client}{i}"), is_pipelined: false };
            (0..100).map(ask).collect()
        });
        let answers = ask_all(nginx.address(), asks.collect())?;
        let report = follower.end()?;
        assert_exact(&report, &answers)?;
        let upstream = number(&report, "/rows/0/upstream/min_ns")?;
        assert!(upstream >= u64::try_from(backend::SLOW.as_nanos())?, "{upstream}\n{report:#}");
        far = far_percentiles(&report, &answers, "/rows/0/total")?;
        if far.is_empty() {
            return Ok(());
        }
    }
    bail!("{far:?}")
}

/// A proxy that is not nginx: counts alone.
fn assert_counts(proxy: &Server, backend: &Backend) -> Result<()> {
    let follower = Follower::start(proxy.running().pid(), &[])?;
    let answers = ask_all(proxy.address(), asks(4, 20))?;
    let report = follower.end()?;
    assert_exact(&report, &answers)?;
    assert_upstream(&report, backend)
}

#[test]
fn haproxy_serves_what_its_clients_ask() -> Result<()> {
    let backend = Backend::start()?;
    assert_counts(&servers::haproxy_proxy(backend.address())?, &backend)
}

#[test]
fn caddy_serves_what_its_clients_ask() -> Result<()> {
    let backend = Backend::start()?;
    assert_counts(&servers::caddy_proxy(backend.address())?, &backend)
}

#[test]
fn connections_from_before_the_recording_are_followed_and_paths_can_stay_in_the_kernel() -> Result<()> {
    let backend = Backend::start()?;
    let nginx = servers::nginx_proxy(backend.address())?;
    let address: SocketAddr = nginx.address();
    let (started, may_ask) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    let report = std::thread::scope(|scope| {
        let asking = scope.spawn(|| -> Result<()> {
            let mut stream = std::net::TcpStream::connect(address)?;
            ask_by_hand(&mut stream)?;
            started.wait();
            may_ask.wait();
            (0..5).try_for_each(|_| ask_by_hand(&mut stream))
        });
        started.wait();
        let follower = Follower::start(nginx.running().pid(), &["--no-paths"]);
        may_ask.wait();
        asking.join().ok().context("the client panicked")??;
        follower?.end()
    })?;
    assert_eq!(number(&report, "/requests")?, 5, "{report:#}");
    assert_eq!(
        (number(&report, "/connections/found")?, number(&report, "/connections/accepted")?),
        (1, 0),
        "{report:#}"
    );
    assert!(!report.to_string().contains("items"), "{report:#}");
    let rows = rows(&report)?;
    assert!(rows.len() == 1 && rows.keys().all(|(_, route, _)| route.starts_with('#')), "{report:#}");
    Ok(())
}

/// One request, and its answer.
fn ask_by_hand(stream: &mut std::net::TcpStream) -> Result<()> {
    use std::io::{Read as _, Write as _};
    stream.write_all(b"GET /items/7 HTTP/1.1\r\nHost: test\r\n\r\n")?;
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\nhello") {
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece)?;
        ensure!(n > 0, "closed");
        bytes.extend_from_slice(&piece[..n]);
    }
    Ok(())
}
