//! What the parsers of Prometheus' own Python client make of the daemon's figures.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use agent::{
    clock,
    daemon::{
        board::Board,
        figures::{BudgetFigures, Figures, TargetFigures, WindowFigures},
        http::Server,
    },
    kernel::Cost,
    run::Losses,
    send::{
        figures::{ShipperFigures, SinkFigures, SinkState},
        spool::SpoolFigures,
    },
};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::paths;

/// What a process may call itself, and a rule.
const HOSTILE: &str = "a\"b\\c\nd{e}=f,g # EOF";

fn figures() -> Figures {
    let second = Duration::from_secs(1);
    let mut figures = Figures {
        version: "0.1.0".into(),
        start_unix_ns: 1_700_000_000_500_000_000,
        taken_unix_ns: clock::unix_ns(),
        taken_ns: clock::monotonic_ns(),
        samples: [("cpu".to_owned(), 123_456_789_012)].into(),
        stacks: BTreeMap::from([("complete", 9), ("chain_broken", 1)]),
        windows: WindowFigures { made: 90, late: 1, early: 2, profiles: 180 },
        programs: [("brazier_cpu".to_owned(), Cost { run_time: second, n_runs: 1 << 40 })].into(),
        agent_cpu: Duration::from_millis(1_250),
        rss_bytes: u64::MAX,
        budget: BudgetFigures { limit_percent: 1.0, used_percent: 0.25, ..BudgetFigures::default() },
        shipper: Some(ShipperFigures {
            spool: SpoolFigures::default(),
            spool_bytes: 4096,
            oldest_age: Some(second),
            sinks: vec![SinkState {
                name: HOSTILE.into(),
                figures: SinkFigures { delivered: 89, ..SinkFigures::default() },
                n_waiting: 1,
            }],
        }),
        ..Figures::default()
    };
    figures.lost.add(&[], &Losses { unexplained: 7, ..Losses::default() });
    // More than are told each for itself.
    figures.targets = (0..1_000)
        .map(|i| TargetFigures {
            service: format!("{HOSTILE}{i}"),
            rule: HOSTILE.into(),
            n_processes: 1,
            ..TargetFigures::default()
        })
        .collect();
    figures
}

/// The text, and the content type that comes with it.
fn fetch(address: SocketAddr) -> Result<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| answer.clone())?;
    let content_type = head.lines().find_map(|line| line.strip_prefix("content-type: "));
    Ok((content_type.with_context(|| head.to_owned())?.to_owned(), body.to_owned()))
}

/// Metrics as the parser for this content type reads them.
fn parse(packages: &std::path::Path, content_type: &str, text: &str) -> Result<Value> {
    let mut child = Command::new(paths::find("python3", "python3")?)
        .env("PYTHONPATH", packages)
        .arg(paths::root()?.join("tests/receivers/prometheus.py"))
        .arg(content_type)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start python3")?;
    child.stdin.take().context("no stdin")?.write_all(text.as_bytes())?;
    let read = child.wait_with_output()?;
    ensure!(read.status.success(), "{}\n{text}", String::from_utf8_lossy(&read.stderr));
    Ok(serde_json::from_slice(&read.stdout)?)
}

#[test]
fn prometheus_reads_every_metric_with_its_unit_and_its_labels() -> Result<()> {
    let Some(packages) = paths::prometheus_packages() else {
        // Not by a macro: the test runner would swallow that.
        let _ =
            io::stderr().write_all(b"\nskipped: no parser of Prometheus (`cargo xtask test` fetches it)\n");
        return Ok(());
    };
    let board = Arc::new(Board::default());
    board.publish(figures());
    let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), board)?;
    let (content_type, text) = fetch(server.address())?;
    let metrics = parse(&packages, &content_type, &text)?;
    let value = |metric: &str, sample: &str, labels: Value| {
        let samples = metrics[metric]["samples"].as_array();
        let found =
            samples.and_then(|it| it.iter().find(|it| it["name"] == sample && it["labels"] == labels));
        found.map_or(Value::Null, |it| it["value"].clone())
    };
    let cases = [
        ("brazier_samples", "_total", json!({ "event": "cpu" }), 123_456_789_012.0),
        ("brazier_lost_samples", "_total", json!({ "cause": "unexplained" }), 7.0),
        ("brazier_stacks", "_total", json!({ "outcome": "chain_broken" }), 1.0),
        ("brazier_kernel_run_time_seconds", "_total", json!({ "program": "brazier_cpu" }), 1.0),
        ("brazier_agent_cpu_time_seconds", "_total", json!({}), 1.25),
        ("brazier_budget_limit_ratio", "", json!({}), 0.01),
        ("brazier_agent_start_time_seconds", "", json!({}), 1_700_000_000.5),
        ("brazier_sink_waiting", "", json!({ "sink": HOSTILE }), 1.0),
        ("brazier_targets_processes", "", json!({ "service": "(others)", "rule": "" }), 744.0),
        ("brazier_targets_processes", "", json!({ "service": format!("{HOSTILE}3"), "rule": HOSTILE }), 1.0),
        ("brazier_spool_size_bytes", "", json!({}), 4096.0),
        ("brazier_agent_build", "", json!({ "version": "0.1.0" }), 1.0),
    ];
    for (metric, suffix, labels, expected) in cases {
        let seen = value(metric, &format!("{metric}{suffix}"), labels.clone());
        ensure!(seen.as_f64() == Some(expected), "{metric} {labels}: {seen}\n{text}");
    }
    for (name, metric) in metrics.as_object().context("no object")? {
        let unit = metric["unit"].as_str().unwrap_or_default();
        ensure!(unit.is_empty() || name.ends_with(&format!("_{unit}")), "{name} has the unit {unit}");
        ensure!(metric["help"].as_str().is_some_and(|help| !help.is_empty()), "{name}: {metric}");
        ensure!(["counter", "gauge"].iter().any(|kind| metric["type"] == *kind), "{name}: {metric}");
    }

    // Older readers take the same text for their own form.
    let older = parse(&packages, "text/plain; version=0.0.4", &text)?;
    let n_samples = |metrics: &Value| {
        let all = metrics.as_object().map(|it| it.values().collect::<Vec<_>>()).unwrap_or_default();
        all.iter().filter_map(|metric| Some(metric["samples"].as_array()?.len())).sum::<usize>()
    };
    let (n, n_older) = (n_samples(&metrics), n_samples(&older));
    ensure!(n == n_older && n > 300, "{n} {n_older}");
    Ok(())
}
