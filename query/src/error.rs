//! Why there is no answer: a reason for programs, a sentence, and what to do.

use datafusion::error::DataFusionError;
use thiserror::Error;

use crate::remote::OF_ANOTHER_STORE;

/// Stands in what a cluster says of a plan that it was carrying out.
const OF_JOB: &str = " failed: ";

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Error {
    /// A selector that is none.
    #[error("the selector is wrong at byte {at}: {what}")]
    Selector {
        /// Where.
        at: usize,
        /// What is wrong there.
        what: String,
    },
    /// Another part of a question that makes no sense.
    #[error("{name} {what}")]
    Parameter {
        /// Which part.
        name: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A statement that is not taken, or that fails.
    #[error("the statement is not answered: {what}")]
    Sql {
        /// What is wrong.
        what: String,
    },
    /// More than is worked on for one question.
    #[error("the question needs too much: {what}")]
    TooMuch {
        /// Of what.
        what: String,
    },
    /// As many questions as there is room for are being answered.
    #[error("too many questions are being answered")]
    Busy,
    /// It takes too long.
    #[error("there is no answer after {seconds} s")]
    TooSlow {
        /// How long it may take.
        seconds: u64,
    },
    /// The store does not give what it has.
    #[error("the store cannot be read")]
    Store(#[from] object_store::Error),
    /// A file went while it was read, or is not what it should be. The engine looks for it and tries again.
    #[error("a file cannot be read: {what}")]
    File {
        /// What was said about it.
        what: String,
    },
    /// The cluster that plans are carried out on does not do it.
    #[error("the cluster failed: {what}")]
    Cluster {
        /// What it said.
        what: String,
    },
    /// What should not happen.
    #[error("the engine failed: {what}")]
    Internal {
        /// What did.
        what: String,
    },
}

impl Error {
    /// Its name, for programs.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.row().0
    }

    /// The status of an HTTP answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.row().1
    }

    /// What to do.
    #[must_use]
    pub const fn to_do(&self) -> &'static str {
        self.row().2
    }

    const fn row(&self) -> (&'static str, u16, &'static str) {
        match self {
            Self::Selector { .. } => {
                ("bad_selector", 400, "write it as {service=\"nginx\", host=~\"edge-.*\", route!=\"/\"}")
            }
            Self::Parameter { .. } => ("bad_parameter", 400, "see docs/api.md"),
            Self::Sql { .. } => ("bad_sql", 400, "one SELECT over samples, stacks, frames and metrics"),
            Self::TooMuch { .. } => ("too_much", 413, "ask for a shorter time, or select less"),
            Self::Busy => ("busy", 429, "ask again"),
            Self::TooSlow { .. } => ("too_slow", 504, "ask for a shorter time, or select less"),
            Self::Store(_) => ("store_failed", 503, "see to the store; then ask again"),
            Self::File { .. } => ("store_failed", 503, "ask again; /health tells of files that are damaged"),
            Self::Cluster { .. } => (
                "cluster_failed",
                503,
                "see to the scheduler and the executors of the cluster: docs/cluster.md; then ask again",
            ),
            Self::Internal { .. } => ("internal", 500, "report it, with the question"),
        }
    }

    /// Of an error of the engine.
    pub(crate) fn of(error: &DataFusionError) -> Self {
        let what = || one_line(&error.find_root().to_string());
        match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => {
                Self::TooMuch { what: "more memory than a question may take".to_owned() }
            }
            DataFusionError::ParquetError(_)
            | DataFusionError::ArrowError(_, _)
            | DataFusionError::ObjectStore(_)
            | DataFusionError::IoError(_)
            | DataFusionError::External(_) => Self::File { what: what() },
            _ => Self::Internal { what: what() },
        }
    }

    /// Whether another set of files may be answered from.
    pub(crate) fn is_of_files(&self) -> bool {
        match self {
            Self::File { .. } | Self::Internal { .. } => true,
            Self::Cluster { what } => !what.contains(OF_ANOTHER_STORE),
            _ => false,
        }
    }

    /// The same error, of a plan that a cluster was to carry out: there, everything that goes wrong is a sentence.
    pub(crate) fn on_cluster(self) -> Self {
        match self {
            Self::Internal { what } | Self::File { what } | Self::Sql { what }
                if what.contains("Resources exhausted") =>
            {
                Self::TooMuch { what: "more memory than a task of the cluster may take".to_owned() }
            }
            Self::Internal { what } | Self::File { what } => Self::Cluster { what },
            // A statement that could be planned, and then was not carried out.
            Self::Sql { what } if what.contains(OF_JOB) => Self::Cluster { what },
            other => other,
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        Self::of(&error)
    }
}

/// A message of others as one line that is not too long.
pub(crate) fn one_line(text: &str) -> String {
    const MAX_CHARS: usize = 400;
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHARS).collect()
}
