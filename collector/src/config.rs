//! What `collector serve` is to do: a file, and arguments over it.

use std::{
    collections::BTreeMap,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use thiserror::Error;

use crate::{
    limits::{Limits, MAX_MESSAGE_BYTES},
    receive::{TenantSettings, tenant_name},
    store::upkeep::Retention,
    wal::LogLimits,
    watch::{AlertSettings, WatchSection},
};

/// A token that is shorter can be guessed.
const MIN_TOKEN_BYTES: usize = 16;

/// All of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the log is, and the store unless it is elsewhere.
    pub data: PathBuf,
    /// A directory, or the URL of a bucket.
    pub store: Option<String>,
    /// Addresses.
    pub listen: Listen,
    /// TLS of the addresses that take profiles.
    pub tls: TlsSettings,
    /// The log.
    pub log: LogSettings,
    /// What becomes of files.
    pub upkeep: UpkeepSettings,
    /// What questions may take.
    pub query: QuerySettings,
    /// Of every tenant, unless it says otherwise.
    pub limits: Limits,
    /// By name.
    pub tenant: BTreeMap<String, TenantSection>,
    /// How rules are looked at, and who is told.
    pub alerts: AlertSettings,
    /// Rules.
    pub watch: Vec<WatchSection>,
}

/// Addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// OTLP over gRPC.
    pub grpc: SocketAddr,
    /// OTLP over HTTP, pprof, Pyroscope.
    pub http: SocketAddr,
    /// `/api`, `/health` and `/metrics`.
    pub web: SocketAddr,
    /// Whether everybody who reaches it may send and ask, also from other hosts.
    pub without_tokens: bool,
}

/// The log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// On disk, waiting for the store.
    pub max_bytes: u64,
    /// Of one segment.
    pub segment_bytes: u64,
    /// From the first batch of a segment to its files.
    pub flush_after_seconds: u64,
    /// Batches that are known when they come again.
    pub keys: usize,
}

/// TLS: files of PEM, read once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// Of this collector; those that vouch for it behind it.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Whoever sends needs a certificate of one of these authorities.
    pub client_ca_file: Option<PathBuf>,
}

/// What becomes of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpkeepSettings {
    /// How often files are merged and removed.
    pub every_seconds: u64,
    /// Files of hours and days that are over for so long are removed; 0 is never.
    pub max_age_seconds: u64,
    /// The oldest are removed above so many; 0 is never.
    pub max_bytes: u64,
}

/// What questions may take, and who answers them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuerySettings {
    /// So many at once; others wait for a moment.
    pub at_once: usize,
    /// In memory, for sums and sorting of all of them.
    pub memory_bytes: usize,
    /// Each, from its turn to its answer.
    pub timeout_seconds: u64,
    /// The scheduler of a cluster that carries them out.
    pub cluster: Option<String>,
    /// Parts of a question that the cluster may work on at once.
    pub cluster_partitions: usize,
}

/// As many as Ballista has for whoever says nothing.
pub const CLUSTER_PARTITIONS: usize = 16;

impl Default for QuerySettings {
    fn default() -> Self {
        let limits = query::Limits::default();
        Self {
            at_once: limits.n_questions,
            memory_bytes: limits.memory_bytes,
            timeout_seconds: limits.timeout.as_secs(),
            cluster: None,
            cluster_partitions: CLUSTER_PARTITIONS,
        }
    }
}

impl Default for UpkeepSettings {
    fn default() -> Self {
        Self { every_seconds: 60, max_age_seconds: 30 * 86_400, max_bytes: 0 }
    }
}

/// A tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantSection {
    /// A file with a token on each line.
    pub token_file: Option<PathBuf>,
    /// What it may send.
    pub limits: Option<Limits>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("brazier-data"),
            store: None,
            listen: Listen::default(),
            tls: TlsSettings::default(),
            log: LogSettings::default(),
            upkeep: UpkeepSettings::default(),
            query: QuerySettings::default(),
            limits: Limits::default(),
            tenant: BTreeMap::new(),
            alerts: AlertSettings::default(),
            watch: Vec::new(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { grpc: loopback(4317), http: loopback(4318), web: loopback(4040), without_tokens: false }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        let limits = LogLimits::default();
        Self {
            max_bytes: limits.max_bytes,
            segment_bytes: limits.segment_bytes,
            flush_after_seconds: limits.flush_after.as_secs(),
            keys: limits.keys,
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no TOML, or holds what is not known.
    #[error("{path} is no configuration of the collector")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where, and what.
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{key} {wrong}")]
    Value {
        /// Of what.
        key: String,
        /// What is wrong, and what would not be.
        wrong: String,
    },
}

impl Config {
    /// Of a file.
    ///
    /// # Errors
    /// If it cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        toml::from_str(&text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })
    }

    /// Where the log is.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.data.join("wal")
    }

    /// Where the store is.
    #[must_use]
    pub fn store_address(&self) -> String {
        self.store.clone().unwrap_or_else(|| self.data.join("store").display().to_string())
    }

    /// Limits of the log.
    #[must_use]
    pub fn log_limits(&self) -> LogLimits {
        LogLimits {
            max_bytes: self.log.max_bytes,
            segment_bytes: self.log.segment_bytes,
            flush_after: Duration::from_secs(self.log.flush_after_seconds),
            keys: self.log.keys,
            ..LogLimits::default()
        }
    }

    /// Limits of questions.
    #[must_use]
    pub fn query_limits(&self) -> query::Limits {
        let QuerySettings { at_once, memory_bytes, timeout_seconds, .. } = self.query;
        let timeout = Duration::from_secs(timeout_seconds);
        query::Limits { n_questions: at_once, memory_bytes, timeout, ..query::Limits::default() }
    }

    /// How much is kept, and how often that is looked at.
    #[must_use]
    pub fn upkeep(&self) -> (Retention, Duration) {
        let UpkeepSettings { every_seconds, max_age_seconds, max_bytes } = self.upkeep;
        let max_age_ns = (max_age_seconds > 0).then(|| max_age_seconds.saturating_mul(1_000_000_000));
        let retention = Retention { max_age_ns, max_bytes: (max_bytes > 0).then_some(max_bytes) };
        (retention, Duration::from_secs(every_seconds))
    }

    /// Tenants, their tokens read. Looks at everything that a value can say wrong.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn tenants(&self) -> Result<Vec<TenantSettings>, ConfigError> {
        check_limits("limits", &self.limits)?;
        let mut tenants = Vec::with_capacity(self.tenant.len());
        for (name, section) in &self.tenant {
            let value =
                |what: &str, wrong: String| ConfigError::Value { key: format!("tenant.{name}{what}"), wrong };
            tenant_name(name).map_err(|refusal| value("", format!("is no name: {}", refusal.what)))?;
            let limits = section.limits.unwrap_or(self.limits);
            check_limits(&format!("tenant.{name}.limits"), &limits)?;
            let tokens = match &section.token_file {
                None => Vec::new(),
                Some(path) => {
                    let read = fs::read_to_string(path);
                    let text = read.map_err(|source| ConfigError::Read { path: path.clone(), source })?;
                    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
                }
            };
            if section.token_file.is_some() && tokens.is_empty() {
                return Err(value(".token_file", "names a file without a token".to_owned()));
            }
            if tokens.iter().any(|token| token.len() < MIN_TOKEN_BYTES) {
                let wrong = format!(
                    "has a token of less than {MIN_TOKEN_BYTES} bytes; `openssl rand -hex 32` makes one"
                );
                return Err(value(".token_file", wrong));
            }
            tenants.push(TenantSettings { name: name.clone(), tokens, limits });
        }
        let needs_token = tenants.iter().any(|tenant| !tenant.tokens.is_empty());
        let is_reachable =
            [self.listen.grpc, self.listen.http].iter().any(|address| !address.ip().is_loopback());
        // Whoever reaches it asks for what others have sent; no certificate is asked for there.
        if !self.listen.web.ip().is_loopback() && !needs_token && !self.listen.without_tokens {
            return Err(ConfigError::Value {
                key: "listen.web".to_owned(),
                wrong: "is an address that other hosts reach, and nobody needs a token: set tenant.NAME.token_file, or \
                        listen.without_tokens = true if everybody who reaches it may see all profiles"
                    .to_owned(),
            });
        }
        let needs_certificate = self.tls.client_ca_file.is_some();
        if is_reachable && !needs_token && !needs_certificate && !self.listen.without_tokens {
            return Err(ConfigError::Value {
                key: "listen".to_owned(),
                wrong: "has an address that other hosts reach, and nobody needs a token or a certificate: set \
                        tenant.NAME.token_file or tls.client_ca_file, or listen.without_tokens = true if everybody who reaches it may send"
                    .to_owned(),
            });
        }
        Ok(tenants)
    }
}

fn check_limits(key: &str, limits: &Limits) -> Result<(), ConfigError> {
    let too_large = |what: &str, limit: u64| ConfigError::Value {
        key: format!("{key}.{what}"),
        wrong: format!("is more than {limit}, all that is worked on at once"),
    };
    if limits.message_bytes > MAX_MESSAGE_BYTES {
        return Err(too_large("message_bytes", MAX_MESSAGE_BYTES));
    }
    if limits.body_bytes > limits.message_bytes {
        return Err(too_large("body_bytes", limits.message_bytes));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn nothing_is_needed_and_what_is_not_known_is_refused() {
        assert_eq!(config(""), Config::default());
        assert_eq!(Config::default().tenants().expect("is right"), []);
        for text in
            ["dta = \"x\"", "[listen]\nport = 1", "[tenant.a]\ntoken = \"x\"", "[limits]\nbody_bytes = -1"]
        {
            assert!(toml::from_str::<Config>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn other_hosts_need_a_token_unless_it_is_said_that_they_do_not() {
        let open = "[listen]\nhttp = \"0.0.0.0:4318\"\n";
        let error = config(open).tenants().expect_err("is refused").to_string();
        assert!(error.contains("without_tokens"), "{error}");
        assert!(config(&format!("{open}without_tokens = true")).tenants().is_ok());
        let web = config("[listen]\nweb = \"0.0.0.0:4040\"").tenants().expect_err("is refused").to_string();
        assert!(web.starts_with("listen.web"), "{web}");
        let dir = tempfile::tempdir().expect("makes a directory");
        let file = dir.path().join("tokens");
        let with_tokens = format!("{open}[tenant.a]\ntoken_file = {file:?}\n");
        assert!(matches!(config(&with_tokens).tenants(), Err(ConfigError::Read { .. })));
        fs::write(&file, "\n0123456789abcdef\n\n fedcba9876543210 \n").expect("writes");
        let tenants = config(&with_tokens).tenants().expect("is right");
        assert_eq!(tenants[0].tokens, ["0123456789abcdef", "fedcba9876543210"]);
        for text in ["", "short"] {
            fs::write(&file, text).expect("writes");
            assert!(matches!(config(&with_tokens).tenants(), Err(ConfigError::Value { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_message_may_not_be_larger_than_anything_that_is_worked_on() {
        let error = config("[limits]\nmessage_bytes = 999999999999").tenants().expect_err("is refused");
        assert!(error.to_string().starts_with("limits.message_bytes"), "{error}");
        let error = config("[tenant.a.limits]\nbody_bytes = 99999999").tenants().expect_err("is refused");
        assert!(error.to_string().starts_with("tenant.a.limits.body_bytes"), "{error}");
    }
}
