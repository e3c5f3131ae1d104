//! What to change, why, and what that brings.

use serde::Serialize;

use super::groups::Group;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// What is wrong, in a few words.
    pub title: String,
    /// What it is about.
    pub group: Group,
    /// What it is sorted by: of the time of the worker that loses most, or of the time of all requests, what the change gives back
    /// at most.
    pub weight_percent: f64,
    /// What was measured that says so.
    pub evidence: Vec<String>,
    /// The heaviest stack that says so, root first.
    pub stack: Vec<String>,
    /// What it brings.
    pub gain: Gain,
    /// What to do, in the words of the proxy's configuration if it was recognised.
    pub change: String,
    /// The line of the configuration, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directive: Option<String>,
}

/// An estimate of what a change brings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gain {
    /// What it is a share of.
    pub of: Resource,
    /// At least.
    pub percent_low: f64,
    /// At most.
    pub percent_high: f64,
    /// How it was estimated.
    pub how: String,
}

/// What can be gained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// All CPU time of the target.
    CpuTime,
    /// The time of the worker that loses most of it.
    WorkerTime,
    /// The time of all requests together.
    RequestTime,
    /// All bytes of answers.
    BytesSent,
}

impl Resource {
    /// As it stands behind a share.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CpuTime => "CPU time",
            Self::WorkerTime => "the worker's time",
            Self::RequestTime => "the time of requests",
            Self::BytesSent => "the bytes sent",
        }
    }
}
