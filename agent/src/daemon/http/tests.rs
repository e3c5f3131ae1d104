//! The server over real connections, asked as it should be and otherwise.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Instant,
};

use super::*;
use crate::{
    clock,
    daemon::{example, figures::Figures},
};

/// Nothing here takes as long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

fn server(change: impl FnOnce(&mut Figures)) -> (Server, Arc<Board>) {
    let board = Arc::new(Board::default());
    let now_ns = clock::monotonic_ns();
    let mut figures = Figures { taken_ns: now_ns, pumped_ns: Some(now_ns), ..example::figures() };
    change(&mut figures);
    board.publish(figures);
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    (Server::start(address, Arc::clone(&board)).expect("starts"), board)
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream
}

/// The answer to these bytes, as text.
fn ask(server: &Server, request: &[u8]) -> String {
    let mut stream = connect(server);
    // It may answer, and close, before it has been told all.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(server: &Server, path: &str) -> String {
    ask(server, format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", server.address()).as_bytes())
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("no answer")
}

fn json(answer: &str) -> serde_json::Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

#[test]
fn figures_health_and_status_are_told() {
    let (server, _) = server(|_| {});
    let index = get(&server, "/");
    assert!(status(&index) == "200" && index.contains("/metrics"), "{index}");
    let metrics = get(&server, "/metrics?x=1");
    assert_eq!(status(&metrics), "200", "{metrics}");
    for part in [
        "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n",
        "\nbrazier_samples_total{event=\"cpu\"} 9000\n",
        "\nbrazier_sink_batches_total{sink=\"collector\",outcome=\"delivered\"} 89\n",
        "\nbrazier_kernel_time_per_sample_seconds 0.000009\n",
        "\nbrazier_targets_processes{service=\"edge\",rule=\"edge-nginx\"} 5\n",
    ] {
        assert!(metrics.contains(part), "{part} is not in {metrics}");
    }
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    let health = get(&server, "/health");
    assert_eq!((status(&health), &json(&health)["status"]), ("200", &"healthy".into()), "{health}");
    let seen = json(&get(&server, "/status"));
    assert_eq!(seen["sessions"][0]["attached_to"][0], "cpu-clock on 4 CPUs", "{seen:#}");
    assert_eq!(seen["targets"][0]["labels"]["team"], "edge", "{seen:#}");
    assert_eq!(seen["n_processes"], 5, "{seen:#}");
}

#[test]
fn degraded_is_fine_and_unhealthy_is_not() {
    let (degraded, _) = server(|it| it.config.last_refusal = Some("line 3".into()));
    let seen = get(&degraded, "/health");
    assert_eq!((status(&seen), &json(&seen)["status"]), ("200", &"degraded".into()), "{seen}");
    let (unhealthy, board) = server(|it| it.spool.write_error = Some("no space left".into()));
    let seen = get(&unhealthy, "/health");
    assert_eq!((status(&seen), &json(&seen)["status"]), ("503", &"unhealthy".into()), "{seen}");
    assert_eq!(json(&seen)["reasons"][0]["code"], "spool_unwritable", "{seen}");
    // A daemon that has stopped looking says so, too, though nobody pins up anything new.
    board.publish(Figures { taken_ns: 1, ..example::figures() });
    let seen = get(&unhealthy, "/health");
    assert_eq!(json(&seen)["reasons"][0]["code"], "figures_stale", "{seen}");
}

#[test]
fn before_the_first_figures_it_is_not_healthy_yet() {
    let server = Server::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::default()).expect("starts");
    let seen = get(&server, "/health");
    assert!(status(&seen) == "503" && seen.contains("just started"), "{seen}");
}

#[test]
fn a_head_request_gets_no_body() {
    let (server, _) = server(|_| {});
    let seen = ask(&server, b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(status(&seen) == "200" && seen.ends_with("\r\n\r\n"), "{seen}");
}

#[test]
fn whatever_else_is_asked_for_is_refused() {
    let (server, _) = server(|_| {});
    let long = "x".repeat(100_000);
    let many: String = (0..200).map(|i| format!("x-{i}: 1\r\n")).collect();
    let cases: Vec<(&str, String)> = vec![
        ("404", "GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("404", "GET /metrics/ HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("404", "GET /../metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("405", "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".into()),
        ("405", "DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("413", "POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello".into()),
        ("413", "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        ("403", "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n".into()),
        ("403", "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".into()),
        ("403", "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n".into()),
        ("400", "garbage\r\n\r\n".into()),
        ("400", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}".into()),
        ("414", format!("GET /{long} HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("431", format!("GET / HTTP/1.1\r\nHost: localhost\r\nx: {long}\r\n\r\n")),
        ("431", format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")),
    ];
    for (expected, request) in cases {
        let seen = ask(&server, request.as_bytes());
        let start: String = request.chars().take(100).collect();
        // What was too long may be cut off by the end of the connection before it is answered.
        let is_refused = status(&seen) == expected || (request.len() > 10_000 && status(&seen) == "431");
        assert!(is_refused || (request.len() > 10_000 && seen.is_empty()), "{start:?}: {seen}");
    }
    assert_eq!(status(&get(&server, "/health")), "200", "it still answers");
}

#[test]
fn one_connection_is_one_request() {
    let (server, _) = server(|_| {});
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let seen = ask(&server, request.repeat(3).as_bytes());
    assert_eq!(seen.matches("HTTP/1.1 200").count(), 1, "{seen}");
}

#[test]
fn those_who_connect_and_say_nothing_are_shown_out_and_others_get_their_turn() {
    let (server, _) = server(|_| {});
    let began = Instant::now();
    let mut silent: Vec<TcpStream> = (0..MAX_CONNECTIONS).map(|_| connect(&server)).collect();
    for (i, stream) in silent.iter_mut().enumerate() {
        // Some have begun, and will never be done.
        if i % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").expect("written");
        }
    }
    let seen = get(&server, "/health");
    assert_eq!(status(&seen), "200", "{seen}");
    let waited = began.elapsed();
    assert!(waited >= HEAD_TIMEOUT / 2, "all places were taken, and it was answered after {waited:?}");
    for mut stream in silent {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let rest = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty() || status(&rest) == "408", "{rest}");
    }
}

#[test]
fn it_ends_when_it_is_dropped_and_the_address_is_free_again() {
    let (server, board) = server(|_| {});
    let address = server.address();
    let mut open = connect(&server);
    let taken = Server::start(address, Arc::clone(&board));
    assert!(matches!(taken, Err(HttpError::Listen { .. })), "{taken:?}");
    drop(server);
    let mut rest = Vec::new();
    let _ = open.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{rest:?}");
    assert!(TcpStream::connect(address).is_err(), "somebody listens still");
}
