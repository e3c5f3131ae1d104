//! The configuration of the daemon: one TOML file, read as a whole, with everything that is wrong in it told at once.
//!
//! [`Config::parse`] is pure. What has to be looked up on the host (files of certificates, directories, users) is
//! looked up by [`check`].

mod check;
mod preset;
mod problem;
mod read;
mod rules;
mod section;
mod sink;
mod summary;
mod target;
mod values;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use profile::Labels;

use crate::send::spool::Limits;
pub use check::{Checked, check, sinks};
pub use preset::Preset;
pub use problem::{Place, Problem};
pub use sink::{SinkKind, SinkSettings};
pub use summary::summary;
pub use target::{Conditions, ExtraEvent, Target};
pub(crate) use values::compiled_glob;

/// Of the file: a thousand targets take a quarter of it.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Each process that starts is held against all of them.
pub const MAX_TARGETS: usize = 1024;
/// Each has a place in the spool and a connection.
pub const MAX_SINKS: usize = 16;
/// Of one table of labels.
pub const MAX_LABELS: usize = 64;
/// Of the name or value of a label.
pub const MAX_LABEL_BYTES: usize = 1024;

/// What the daemon is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where it was read.
    pub file: PathBuf,
    /// What everything is that nobody set.
    pub preset: Preset,
    /// Every process of the host is a target.
    pub all: bool,
    /// What one profile covers.
    pub window: Duration,
    /// Of all CPUs together, what kernel programs and agent may take.
    pub overhead_budget_percent: f64,
    /// What the agent may have in memory.
    pub rss_limit_bytes: u64,
    /// Nothing is attached while this file exists.
    pub kill_switch: Option<PathBuf>,
    /// Where figures and health are told.
    pub listen: Option<SocketAddr>,
    /// Where requests are taken.
    pub control_socket: Option<PathBuf>,
    /// Kernel memory for unwind tables.
    pub table_memory_bytes: u64,
    /// Where unwind tables are kept.
    pub table_cache: Option<PathBuf>,
    /// On every profile, unless a target has others of these names.
    pub labels: Labels,
    /// What is measured, and how.
    pub events: Events,
    /// Who is measured; the first that matches counts.
    pub targets: Vec<Target>,
    /// Where batches wait.
    pub spool: SpoolSettings,
    /// Receivers by name.
    pub sinks: BTreeMap<String, SinkSettings>,
    /// Where the values are that the file sets, for what is found out about them later; `spool.dir` among them.
    pub places: BTreeMap<&'static str, Place>,
    /// What better would not stay as it is.
    pub warnings: Vec<Problem>,
}

/// What is measured, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Events {
    /// CPU samples a second on each CPU.
    pub cpu_frequency_hz: u64,
    /// Bytes of growth between two samples, on average.
    pub faults_interval_bytes: u64,
    /// Time between two readings of memory.
    pub memory_interval: Duration,
    /// For targets that ask for it.
    pub alloc: AllocEvent,
}

/// How allocations are measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AllocEvent {
    /// Bytes between two samples, on average.
    pub interval_bytes: u64,
    /// What probes may cost, of one CPU.
    pub probe_budget_percent: f64,
}

/// Where batches wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The directory.
    pub dir: PathBuf,
    /// How much waits there.
    pub limits: Limits,
}

impl Config {
    /// Reads a configuration; `file` is what it is called in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it, from top to bottom.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Vec<Problem>> {
        read::parse(text, file)
    }

    /// Reads the configuration in a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, Vec<Problem>> {
        let problem = |wrong: String, remedy: &str| {
            vec![Problem { file: file.to_owned(), place: None, wrong, remedy: remedy.to_owned() }]
        };
        let bytes = read_bounded(file).map_err(|error| {
            problem(format!("cannot be read: {error}"), "name a file that the agent may read")
        })?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::parse(text, file),
            Err(error) => Err(problem(
                format!("is no UTF-8 text: byte {} is none of it", error.valid_up_to()),
                "save it as UTF-8",
            )),
        }
    }

    /// The events that some target asks for beside those that are always on.
    #[must_use]
    pub fn extra_events(&self) -> BTreeSet<ExtraEvent> {
        self.targets.iter().flat_map(|target| &target.events).copied().collect()
    }
}

/// One byte more than is allowed, so that a file that is too large is told as such.
fn read_bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(file)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
