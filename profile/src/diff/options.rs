//! What a comparison goes by.

use serde::Serialize;

use super::side::Side;

/// More draws than this change nothing that is shown.
pub const MAX_REPLICATES: usize = 100_000;

/// What the values of a function are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// By the sum of all functions: what changes load does not change shares.
    Share,
    /// By the time that was recorded.
    Second,
    /// By the requests that were served meanwhile.
    Request,
}

impl Per {
    /// By requests if both sides counted them, else by share.
    #[must_use]
    pub fn best(baseline: &Side, comparison: &Side) -> Self {
        let counted = |side| Self::Request.missing(side).is_none();
        if counted(baseline) && counted(comparison) { Self::Request } else { Self::Share }
    }

    /// What a side does not say that is needed; None if nothing.
    #[must_use]
    pub fn missing(self, side: &Side) -> Option<&'static str> {
        match self {
            Self::Share => None,
            Self::Second => (side.duration_ns() == 0).then_some("how long it was recorded"),
            Self::Request => side.n_requests().is_none().then_some("how many requests were served"),
        }
    }
}

/// How to compare. The default is 99 % for all functions together: one false alarm in a hundred comparisons.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// What to divide by; by [`Per::best`] if None.
    pub per: Option<Per>,
    /// How sure a change must be, for all functions together.
    pub confidence_percent: f64,
    /// Functions whose shares of both sides add up to less are not looked at.
    pub min_share_percent: f64,
    /// How often chance is drawn.
    pub n_replicates: usize,
    /// Where the draws begin: the same seed gives the same report.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { per: None, confidence_percent: 99.0, min_share_percent: 0.5, n_replicates: 4000, seed: 1 }
    }
}
