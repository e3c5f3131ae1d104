//! HTTP/2, in clear and within TLS: streams are counted and timed.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{
    paths,
    servers::{self, Certificates, Server},
};

use super::{Follower, number};

/// Requests that one client asks on one connection.
const N_REQUESTS: u8 = 30;

/// Of frames: kinds, and the flags of a head without a body.
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u8, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut all = vec![0, 0, u8::try_from(bytes.len())?, kind, flags, 0, 0, 0, stream];
    all.extend_from_slice(bytes);
    Ok(all)
}

/// Asks everything at once, in clear, and reads until everything is answered.
fn ask_in_clear(server: &Server) -> Result<()> {
    let mut stream = TcpStream::connect(server.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    all.extend(frame(SETTINGS, 0, 0, &[])?);
    for i in 0..N_REQUESTS {
        // GET and http of the table that both ends know; path and authority as they are.
        let head = b"\x82\x86\x04\x09/?secret=\x01\x04test";
        all.extend(frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, head)?);
    }
    stream.write_all(&all)?;
    let mut n_answered = 0;
    while n_answered < N_REQUESTS {
        let mut head = [0; 9];
        stream.read_exact(&mut head).context("closed")?;
        let [a, b, c, kind, flags, ..] = head;
        let mut body = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c]))?];
        stream.read_exact(&mut body)?;
        n_answered += u8::from(kind <= HEADERS && flags & END_STREAM != 0);
    }
    Ok(())
}

/// Asks within TLS, several at once.
fn ask_within_tls(server: &Server, certificates: &Certificates) -> Result<()> {
    let asked = Command::new(paths::find("curl", "curl")?)
        .args([
            "--silent",
            "--show-error",
            "--fail",
            "--parallel",
            "--http2",
            "--output",
            "/dev/null",
            "--cacert",
        ])
        .arg(certificates.dir().join("ca.pem"))
        .arg(format!("https://{}/items/[1-{N_REQUESTS}]?secret=1", server.address()))
        .output()
        .context("cannot start curl")?;
    ensure!(asked.status.success(), "curl: {}", String::from_utf8_lossy(&asked.stderr));
    Ok(())
}

fn assert_streams(report: &Value, n_read: u64) -> Result<()> {
    let n = u64::from(N_REQUESTS);
    let of = |name: &str| number(report, &format!("/http2/served/{name}"));
    let seen = (of("streams")?, of("total/count")?, of("reset")?, of("unfinished")?, of("full")?);
    assert_eq!(seen, (n, n, 0, 0, 0), "{report:#}");
    // Heads, and bodies of answers, and settings before.
    assert!(of("frames_of_requests")? > n && of("frames_of_responses")? > 2 * n, "{report:#}");
    assert!(of("first_byte/min_ns")? > 0 && of("total/min_ns")? >= of("first_byte/min_ns")?, "{report:#}");
    let seen =
        ["http2", "tls_read", "accepted", "other"].map(|it| number(report, &format!("/connections/{it}")));
    let seen: Vec<u64> = seen.into_iter().collect::<Result<_>>()?;
    assert_eq!(seen, [1, n_read, 1, 0], "{report:#}");
    assert_eq!(number(report, "/losses/heads_unread")?, 0, "{report:#}");
    assert!(!report.to_string().contains("secret"), "{report:#}");
    Ok(())
}

#[test]
fn streams_of_http2_in_clear_are_counted_and_timed() -> Result<()> {
    let nginx = servers::nginx_http2(None)?;
    let follower = Follower::start(nginx.running().pid(), &[])?;
    ask_in_clear(&nginx)?;
    assert_streams(&follower.end()?, 0)
}

#[test]
fn streams_of_http2_within_tls_are_counted_and_timed() -> Result<()> {
    let certificates = Certificates::new(servers::HOST)?;
    let nginx = servers::nginx_http2(Some(&certificates))?;
    let follower = Follower::start(nginx.running().pid(), &["--tls"])?;
    ask_within_tls(&nginx, &certificates)?;
    assert_streams(&follower.end()?, 1)
}
