//! A receiver, as it stands in the file.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use http::Uri;
use toml::de::DeValue;

use super::{
    problem::{Place, Wrong, quoted},
    section::Section,
    values::{Meant, bytes, choice, duration, path, plain, text},
};
use crate::send::sink::{Compression, Connection, ProxyChoice, PyroscopeApi, Retention, Tls};

/// Of a sink: it is part of the names of metrics.
const MAX_NAME_BYTES: usize = 64;
const MAX_HEADERS: usize = 32;
const MAX_HEADER_BYTES: usize = 4096;
const MAX_ADDRESS_BYTES: usize = 2048;
const MAX_TENANT_BYTES: usize = 256;

/// A receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkSettings {
    /// Where it begins in the file.
    pub place: Place,
    /// Where the values of its keys are.
    pub places: BTreeMap<&'static str, Place>,
    /// What it is, and how it is reached.
    pub kind: SinkKind,
}

/// What a receiver is, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// OTLP over gRPC.
    OtlpGrpc(Connection),
    /// OTLP over HTTP.
    OtlpHttp(Connection),
    /// Pyroscope.
    Pyroscope(Connection, PyroscopeApi),
    /// A directory of pprof files.
    Directory {
        /// Which.
        dir: PathBuf,
        /// How much is kept.
        retention: Retention,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    OtlpGrpc,
    OtlpHttp,
    Pyroscope,
    Directory,
}

impl SinkKind {
    /// As it is written.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::OtlpGrpc(_) => "otlp-grpc",
            Self::OtlpHttp(_) => "otlp-http",
            Self::Pyroscope(..) => "pyroscope",
            Self::Directory { .. } => "directory",
        }
    }
}

impl SinkSettings {
    pub(super) fn read(name: &str, mut section: Section<'_, '_>) -> Option<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_plain) {
            section.sheet.problem(
                Some(section.place),
                format!("{} is no name for a sink", quoted(name)),
                format!("write at most {MAX_NAME_BYTES} letters, digits, `-`, `_` and `.`"),
            );
        }
        let kinds = [
            ("otlp-grpc", Kind::OtlpGrpc),
            ("otlp-http", Kind::OtlpHttp),
            ("pyroscope", Kind::Pyroscope),
            ("directory", Kind::Directory),
        ];
        if !section.has("kind") {
            section.sheet.problem(
                Some(section.place),
                format!("the sink {} has no kind", quoted(name)),
                "write kind = \"otlp-grpc\", \"otlp-http\", \"pyroscope\" or \"directory\"",
            );
        }
        // Without it nobody knows which other keys belong here.
        let kind = section.take("kind", choice(&kinds))?;
        let settings = match kind {
            Kind::OtlpGrpc => connection(&mut section, true).map(SinkKind::OtlpGrpc),
            Kind::OtlpHttp => connection(&mut section, true).map(SinkKind::OtlpHttp),
            Kind::Pyroscope => {
                let apis = [("push", PyroscopeApi::Push), ("ingest", PyroscopeApi::Ingest)];
                let api = section.take("api", choice(&apis)).unwrap_or_default();
                connection(&mut section, false).map(|connection| SinkKind::Pyroscope(connection, api))
            }
            Kind::Directory => directory(&mut section),
        };
        let (place, places) = (section.place, section.places.clone());
        section.finish();
        settings.map(|kind| Self { place, places, kind })
    }
}

fn directory(section: &mut Section<'_, '_>) -> Option<SinkKind> {
    let Retention { max_bytes, max_age } = Retention::default();
    let retention = Retention {
        max_bytes: section.take("max_bytes", bytes(1 << 20..=1 << 50)).unwrap_or(max_bytes),
        max_age: section.take("max_age", duration(MINUTE..=YEAR)).unwrap_or(max_age),
    };
    require(section, "dir", "write dir = \"/var/lib/brazier/profiles\" or another");
    Some(SinkKind::Directory { dir: section.take("dir", path)?, retention })
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);

fn connection(section: &mut Section<'_, '_>, is_compressed: bool) -> Option<Connection> {
    require(section, "address", "write address = \"http://HOST:PORT\" or \"https://HOST:PORT\"");
    let address = section.take("address", address);
    let mut connection = Connection::to(address.clone().map(|(text, _)| text).unwrap_or_default());
    if is_compressed {
        let ways = [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];
        connection.compression = section.take("compression", choice(&ways)).unwrap_or_default();
    }
    connection.tls = Tls {
        ca_file: section.take("ca_file", path),
        certificate_file: section.take("cert_file", path),
        key_file: section.take("key_file", path),
    };
    connection.token_file = section.take("token_file", path);
    connection.tenant = section.take("tenant", |value| plain(value, MAX_TENANT_BYTES));
    connection.proxy = section.take("proxy", proxy).unwrap_or_default();
    let longest = Duration::from_secs(600);
    let timeout = section.take("timeout", duration(Duration::from_millis(100)..=longest));
    connection.timeout = timeout.unwrap_or(connection.timeout);
    connection.headers = headers(section.table("headers"));
    pairs(section);
    if let Some((_, uri)) = address {
        plaintext(section, &connection, &uri);
        return Some(connection);
    }
    None
}

fn require(section: &Section<'_, '_>, key: &str, remedy: &str) {
    if !section.has(key) {
        section.sheet.problem(Some(section.place), format!("this sink has no {key}"), remedy);
    }
}

/// A certificate without its key, or the other way round.
fn pairs(section: &Section<'_, '_>) {
    for (one, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        let is_there = |key| section.places.contains_key(key);
        if is_there(one) && !is_there(other) {
            section.problem(
                one,
                format!("there is {one} without {other}"),
                format!("name both, or leave out {one}"),
            );
        }
    }
}

/// What takes TLS and goes without it.
fn plaintext(section: &Section<'_, '_>, connection: &Connection, uri: &Uri) {
    if uri.scheme_str() != Some("http") {
        return;
    }
    for key in ["ca_file", "cert_file", "key_file"] {
        if section.places.contains_key(key) {
            let wrong = format!("{key} does nothing for an address that begins with http://");
            section.problem(key, wrong, format!("write https:// in address, or leave out {key}"));
        }
    }
    let is_secret = connection.token_file.is_some() || !connection.headers.is_empty();
    if is_secret && !is_loopback(uri.host().unwrap_or_default()) {
        let key = if connection.token_file.is_some() { "token_file" } else { "headers" };
        section.warning(
            key,
            format!(
                "what {key} holds is sent over http to another host, where anybody on the way can read it"
            ),
            "write https:// in address",
        );
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Never quoted in a message: it may hold a password.
fn address(value: &DeValue<'_>) -> Meant<(String, Uri)> {
    let remedy = "write http://HOST:PORT or https://HOST:PORT";
    let text = text(value)?;
    if text.len() > MAX_ADDRESS_BYTES {
        return Err(Wrong::new("is too long", remedy));
    }
    let uri: Uri = text.parse().map_err(|_| Wrong::new("is no address", remedy))?;
    match uri.scheme_str() {
        Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => {}
        Some("http" | "https") => return Err(Wrong::new("names no host", remedy)),
        _ => return Err(Wrong::new("begins with neither http:// nor https://", remedy)),
    }
    if uri.query().is_some() {
        return Err(Wrong::new("has a query", "leave out what follows the ?"));
    }
    Ok((text.to_owned(), uri))
}

fn proxy(value: &DeValue<'_>) -> Meant<ProxyChoice> {
    match text(value)? {
        "environment" => Ok(ProxyChoice::Environment),
        "none" => Ok(ProxyChoice::Direct),
        proxy if proxy.starts_with("http://") && proxy.parse::<Uri>().is_ok() => {
            Ok(ProxyChoice::Through(proxy.to_owned()))
        }
        _ => Err(Wrong::new(
            "is no proxy",
            "write \"environment\" for what HTTPS_PROXY and its like say, \"none\", or \"http://HOST:PORT\"",
        )),
    }
}

fn headers(mut section: Section<'_, '_>) -> Vec<(String, String)> {
    let entries = section.rest();
    if entries.len() > MAX_HEADERS {
        let wrong = format!("there are {} headers here", entries.len());
        section.sheet.problem(Some(section.place), wrong, format!("write at most {MAX_HEADERS}"));
    }
    let mut headers = Vec::new();
    for (name, place, _, value) in entries.into_iter().take(MAX_HEADERS) {
        let is_name = http::HeaderName::try_from(name.as_str()).is_ok();
        match plain(&value, MAX_HEADER_BYTES) {
            Ok(value) if is_name && http::HeaderValue::try_from(value.as_str()).is_ok() => {
                headers.push((name, value));
            }
            // The value may be a secret.
            _ => section.sheet.problem(
                Some(place),
                format!("header {} cannot be sent", quoted(&name)),
                "write a name of letters, digits and `-`, and a value in quotes that a header may have",
            ),
        }
    }
    headers
}
