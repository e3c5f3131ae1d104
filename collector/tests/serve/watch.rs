//! Rules of a real collector over what was sent to it: alerts, and a receiver on loopback that is told.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use profile::{
    Labels,
    encode::otlp_metrics::{self, Metric, MetricKind, Number, Point},
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{
    api::ask_as,
    batches::{PROTOBUF, now_ns, otlp},
    collector::{Collector, Home},
};

const SECOND_NS: u64 = 1_000_000_000;
const MIB: i64 = 1 << 20;
const SEGMENTS: &str = "brazier_store_segments_total";
const TIMEOUT: Duration = Duration::from_secs(60);
const TOKEN: &str = "0123456789abcdef";

/// A receiver that answers 503 to the first message, and takes all others.
struct Receiver {
    address: SocketAddr,
    told: Arc<Mutex<Vec<(String, Value)>>>,
    has_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.2:0").expect("listens");
        let address = listener.local_addr().expect("has an address");
        let told = Arc::new(Mutex::new(Vec::new()));
        let has_ended = Arc::new(AtomicBool::new(false));
        let (to, end) = (Arc::clone(&told), Arc::clone(&has_ended));
        let thread = thread::spawn(move || {
            let mut n_asked = 0;
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                n_asked += 1;
                if let Some(message) = answered(stream, n_asked == 1) {
                    to.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                }
            }
        });
        Self { address, told, has_ended, thread: Some(thread) }
    }

    fn told(&self) -> Vec<(String, Value)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first message of a rule with a status.
    fn wait_for(&self, rule: &str, status: &str) -> Value {
        let is_it =
            |message: &Value| message["groupLabels"]["alertname"] == rule && message["status"] == status;
        let start = Instant::now();
        loop {
            if let Some((_, message)) = self.told().into_iter().find(|(_, message)| is_it(message)) {
                return message;
            }
            assert!(start.elapsed() < TIMEOUT, "{rule} {status} is not told: {:#?}", self.told());
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Head and body of a request; the body of one that was refused is nothing.
fn answered(stream: TcpStream, is_busy: bool) -> Option<(String, Value)> {
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned));
    let mut body = vec![0; length?.trim().parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let status = if is_busy { "503 Busy\r\nRetry-After: 1" } else { "200 OK" };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    reader.into_inner().write_all(answer.as_bytes()).ok()?;
    let body = if is_busy { Value::Null } else { serde_json::from_slice(&body).ok()? };
    Some((head, body))
}

/// Sends a metric of a service on `edge-1`; points are seconds before now, and values.
fn send(collector: &Collector, name: &str, kind: MetricKind, label: (&str, &str), points: &[(u64, i64)]) {
    let now_ns = now_ns();
    let point = |(ago, value): &(u64, i64)| Point {
        attributes: Labels::default().with(label.0, label.1),
        unix_ns: now_ns - ago * SECOND_NS,
        value: Number::Integer(*value),
    };
    let metric = Metric {
        name: name.to_owned(),
        unit: "By".to_owned(),
        description: String::new(),
        kind,
        points: points.iter().map(point).collect(),
    };
    let labels = Labels::default().with("service.name", "edge");
    let body = otlp_metrics::message([(&labels, &[metric][..])], "edge-1").encode_to_vec();
    let answer = collector.post("/v1/metrics", &[PROTOBUF], &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

fn alerts(collector: &Collector, tenant: &str) -> Value {
    let (status, body) = ask_as(collector, tenant, "/api/v1/alerts", &[]);
    assert_eq!(status, 200, "{body}");
    body
}

/// Until a rule has an alert in a state.
fn wait_for(collector: &Collector, rule: &str, state: &str) -> Value {
    let start = Instant::now();
    loop {
        let body = alerts(collector, "default");
        let found = body["alerts"].as_array().into_iter().flatten();
        if let Some(alert) = found.clone().find(|it| it["rule"] == rule && it["state"] == state) {
            return alert.clone();
        }
        assert!(start.elapsed() < TIMEOUT, "{rule} is not {state}: {body:#}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_rules_find_fires_is_told_and_is_resolved() {
    let receiver = Receiver::start();
    let home = Home::new("");
    let token_file = home.path().join("token");
    fs::write(&token_file, format!("{TOKEN}\n")).expect("writes");
    home.configure(&format!(
        r#"
[alerts]
every_seconds = 1
page_url = "https://profiles.example/"
[alerts.webhook]
url = "http://{}/alerts"
token_file = {token_file:?}
[[watch]]
name = "process_memory_leak"
kind = "leak"
metric = "process.memory.usage"
for_seconds = 0
[[watch]]
name = "room"
kind = "growth"
metric = "room.used"
limit_metric = "room.limit"
over_percent = 90
for_seconds = 1
severity = "page"
[[watch]]
name = "lost_samples"
kind = "lost"
for_seconds = 0
[[watch]]
name = "reading"
kind = "share"
match = '{{service="edge"}}'
function_regex = "ngx_http_read.*"
over_percent = 70
for_seconds = 0
[[watch]]
name = "later"
kind = "share"
function = "main"
over_percent = 1
for_seconds = 3600
"#,
        receiver.address
    ));
    let collector = home.start();
    let since = MetricKind::Counter { since_unix_ns: now_ns() - 3_600 * SECOND_NS };
    let leaking: Vec<(u64, i64)> =
        (0..20).map(|n| (1_200 - u64::try_from(n * 60).expect("fits"), (100 + 5 * n) * MIB)).collect();
    send(&collector, "process.memory.usage", MetricKind::Gauge, ("state", "resident"), &leaking);
    send(&collector, "room.used", MetricKind::Gauge, ("pool", "a"), &[(60, 50 * MIB), (2, 95 * MIB)]);
    send(&collector, "room.limit", MetricKind::Gauge, ("source", "cgroup"), &[(60, 100 * MIB)]);
    send(&collector, "brazier.samples", since, ("event", "cpu"), &[(300, 1_000), (10, 1_800)]);
    send(&collector, "brazier.lost.samples", since, ("cause", "ring_full"), &[(300, 0), (10, 200)]);
    // Three of four samples are in what is watched.
    let answer = collector.post("/v1development/profiles", &[PROTOBUF], &otlp(3, "watched"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    collector.wait_for(SEGMENTS, 1);

    let leak = wait_for(&collector, "process_memory_leak", "firing");
    assert_eq!(leak["labels"], json!({"host": "edge-1", "service": "edge", "state": "resident"}), "{leak}");
    assert!(leak["sentence"].as_str().is_some_and(|it| it.contains("leaks: grew")), "{leak}");
    assert!(leak["value"].as_f64().is_some_and(|it| it > 3e8), "{leak}");
    assert!(leak["link"].as_str().is_some_and(|it| it.starts_with("?tab=memory&match=")), "{leak}");
    let lost = wait_for(&collector, "lost_samples", "firing");
    assert_eq!((&lost["value"], &lost["threshold"]), (&json!(20.0), &json!(5.0)), "{lost}");
    let reading = wait_for(&collector, "reading", "firing");
    assert_eq!(
        (&reading["value"], &reading["labels"]["service"]),
        (&json!(75.0), &json!("edge")),
        "{reading}"
    );
    let room = wait_for(&collector, "room", "firing");
    assert_eq!((&room["value"], &room["severity"]), (&json!(95.0), &json!("page")), "{room}");
    let later = wait_for(&collector, "later", "pending");
    assert_eq!(later["fired_ms"], Value::Null, "{later}");
    let of_another = alerts(&collector, "another");
    assert_eq!(of_another["alerts"], json!([]), "tenants share nothing: {of_another}");
    let of_all = alerts(&collector, "default");
    assert_eq!(
        of_all["rules"].as_array().map(Vec::len),
        Some(6),
        "the built-in one that is not taken, too: {of_all}"
    );
    assert!(of_all["rules"].as_array().into_iter().flatten().all(|it| it["state"] == "ok"), "{of_all}");

    // The receiver was busy first, and was told later.
    let message = receiver.wait_for("process_memory_leak", "firing");
    assert_eq!((&message["version"], &message["receiver"]), (&json!("4"), &json!("brazier")), "{message}");
    let told = &message["alerts"][0];
    assert_eq!(told["labels"]["service"], "edge", "{message}");
    let link = format!("https://profiles.example/{}", leak["link"].as_str().unwrap_or_default());
    assert!(
        link.len() > 60
            && told["generatorURL"]
                .as_str()
                .is_some_and(|it| it.starts_with("https://profiles.example/?tab=memory")),
        "{message}"
    );
    assert_eq!(told["fingerprint"], leak["fingerprint"]);
    let (head, _) = &receiver.told()[0];
    assert!(head.starts_with("POST /alerts HTTP/1.1"), "{head}");
    assert!(head.to_ascii_lowercase().contains(&format!("authorization: bearer {TOKEN}")), "{head}");
    receiver.wait_for("room", "firing");

    // What is over is told as well.
    send(&collector, "room.used", MetricKind::Gauge, ("pool", "a"), &[(0, 10 * MIB)]);
    let over = wait_for(&collector, "room", "resolved");
    assert!(over["resolved_ms"].as_u64() >= over["fired_ms"].as_u64(), "{over}");
    let message = receiver.wait_for("room", "resolved");
    assert_eq!(message["alerts"][0]["status"], "resolved", "{message}");

    assert_eq!(collector.counted("brazier_watch_rules"), 6);
    assert_eq!(collector.counted("brazier_watch_firing{rule=\"process_memory_leak\"}"), 1);
    assert_eq!(collector.counted("brazier_watch_webhook_sends_total{result=\"retried\"}"), 1);
    assert!(collector.counted("brazier_watch_webhook_sends_total{result=\"delivered\"}") >= 5);
    assert_eq!(collector.counted("brazier_watch_evaluations_total{result=\"failed\"}"), 0);
    let health = collector.get("/health").text();
    assert!(health.contains("\"healthy\""), "{health}");
    let told =
        receiver.told().into_iter().filter(|(_, message)| message["groupLabels"]["alertname"] == "later");
    assert_eq!(told.count(), 0, "what does not hold for long enough is not told");
}

#[test]
fn rules_that_cannot_be_looked_at_and_a_receiver_that_is_not_there_are_told_by_health() {
    // Nothing listens there: it was free a moment ago.
    let free = TcpListener::bind("127.0.0.3:0").and_then(|listener| listener.local_addr()).expect("is free");
    let home = Home::new(&format!(
        r#"
[alerts]
every_seconds = 1
[alerts.webhook]
url = "http://{free}/"
[[watch]]
name = "room"
kind = "growth"
metric = "room.used"
limit = 1
over_percent = 90
for_seconds = 0
"#
    ));
    let collector = home.start();
    send(&collector, "room.used", MetricKind::Gauge, ("pool", "a"), &[(2, 5)]);
    wait_for(&collector, "room", "firing");
    collector.wait_for("brazier_watch_webhook_sends_total{result=\"retried\"}", 3);
    let health: Value = serde_json::from_slice(&collector.get("/health").body).expect("is JSON");
    assert_eq!(
        (&health["status"], &health["reasons"][0]["code"]),
        (&json!("degraded"), &json!("webhook_failing"))
    );
    collector.end();

    home.configure("[alerts]\nevery_seconds = 1\n[query]\ntimeout_seconds = 0");
    let collector = home.start();
    collector.wait_for("brazier_watch_evaluations_total{result=\"failed\"}", 9);
    let health: Value = serde_json::from_slice(&collector.get("/health").body).expect("is JSON");
    assert_eq!(
        (&health["status"], &health["reasons"][0]["code"]),
        (&json!("degraded"), &json!("watch_failing")),
        "{health}"
    );
    let body = alerts(&collector, "default");
    assert_eq!(body["rules"][0]["state"], "failing", "{body}");
    assert!(body["warnings"][0].as_str().is_some_and(|it| it.contains("could not be looked at")), "{body}");
}

#[test]
fn a_rule_that_makes_no_sense_is_said_at_the_start() {
    let home = Home::new("[[watch]]\nname = \"a\"\nkind = \"leak\"");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_collector"))
        .args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--web", "127.0.0.1:0", "--data"])
        .arg(home.data())
        .arg("--config")
        .arg(home.path().join("collector.toml"))
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("watch \"a\".metric is missing"), "{said}");
}
