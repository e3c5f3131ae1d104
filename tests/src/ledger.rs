//! What a receiver says that it was sent: the lines that `tests/receivers/otlp.py --ledger` writes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// One request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Line {
    /// When, in nanoseconds since the Unix epoch.
    pub unix_ns: u64,
    /// `grpc` or `http`.
    #[serde(default)]
    pub protocol: String,
    /// How it was answered: `ok`, or a fault.
    pub answer: String,
    /// Of the header.
    pub key: Option<String>,
    /// Of the message.
    pub digest: String,
    /// `profiles` or `metrics`.
    pub signal: String,
    /// Sums of values, by type and unit.
    #[serde(default)]
    pub totals: BTreeMap<String, u64>,
    /// Attributes of the resources.
    #[serde(default)]
    pub resources: Vec<BTreeMap<String, serde_json::Value>>,
    /// Values of metrics, by name, attributes and unit.
    #[serde(default)]
    pub values: BTreeMap<String, serde_json::Value>,
}

impl Line {
    /// The event that a profile is of, by its value types, and its samples.
    #[must_use]
    pub fn samples(&self) -> Option<(&'static str, u64)> {
        let has = |word: &str| self.totals.keys().any(|kind| kind.starts_with(word));
        let event = match () {
            () if has("cpu/") => "cpu",
            () if has("rss_") => "faults",
            () if has("alloc_") || has("pool_") => "alloc",
            () => return None,
        };
        Some((event, self.totals.get("samples/count").copied().unwrap_or(0)))
    }

    /// Whether the receiver has it.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.answer == "ok"
    }

    /// Whether it was told never to send it again.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.answer == "500"
    }
}

/// All requests of a receiver, in their order, also over several of its lives.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// One for each request.
    pub lines: Vec<Line>,
}

impl Ledger {
    /// Reads it. A line that is cut is that of a request which was never answered.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("no ledger at {}", path.display()))?;
        Ok(Self { lines: text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect() })
    }

    /// Keys of what it has.
    #[must_use]
    pub fn taken(&self) -> BTreeSet<&str> {
        self.keys(Line::is_taken)
    }

    /// Keys of what it has told never to send again.
    #[must_use]
    pub fn refused(&self) -> BTreeSet<&str> {
        self.keys(Line::is_refused)
    }

    fn keys(&self, which: impl Fn(&Line) -> bool) -> BTreeSet<&str> {
        self.lines.iter().filter(|line| which(line)).filter_map(|line| line.key.as_deref()).collect()
    }

    /// Samples by event, each key once.
    #[must_use]
    pub fn samples(&self) -> BTreeMap<&'static str, u64> {
        let mut keys = BTreeSet::new();
        let mut samples = BTreeMap::new();
        for line in self.lines.iter().filter(|line| line.is_taken()) {
            if keys.insert(line.key.as_deref())
                && let Some((event, n)) = line.samples()
            {
                *samples.entry(event).or_default() += n;
            }
        }
        samples
    }
}
