//! A backend whose statuses, delays and cacheability are known, and which counts what it is asked.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};

/// How long an answer takes.
const DELAY: Duration = Duration::from_millis(4);
/// The same of `/slow`.
pub(super) const SLOW: Duration = Duration::from_millis(20);
/// Bytes of a page of `/large`.
pub(super) const LARGE_BYTES: usize = 300_000;

/// What it was asked.
#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    requests: AtomicU64,
}

/// One thread for each connection, until the guard goes.
pub(crate) struct Backend {
    address: SocketAddr,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Backend {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.4", 0)).context("no free port")?;
        let address = listener.local_addr()?;
        let (counts, stop) = <(Arc<Counts>, Arc<AtomicBool>)>::default();
        let streams = Arc::<Mutex<Vec<TcpStream>>>::default();
        let (its_counts, its_stop, its_streams) = (counts.clone(), stop.clone(), streams.clone());
        let accepting = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if its_stop.load(Ordering::Relaxed) {
                    break;
                }
                if let (Ok(mut streams), Ok(stream)) = (its_streams.lock(), stream.try_clone()) {
                    streams.push(stream);
                }
                let counts = its_counts.clone();
                // A connection that breaks is the proxy's affair: the counts tell.
                thread::spawn(move || drop(serve(stream, &counts)));
            }
        });
        Ok(Self { address, counts, stop, streams, accepting: Some(accepting) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections on which something was asked, and requests.
    pub(super) fn asked(&self) -> (u64, u64) {
        (self.counts.connections.load(Ordering::SeqCst), self.counts.requests.load(Ordering::SeqCst))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        for stream in self.streams.lock().iter_mut().flat_map(|streams| streams.drain(..)) {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn serve(stream: TcpStream, counts: &Counts) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut is_first = true;
    loop {
        let mut head = Vec::new();
        let mut n_body = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                n_body = length.trim().parse()?;
            }
            head.push(line);
        }
        let mut body = vec![0; n_body];
        std::io::Read::read_exact(&mut reader, &mut body)?;
        let first = head.first().context("no request")?;
        let path = first.split(' ').nth(1).context("no path")?.split('?').next().unwrap_or_default();
        counts.connections.fetch_add(u64::from(is_first), Ordering::SeqCst);
        counts.requests.fetch_add(1, Ordering::SeqCst);
        is_first = false;
        thread::sleep(if path.starts_with("/slow") { SLOW } else { DELAY });
        let mut answer = answer(path);
        if path.starts_with("/pieces/") {
            let (first, second) = answer.split_at(answer.len() / 2);
            writer.write_all(first)?;
            thread::sleep(DELAY);
            writer.write_all(second)?;
            continue;
        }
        if first.starts_with("HEAD ") {
            let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no head")?;
            answer.truncate(end + 4);
        }
        writer.write_all(&answer)?;
    }
}

/// What a path is answered with.
fn answer(path: &str) -> Vec<u8> {
    let with = |status: &str, headers: &str, body: &[u8]| {
        let mut all =
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
        all.extend_from_slice(body);
        all
    };
    if path.starts_with("/cached/") {
        with("200 OK", "Cache-Control: max-age=600\r\nContent-Type: text/html\r\n", &[b'x'; 2000])
    } else if path.starts_with("/pieces/") {
        with("200 OK", "Content-Type: image/png\r\n", &[b'p'; 600])
    } else if path.starts_with("/missing") {
        with("404 Not Found", "", b"no")
    } else if path.starts_with("/fails") {
        with("500 Internal Server Error", "", b"oh")
    } else if path.starts_with("/large") {
        with("200 OK", "Content-Type: image/png\r\n", &vec![b'y'; LARGE_BYTES])
    } else if path.starts_with("/chunks/") {
        let chunk = format!("3e8\r\n{}\r\n", "z".repeat(1000));
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(20))
            .into_bytes()
    } else {
        with("200 OK", "Content-Type: text/plain\r\n", b"hello")
    }
}
