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
    /// Of all CPU time of the target, at least.
    pub cpu_percent_low: f64,
    /// At most.
    pub cpu_percent_high: f64,
    /// How it was estimated.
    pub how: String,
}
