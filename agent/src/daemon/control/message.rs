//! Requests and answers, as they cross the socket: JSON, one in a line.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::args::Format;

/// Longest request.
pub const MAX_REQUEST_BYTES: usize = 64 << 10;
/// Longest time that a capture takes.
pub const MAX_CAPTURE: Duration = Duration::from_secs(3600);
/// A file crosses in pieces of this size before they are written as base64.
pub const PIECE_BYTES: usize = 256 << 10;

/// What is asked of the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Record an event for a time.
    Capture(Capture),
    /// What is attached to what.
    Status {},
    /// Read the configuration anew.
    Reload {},
    /// Have sinks take what waits for them.
    Flush {},
}

/// A recording on demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// `cpu`, `faults`, `alloc`.
    pub event: String,
    /// For how long.
    pub duration_s: f64,
    /// Of whom.
    pub target: Target,
    /// Where it goes.
    #[serde(default)]
    pub output: Output,
}

/// Who is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A process and its children.
    Pid(u32),
    /// The processes of a rule, by the name of the rule or that of the service.
    Name(String),
    /// Every process that the daemon samples.
    All,
}

/// Where a capture goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// To the sinks of the configuration, a profile for each target.
    #[default]
    Sinks,
    /// Back to whoever asks, as one profile in this form.
    File(Format),
}

impl Capture {
    /// How long it takes.
    ///
    /// # Errors
    /// If that is no time, or too long.
    pub fn duration(&self) -> Result<Duration, Refusal> {
        match Duration::try_from_secs_f64(self.duration_s) {
            Ok(duration) if !duration.is_zero() && duration <= MAX_CAPTURE => Ok(duration),
            Ok(_) | Err(_) => Err(Refusal::new(
                RefusalKind::Invalid,
                format!("a capture takes more than nothing and at most {} s", MAX_CAPTURE.as_secs()),
            )),
        }
    }
}

/// A line of an answer. The last one is `done` or `refused`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How far it is.
    Progress(Progress),
    /// The next bytes of the file that was asked for, as base64.
    Piece(String),
    /// It is done; what came of it.
    Done(Value),
    /// It is not done.
    Refused(Refusal),
}

/// How far a request is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Since it was begun.
    pub elapsed_s: f64,
    /// What happens now: `recording`, `naming frames`.
    pub stage: String,
    /// Samples so far.
    pub n_samples: u64,
}

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{reason}")]
pub struct Refusal {
    /// Which it is, for programs.
    pub kind: RefusalKind,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// It is none.
    Invalid,
    /// Whoever asks is neither root nor the user of the daemon.
    Forbidden,
    /// Too many ask at a time, or the event is being captured.
    Busy,
    /// There is no such process, rule or event.
    NotFound,
    /// It was tried.
    Failed,
}

impl Refusal {
    /// With a reason in words.
    pub fn new(kind: RefusalKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}
