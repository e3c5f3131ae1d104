//! The command line of `agent doctor`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `agent doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Form of the findings
    #[arg(long, value_enum, default_value_t = DoctorForm::Text)]
    pub format: DoctorForm,
    /// Give up what the daemon gives up after its start, then look: what must still work, and what must not
    #[arg(long)]
    pub daemon: bool,
    /// Directory that the limited process may write; may be given more than once [default: those of the Debian package]
    #[arg(long, value_name = "DIR", requires = "daemon")]
    pub writable: Vec<PathBuf>,
    /// With --daemon: the directories that this configuration of a daemon names, as far as they are there
    #[arg(long, value_name = "FILE", requires = "daemon", conflicts_with = "writable")]
    pub config: Option<PathBuf>,
}

/// Form of the doctor's findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DoctorForm {
    /// For people
    Text,
    /// For programs
    Json,
}
