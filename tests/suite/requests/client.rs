//! Clients that know what they have asked, what came back, and how long it took.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// A request: method, path, and whether others follow it before its answer is read.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) is_pipelined: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(crate) status: u16,
    pub(super) took: Duration,
    pub(super) is_pipelined: bool,
}

/// What a client reads and writes.
pub(crate) trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

/// Has several clients ask, each on one connection, in order; gives all answers.
pub(super) fn ask_all(address: SocketAddr, clients: Vec<Vec<Ask>>) -> Result<Vec<Answer>> {
    ask_all_over(address, None, clients)
}

/// The same through TLS, if there is an authority that vouches for the server.
pub(crate) fn ask_all_over(
    address: SocketAddr,
    authority: Option<&Path>,
    clients: Vec<Vec<Ask>>,
) -> Result<Vec<Answer>> {
    let config = authority.map(trusting).transpose()?;
    let ask = |asks: Vec<Ask>| {
        let config = config.clone();
        thread::spawn(move || ask_on_one(address, config, &asks))
    };
    let clients: Vec<_> = clients.into_iter().map(ask).collect();
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.join().ok().context("a client panicked")??);
    }
    Ok(all)
}

/// For clients that speak TLS with servers that this authority vouches for; one session is resumed by the next connection.
pub(crate) fn trusting(authority: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// A connection, within TLS if it is to be.
pub(crate) fn connect(address: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Result<Box<dyn Stream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    Ok(match tls {
        Some(config) => {
            Box::new(StreamOwned::new(ClientConnection::new(config, address.ip().into())?, stream))
        }
        None => Box::new(stream),
    })
}

fn ask_on_one(address: SocketAddr, tls: Option<Arc<ClientConfig>>, asks: &[Ask]) -> Result<Vec<Answer>> {
    let stream = connect(address, tls)?;
    let mut reader = BufReader::new(stream);
    let mut answers = Vec::new();
    let mut waiting: Vec<&Ask> = Vec::new();
    let mut bytes = Vec::new();
    for ask in asks {
        bytes.extend_from_slice(&request(ask));
        waiting.push(ask);
        if ask.is_pipelined {
            continue;
        }
        let began = Instant::now();
        reader.get_mut().write_all(&bytes)?;
        reader.get_mut().flush()?;
        bytes.clear();
        for ask in waiting.drain(..) {
            let status = read_answer(&mut reader, ask.method == "HEAD")
                .with_context(|| format!("{} {}", ask.method, ask.path))?;
            answers.push(Answer {
                method: ask.method,
                path: ask.path.clone(),
                status,
                took: began.elapsed(),
                is_pipelined: ask.is_pipelined,
            });
        }
    }
    Ok(answers)
}

fn request(ask: &Ask) -> Vec<u8> {
    let Ask { method, path, .. } = ask;
    let body = if *method == "POST" { "some form=data&and=more" } else { "" };
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} {path}?secret=1 HTTP/1.1\r\nHost: test\r\nCookie: secret=2\r\n{length}\r\n{body}")
        .into_bytes()
}

fn read_answer(reader: &mut impl BufRead, is_head: bool) -> Result<u16> {
    let mut line = String::new();
    ensure!(reader.read_line(&mut line)? > 0, "closed");
    let status: u16 = line.split(' ').nth(1).context("no status")?.parse()?;
    let mut n_body = None;
    let mut is_chunked = false;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(length) = header.strip_prefix("content-length:") {
            n_body = Some(length.trim().parse::<usize>()?);
        }
        is_chunked |= header.starts_with("transfer-encoding:") && header.contains("chunked");
    }
    if is_head || status == 204 || status == 304 {
        return Ok(status);
    }
    if is_chunked {
        skip_chunks(reader)?;
        return Ok(status);
    }
    let Some(n_body) = n_body else { bail!("an answer without a length") };
    skip(reader, n_body)?;
    Ok(status)
}

fn skip_chunks(reader: &mut impl BufRead) -> Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let n = usize::from_str_radix(line.trim_end(), 16).with_context(|| format!("no chunk: {line:?}"))?;
        skip(reader, n + 2)?;
        if n == 0 {
            return Ok(());
        }
    }
}

fn skip(reader: &mut impl BufRead, n: usize) -> Result<()> {
    let mut bytes = vec![0; n];
    reader.read_exact(&mut bytes).context("cut short")
}

/// How many answers of each route and status there were.
pub(super) fn counts(
    answers: &[Answer],
    route: impl Fn(&str) -> String,
) -> BTreeMap<(String, String, u16), u64> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry((answer.method.to_owned(), route(&answer.path), answer.status)).or_default() += 1;
    }
    counts
}

/// The durations of answers, sorted.
pub(super) fn durations(answers: &[Answer]) -> Vec<Duration> {
    let mut all: Vec<Duration> =
        answers.iter().filter(|answer| !answer.is_pipelined).map(|answer| answer.took).collect();
    all.sort_unstable();
    all
}
