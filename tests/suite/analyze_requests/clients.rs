//! Clients that ask all the time, each on a connection that it keeps for a while.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, ensure};
use rustls::ClientConfig;

use crate::requests::client::{Stream, connect};

const N_CLIENTS: usize = 3;
/// Rounds on one connection: those from before the recording are soon replaced.
const N_ROUNDS: usize = 20;

/// Within TLS, if there is something to speak it by.
pub(super) type Tls = Option<Arc<ClientConfig>>;

/// They ask until they are told to end.
pub(super) struct Clients {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<u64>>>,
}

impl Clients {
    pub(super) fn start(address: SocketAddr, tls: &Tls) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let start = |client: usize| {
            let (is_over, tls) = (Arc::clone(&is_over), tls.clone());
            thread::spawn(move || {
                let mut n_asked = 0;
                while !is_over.load(Ordering::Relaxed) {
                    ask_on_one(address, &tls, client, N_ROUNDS, &mut n_asked)?;
                }
                Ok(n_asked)
            })
        };
        let threads = (0..N_CLIENTS).map(start).collect();
        Self { is_over, threads }
    }

    /// How many requests they have sent.
    pub(super) fn end(mut self) -> Result<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        let mut n_asked = 0;
        for thread in self.threads.drain(..) {
            n_asked += thread.join().ok().context("a client panicked")??;
        }
        Ok(n_asked)
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

/// Asks for everything that can be kept, so that no file of a cache is written later.
pub(super) fn fill_cache(address: SocketAddr, tls: &Tls) -> Result<()> {
    ask_on_one(address, tls, N_CLIENTS, 2, &mut 0)
}

/// Pages of which some are always new, and some always the same.
fn ask_on_one(
    address: SocketAddr,
    tls: &Tls,
    client: usize,
    n_rounds: usize,
    n_asked: &mut u64,
) -> Result<()> {
    let mut reader = BufReader::new(connect(address, tls.clone())?);
    for _ in 0..n_rounds {
        let id = format!("{client}{n_asked}");
        let same = |number: u64| format!("/cached/{}", (*n_asked + number) % 5);
        let paths = [format!("/items/{id}"), same(0), same(1), same(2), same(3), format!("/pieces/{id}")];
        for path in paths {
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
            reader.get_mut().write_all(request.as_bytes())?;
            *n_asked += 1;
            read_answer(&mut reader).with_context(|| path)?;
        }
    }
    Ok(())
}

fn read_answer(reader: &mut BufReader<Box<dyn Stream>>) -> Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    ensure!(line.contains(" 200 "), "{line:?}");
    let (mut n_body, mut is_chunked) = (0, false);
    while !line.trim_end().is_empty() {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "closed");
        let header = line.to_ascii_lowercase();
        if let Some(length) = header.strip_prefix("content-length:") {
            n_body = length.trim().parse()?;
        }
        is_chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
    }
    while is_chunked {
        line.clear();
        reader.read_line(&mut line)?;
        let n = usize::from_str_radix(line.trim_end(), 16).with_context(|| format!("no chunk: {line:?}"))?;
        skip(reader, n + 2)?;
        is_chunked = n > 0;
    }
    skip(reader, n_body)
}

fn skip(reader: &mut BufReader<Box<dyn Stream>>, n: usize) -> Result<()> {
    reader.read_exact(&mut vec![0; n]).context("cut short")
}
