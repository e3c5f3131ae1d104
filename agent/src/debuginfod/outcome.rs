//! What became of what was asked for, in numbers and in words.

use std::{collections::BTreeMap, fmt};

/// Why a file did not come, though it may be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No connection.
    Unreachable,
    /// The server took too long.
    TimedOut,
    /// Neither "here it is" nor "not there".
    Status(u16),
    /// The answer broke off or is not HTTP.
    Broken,
    /// More than one file, or one run, may take.
    TooLarge,
    /// The file is of another build, or no ELF file.
    WrongBuild,
    /// The cache cannot be written.
    Cache,
    /// The run has waited or taken enough.
    Budget,
    /// The user did not want to wait.
    GivenUp,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("no connection to the server"),
            Self::TimedOut => f.write_str("the server took too long"),
            Self::Status(status) => write!(f, "the server answered with status {status}"),
            Self::Broken => f.write_str("the answer broke off"),
            Self::TooLarge => f.write_str("the file is larger than the limit"),
            Self::WrongBuild => f.write_str("the file has another build ID"),
            Self::Cache => f.write_str("the cache directory cannot be written"),
            Self::GivenUp => f.write_str("not waited for, on request"),
            Self::Budget => f.write_str("not asked for: this run has waited or taken enough"),
        }
    }
}

/// Files by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// All.
    pub n_asked: u64,
    /// They came from a server.
    pub n_fetched: u64,
    /// They were in the cache.
    pub n_cached: u64,
    /// No server has them.
    pub n_absent: u64,
    /// Nobody knows.
    pub failures: BTreeMap<Failure, u64>,
}

impl Outcomes {
    pub(super) fn add_failure(&mut self, failure: Failure) {
        let n = self.failures.entry(failure).or_default();
        *n = n.saturating_add(1);
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n_asked, n_fetched, n_cached, n_absent, failures } = self;
        write!(
            f,
            "debuginfod: of {n_asked} files without names {n_fetched} fetched, {n_cached} in the cache, {n_absent} \
             on no server"
        )?;
        let n_failed = failures.values().fold(0_u64, |sum, &n| sum.saturating_add(n));
        write!(f, ", {n_failed} failed")?;
        failures.iter().try_for_each(|(failure, n)| write!(f, "; {n}: {failure}"))
    }
}
