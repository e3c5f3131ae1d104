//! How a receiver is reached: address, headers, TLS, proxy. The same for gRPC and HTTP.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION};
use ureq::{
    Proxy, ProxyProtocol,
    tls::{Certificate, PemItem, PrivateKey},
};

use super::SinkError;
use crate::send::batch::Key;

/// A request may take so long when nothing says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection may.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Files of certificates have some KiB, bundles of authorities some hundred.
const MAX_FILE_BYTES: u64 = 4 << 20;
const MAX_TOKEN_BYTES: u64 = 64 << 10;
const TENANT: HeaderName = HeaderName::from_static("x-scope-orgid");
/// The key of the batch, for receivers and whatever stands before them.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(super) const USER_AGENT: &str = concat!("brazier/", env!("CARGO_PKG_VERSION"));

/// How what is sent is made smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// What every receiver of OTLP understands.
    #[default]
    Gzip,
    /// Smaller and faster; not every receiver has it.
    Zstd,
}

/// Certificates, as PEM files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Authorities that are believed, and no others; without it, those that browsers believe.
    pub ca_file: Option<PathBuf>,
    /// Who we are.
    pub certificate_file: Option<PathBuf>,
    /// The key of that certificate.
    pub key_file: Option<PathBuf>,
}

/// Which way connections go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// As `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    #[default]
    Environment,
    /// Straight.
    Direct,
    /// By this one: `http://USER:PASSWORD@HOST:PORT`.
    Through(String),
}

/// How a receiver is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// `http://HOST:PORT` or `https://HOST:PORT`; for HTTP with a path, if the receiver has one.
    pub endpoint: String,
    /// A request that takes longer is given up and tried again.
    pub timeout: Duration,
    /// How what is sent is made smaller.
    pub compression: Compression,
    /// Whose data it is, for receivers of several: header `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// Any other headers.
    pub headers: Vec<(String, String)>,
    /// A file with a bearer token, which is read anew for each request: it may change.
    pub token_file: Option<PathBuf>,
    /// Certificates.
    pub tls: Tls,
    /// Which way.
    pub proxy: ProxyChoice,
}

impl Connection {
    /// To an address, with everything else as it is when nothing says otherwise.
    #[must_use]
    pub fn to(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            timeout: DEFAULT_TIMEOUT,
            compression: Compression::default(),
            tenant: None,
            headers: Vec::new(),
            token_file: None,
            tls: Tls::default(),
            proxy: ProxyChoice::default(),
        }
    }

    pub(super) fn uri(&self) -> Result<Uri, SinkError> {
        let error =
            |reason: &str| SinkError::Endpoint { endpoint: self.endpoint.clone(), reason: reason.to_owned() };
        let uri: Uri = self.endpoint.parse().map_err(|_| error("it cannot be read"))?;
        match uri.scheme_str() {
            Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
            Some("http" | "https") => Err(error("it names no host")),
            _ => Err(error("it begins with neither http:// nor https://")),
        }
    }

    /// The proxy for an address, if there is one for it.
    pub(super) fn proxy_for(&self, uri: &Uri) -> Result<Option<Proxy>, SinkError> {
        let proxy = match &self.proxy {
            ProxyChoice::Direct => None,
            ProxyChoice::Environment => Proxy::try_from_env(),
            ProxyChoice::Through(proxy) => {
                Some(Proxy::new(proxy).map_err(|_| SinkError::Proxy { proxy: without_password(proxy) })?)
            }
        };
        match proxy.filter(|proxy| !proxy.is_no_proxy(uri)) {
            // Another kind would be spoken to in words that it does not understand.
            Some(proxy) if proxy.protocol() != ProxyProtocol::Http => {
                Err(SinkError::Proxy { proxy: without_password(&proxy.uri().to_string()) })
            }
            proxy => Ok(proxy),
        }
    }

    /// The headers that are the same for every request.
    pub(super) fn fixed_headers(&self) -> Result<HeaderMap, SinkError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let error = || SinkError::Header { name: name.clone() };
            let value = sensitive(value).ok_or_else(error)?;
            headers.append(HeaderName::try_from(name.as_str()).map_err(|_| error())?, value);
        }
        if let Some(tenant) = &self.tenant {
            let value = HeaderValue::try_from(tenant.as_str());
            headers.insert(TENANT, value.map_err(|_| SinkError::Header { name: TENANT.to_string() })?);
        }
        Ok(headers)
    }

    /// What the files of [`Tls`] hold.
    pub(super) fn pem(&self) -> Result<Pem, SinkError> {
        let read = |path: &Option<PathBuf>, is_key| match path {
            Some(path) => PemFile::read(path, is_key).map(Some),
            None => Ok(None),
        };
        let Tls { ca_file, certificate_file, key_file } = &self.tls;
        let identity = match (read(certificate_file, false)?, read(key_file, true)?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(SinkError::HalfIdentity),
        };
        Ok(Pem { authorities: read(ca_file, false)?, identity })
    }
}

/// What the files of [`Tls`] hold.
pub(super) struct Pem {
    pub(super) authorities: Option<PemFile>,
    /// Certificate and key.
    pub(super) identity: Option<(PemFile, PemFile)>,
}

/// A file that holds what it should: a certificate or more, or a key.
pub(super) struct PemFile {
    pub(super) bytes: Vec<u8>,
}

impl PemFile {
    fn read(path: &Path, is_key: bool) -> Result<Self, SinkError> {
        let error = |reason| SinkError::File { path: path.to_owned(), reason };
        let pem = Self { bytes: read_bounded(path, MAX_FILE_BYTES).map_err(error)? };
        let (is_there, what) = if is_key {
            (pem.key().is_some(), "key")
        } else {
            (!pem.certificates().is_empty(), "certificate")
        };
        if is_there { Ok(pem) } else { Err(error(format!("it holds no {what} in PEM form"))) }
    }

    pub(super) fn certificates(&self) -> Vec<Certificate<'static>> {
        let certificate = |item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        };
        ureq::tls::parse_pem(&self.bytes).filter_map(certificate).collect()
    }

    pub(super) fn key(&self) -> Option<PrivateKey<'static>> {
        PrivateKey::from_pem(&self.bytes).ok()
    }
}

/// The headers of each request to one receiver.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    fixed: HeaderMap,
    token_file: Option<PathBuf>,
}

impl Headers {
    pub(super) fn of(connection: &Connection) -> Result<Self, SinkError> {
        Ok(Self { fixed: connection.fixed_headers()?, token_file: connection.token_file.clone() })
    }

    /// For a batch; or why they cannot be made now.
    pub(super) fn for_batch(&self, key: Key) -> Result<HeaderMap, String> {
        let mut headers = self.fixed.clone();
        headers.insert(IDEMPOTENCY_KEY, sensitive(&key.to_string()).unwrap_or(HeaderValue::from_static("")));
        if let Some(path) = &self.token_file {
            let error = |reason: &str| format!("cannot use the token in {}: {reason}", path.display());
            let token = read_bounded(path, MAX_TOKEN_BYTES).map_err(|reason| error(&reason))?;
            let token = String::from_utf8(token).map_err(|_| error("it is no text"))?;
            let value = match token.trim() {
                "" => None,
                token => sensitive(&format!("Bearer {token}")),
            };
            headers.insert(AUTHORIZATION, value.ok_or_else(|| error("no header can hold it"))?);
        }
        Ok(headers)
    }
}

/// A value that no debug output shows.
fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn read_bounded(path: &Path, limit_bytes: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(limit_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit_bytes {
        return Err(format!("it has more than {limit_bytes} bytes"));
    }
    Ok(bytes)
}

/// An address as it may be shown.
fn without_password(address: &str) -> String {
    match (address.split_once("://"), address.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host_or_the_error_says_what_it_lacks() {
        for good in ["http://127.0.0.1:4317", "https://otlp.example/base/"] {
            assert!(Connection::to(good).uri().is_ok(), "{good}");
        }
        for (bad, why) in
            [("otlp:4317", "neither http"), ("grpc://a", "neither http"), ("", "read"), ("http://", "read")]
        {
            let error = Connection::to(bad).uri().expect_err(bad).to_string();
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn a_token_is_read_anew_for_each_request_and_never_shown() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("token");
        let connection = Connection {
            tenant: Some("edge".into()),
            headers: vec![("X-Secret".into(), "hidden".into())],
            token_file: Some(path.clone()),
            ..Connection::to("http://a")
        };
        let headers = Headers::of(&connection).expect("headers");
        let key = Key([0xab; 16]);
        assert!(headers.for_batch(key).expect_err("no file").contains("token"));
        for token in ["first", "second"] {
            std::fs::write(&path, format!("{token}\n")).expect("writes");
            let seen = headers.for_batch(key).expect("headers");
            assert_eq!(seen[AUTHORIZATION], format!("Bearer {token}"));
            assert_eq!(
                (&seen["x-scope-orgid"], &seen["x-secret"]),
                (&"edge".parse().unwrap(), &"hidden".parse().unwrap())
            );
            assert_eq!(seen["idempotency-key"], "ab".repeat(16));
            let shown = format!("{seen:?}");
            assert!(!shown.contains(token) && !shown.contains("hidden"), "{shown}");
        }
        std::fs::write(&path, "two\nlines").expect("writes");
        assert!(headers.for_batch(key).is_err());
    }

    #[test]
    fn a_certificate_needs_its_key_and_a_proxy_an_address() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let certificate = dir.path().join("certificate.pem");
        std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .expect("writes");
        let tls = Tls { certificate_file: Some(certificate), ..Tls::default() };
        let half = Connection { tls, ..Connection::to("https://a") };
        assert!(matches!(half.pem(), Err(SinkError::HalfIdentity)));
        let lost = Tls { ca_file: Some("/nowhere/ca.pem".into()), ..Tls::default() };
        let lost = Connection { tls: lost, ..Connection::to("https://a") };
        assert!(matches!(lost.pem(), Err(SinkError::File { .. })));
        for scheme in ["ftp", "socks5", "https"] {
            let proxy = ProxyChoice::Through(format!("{scheme}://user:secret@host:1"));
            let wrong = Connection { proxy, ..Connection::to("https://a") };
            let error = wrong.uri().and_then(|uri| wrong.proxy_for(&uri)).expect_err("no proxy").to_string();
            assert!(error.contains(&format!("{scheme}://…@host:1")) && !error.contains("secret"), "{error}");
        }
    }
}
