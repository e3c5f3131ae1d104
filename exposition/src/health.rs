//! How well a server does, and why.

use serde::Serialize;

/// How well it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All is as it should be.
    Healthy,
    /// It does what it can, and something is missing.
    Degraded,
    /// It does not do what it is there for.
    Unhealthy,
}

impl Status {
    /// The code of an answer over HTTP.
    #[must_use]
    pub const fn http_code(self) -> u16 {
        match self {
            Self::Healthy | Self::Degraded => 200,
            Self::Unhealthy => 503,
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Which it is, for programs.
    pub code: &'static str,
    /// What it makes of the whole.
    pub status: Status,
    /// What is wrong.
    pub what: String,
    /// And what to do.
    pub to_do: String,
}

impl Reason {
    /// Something is missing.
    #[must_use]
    pub fn degraded(code: &'static str, what: String, to_do: impl Into<String>) -> Self {
        Self { code, status: Status::Degraded, what, to_do: to_do.into() }
    }

    /// What it is there for is not done.
    #[must_use]
    pub fn unhealthy(code: &'static str, what: String, to_do: impl Into<String>) -> Self {
        Self { code, status: Status::Unhealthy, what, to_do: to_do.into() }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// That of the worst reason.
    pub status: Status,
    /// The worst first.
    pub reasons: Vec<Reason>,
}

impl From<Vec<Reason>> for Health {
    fn from(mut reasons: Vec<Reason>) -> Self {
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.status));
        Self { status: reasons.first().map_or(Status::Healthy, |reason| reason.status), reasons }
    }
}
