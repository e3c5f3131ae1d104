//! `--by route`, `--event requests` and `requests --stacks`: what is done for which request.

use std::{
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{
    agent::{self, Recorder},
    folded::Stack,
    paths,
    process::Running,
    servers::{self, Certificates},
};

use crate::{
    event_loop::ask,
    requests::{
        LAST_RETURNS,
        client::{Ask, ask_all_over},
    },
    support::pid_args,
};

/// The agent is told to end before.
const AT_MOST: Duration = Duration::from_secs(60);
/// What each of two clients asks for that has to be compressed.
const N_PACKED: usize = 400;
/// What is asked for that takes long.
const N_SLOW: u64 = 25;
const SLOW_NS: u64 = 50_000_000;
/// Of what costs CPU time for one route, so much is to be found there.
const MOST: f64 = 0.9;

fn is_of(stack: &Stack, route: &str) -> bool {
    stack.frames.first().is_some_and(|frame| frame == route)
}

/// One page, compressed if the server likes, to the end.
fn ask_for_gzip(address: SocketAddr, path: &str) -> Result<usize> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {:?}", String::from_utf8_lossy(&answer));
    Ok(answer.len())
}

/// Text that takes some time to compress.
pub(crate) fn page() -> String {
    let mut text = String::new();
    for i in 0_u32..6000 {
        // Formatting into a string does not fail.
        let _ = writeln!(text, "line {i} {:x}", i.wrapping_mul(0x9e37_79b9));
    }
    text
}

#[test]
fn what_nginx_compresses_for_one_route_is_on_no_other_though_both_are_served_at_once() -> Result<()> {
    let location =
        "location /packed/ {\n    alias html/;\n    gzip on;\n    gzip_types *;\n    gzip_comp_level 6;\n  }";
    let nginx = servers::nginx_with("", location)?;
    fs::write(nginx.dir().join("html/page.txt"), page())?;
    let address = nginx.address();
    ensure!(
        ask_for_gzip(address, "/packed/page.txt")? < ask_for_gzip(address, "/page.txt")?,
        "not compressed"
    );
    let options = ["--by", "route", "--frequency", "499", "--duration", "60s"];
    let recorder = Recorder::start(pid_args(nginx.running().pid(), &options))?;
    recorder.wait_until_sampling()?;
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let plain = [(); 2].map(|()| {
            scope.spawn(|| -> Result<()> {
                while !is_over.load(Ordering::Relaxed) {
                    ask_for_gzip(address, "/page.txt")?;
                }
                Ok(())
            })
        });
        let packed = ["/packed/page.txt?a=1", "/packed/page.txt"].map(|path| {
            scope.spawn(move || (0..N_PACKED).try_for_each(|_| ask_for_gzip(address, path).map(drop)))
        });
        let packed = packed.map(|client| client.join().ok().context("a client panicked"));
        is_over.store(true, Ordering::Relaxed);
        for client in plain {
            client.join().ok().context("a client panicked")??;
        }
        packed.into_iter().try_for_each(|client| client?)
    })?;
    recorder.running().signal(libc::SIGINT)?;
    let recording = recorder.finish()?;
    let in_zlib = |stack: &Stack| stack.has("deflate");
    let n = recording.folded.count(in_zlib);
    assert!(n >= 30, "{n} samples in deflate\n{recording}");
    let of = |route: &'static str| recording.folded.share(in_zlib, |stack| is_of(stack, route));
    assert!(of("GET /packed/page.txt") >= MOST, "{}\n{recording}", of("GET /packed/page.txt"));
    assert!(of("GET /page.txt") <= 1.0 - MOST, "{}\n{recording}", of("GET /page.txt"));
    // Both are there, and what it does between them is not theirs.
    for route in ["GET /page.txt", "[no request]"] {
        assert!(recording.folded.count(|stack| is_of(stack, route)) > 0, "{route}\n{recording}");
    }
    assert!(recording.folded.stacks.iter().all(|stack| !stack.frames[0].contains("a=1")), "{recording}");
    Ok(())
}

/// Requests of each client within TLS, and bytes of the page that takes most.
const N_WITHIN_TLS: usize = 400;
const LARGE_BYTES: usize = 1 << 20;

#[test]
fn what_nginx_does_within_tls_is_on_the_route_that_it_is_done_for() -> Result<()> {
    let certificates = Certificates::new(servers::HOST)?;
    let nginx = servers::nginx_tls_with(&certificates, "", "")?;
    fs::write(nginx.dir().join("html/large.txt"), "large ".repeat(LARGE_BYTES / 6))?;
    let pid = nginx.running().pid();
    let options = ["--by", "route", "--tls", "--frequency", "499", "--duration", "60s"];
    let by_route = Recorder::start(pid_args(pid, &options))?;
    let times = Recorder::start(pid_args(pid, &["--event", "requests", "--tls", "--duration", "60s"]))?;
    by_route.wait_until_sampling()?;
    times.wait_until_sampling()?;
    let of_client =
        |path: &str| vec![Ask { method: "GET", path: path.to_owned(), is_pipelined: false }; N_WITHIN_TLS];
    let authority = certificates.dir().join("ca.pem");
    let clients = vec![of_client("/large.txt"), of_client("/index.html")];
    let answers = ask_all_over(nginx.address(), Some(&authority), clients)?;
    ensure!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    thread::sleep(LAST_RETURNS);
    for agent in [by_route.running(), times.running()] {
        agent.signal(libc::SIGINT)?;
    }
    let (recording, times) = (by_route.finish()?, times.finish()?);

    let n = recording.folded.count(|_| true);
    assert!(n >= 30, "{n} samples\n{recording}");
    let of = |route: &'static str| recording.folded.share(|_| true, |stack| is_of(stack, route));
    assert!(of("[no request]") <= 1.0 - MOST, "{}\n{recording}", of("[no request]"));
    assert!(of("GET /large.txt") >= 0.5, "{}\n{recording}", of("GET /large.txt"));
    let said = recording.report.comments.join("\n");
    assert!(said.contains(&format!("requests={}", answers.len())), "{said}");
    assert!(!said.contains("not read"), "{said}");
    // Stacks go on behind functions whose return is probed.
    let is_within = |stack: &Stack| stack.has("SSL_write") || stack.has("SSL_read");
    let n_within = recording.folded.count(is_within);
    assert!(n_within > 0, "no sample within TLS\n{recording}");
    let whole = recording.folded.share(is_within, |stack| stack.has("main"));
    assert!(whole > 0.97, "{whole:.4} of {n_within} stacks within TLS are whole\n{recording}");
    let ns = |route: &str| times.folded.count(|stack| is_of(stack, route));
    assert!(ns("GET /large.txt") > 0 && ns("GET /index.html") > 0, "{times}");
    let said = times.report.comments.join("\n");
    assert!(!said.contains("TLS"), "{said}");
    Ok(())
}

/// `agent requests --stacks` under way.
fn follow(pid: u32) -> Result<Running> {
    let mut command = Command::new(paths::agent()?);
    command.args(["requests", "--stacks", "--json", "--frequency", "199", "--duration", "60s", "--pid"]);
    let running = Running::start_notifying(command.arg(pid.to_string()))?;
    agent::wait_until_sampling(&running)?;
    Ok(running)
}

#[test]
fn the_handler_of_node_that_takes_long_is_on_its_route_and_with_the_slowest_requests() -> Result<()> {
    let (node, address, _dir) = servers::node_server()?;
    // Compiled and warm.
    ask(address, "/slow")?;
    let follower = follow(node.pid())?;
    let options = ["--by", "route", "--frequency", "499", "--duration", "60s"];
    let by_route = Recorder::start(pid_args(node.pid(), &options))?;
    let times = Recorder::start(pid_args(node.pid(), &["--event", "requests", "--duration", "60s"]))?;
    by_route.wait_until_sampling()?;
    times.wait_until_sampling()?;
    // The switch is set after the links are there.
    thread::sleep(Duration::from_millis(500));
    let is_over = AtomicBool::new(false);
    let took = thread::scope(|scope| -> Result<Duration> {
        let quick = scope.spawn(|| -> Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                ask(address, "/")?;
            }
            Ok(())
        });
        let took = (0..N_SLOW).map(|_| ask(address, "/slow")).sum::<Result<Duration>>();
        is_over.store(true, Ordering::Relaxed);
        quick.join().ok().context("the client panicked")??;
        took
    })?;
    for agent in [&follower, by_route.running(), times.running()] {
        agent.signal(libc::SIGINT)?;
    }
    let (recording, times) = (by_route.finish()?, times.finish()?);

    let in_handler = |stack: &Stack| stack.frames.iter().any(|it| it.contains("holdUp"));
    let n = recording.folded.count(in_handler);
    assert!(n >= 30, "{n} samples in the handler\n{recording}");
    let of = |route: &'static str| recording.folded.share(in_handler, |stack| is_of(stack, route));
    assert!(of("GET /slow") >= MOST, "{}\n{recording}", of("GET /slow"));
    assert!(of("GET /") <= 1.0 - MOST, "{}\n{recording}", of("GET /"));

    // Its times are those that the client has measured, but for what is before the read and after the write.
    let slow_ns = times.folded.count(|stack| stack.frames == ["GET /slow", "200 GET /slow"]);
    let most_ns = u64::try_from(took.as_nanos())?;
    assert!((SLOW_NS..=most_ns).contains(&slow_ns), "{slow_ns} ns of {most_ns}\n{times}");

    let finished = follower.finish(AT_MOST)?;
    let text = String::from_utf8_lossy(&finished.stdout).into_owned();
    let report: Value = serde_json::from_str(&text).with_context(|| format!("{text}{}", finished.stderr))?;
    let count = |path: &str| -> u64 {
        let rows = report.get("rows").and_then(Value::as_array).into_iter().flatten();
        let row = |row: &&Value| row.get("route").and_then(Value::as_str) == Some(path);
        rows.filter(row).filter_map(|row| row.get("count").and_then(Value::as_u64)).sum()
    };
    // Where the switch was late, the first were not seen.
    let n_slow = count("/slow");
    assert!((1..=N_SLOW).contains(&n_slow) && count("/") > 0, "{report:#}");
    let slowest = report.pointer("/slowest").and_then(Value::as_array).context("no slowest")?;
    assert!(!slowest.is_empty() && slowest.len() <= 10, "{report:#}");
    // A quick one may have waited for a slow one; whatever was seen of those that took long is their handler.
    let slow = slowest.iter().filter(|it| it.get("route").and_then(Value::as_str) == Some("/slow"));
    let with_handler =
        slow.filter(|it| it.pointer("/stacks").is_some_and(|stacks| stacks.to_string().contains("holdUp")));
    assert!(with_handler.count() >= 1, "{report:#}");
    Ok(())
}
