//! What the numbers say to somebody who runs a proxy: where time goes, by what it is for, what holds it up, and what to
//! change.
//!
//! [`Evidence`] is what was measured, each part optional; [`analyze`] takes what is there and says nothing of what is not.
//! Every piece of advice names its evidence and how its gain was estimated; without evidence there is none.

mod advice;
mod attribution;
mod cpu_advice;
mod groups;
mod html;
mod pattern;
mod proxy;
mod report;
mod rules;
mod text;

pub use advice::{Advice, Gain};
pub use groups::Group;
pub use html::write_html;
pub use proxy::Proxy;
pub use report::{Analysis, Bottleneck, CpuAnalysis, GroupShare, HotFunction, ThreadShare};
pub use text::write_analysis;

use crate::Profile;

/// What was measured of a target. Whoever measures something more adds a part here, and a module that reads it.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Evidence<'a> {
    /// Where CPU time went.
    pub cpu: Option<&'a Profile>,
    /// Requests that were served meanwhile.
    pub n_requests: Option<u64>,
}

impl<'a> Evidence<'a> {
    /// Nothing but where CPU time went.
    #[must_use]
    pub fn of_cpu(profile: &'a Profile) -> Self {
        Self { cpu: Some(profile), ..Self::default() }
    }

    /// The same with the requests that were served meanwhile.
    #[must_use]
    pub fn with_requests(self, n_requests: Option<u64>) -> Self {
        Self { n_requests, ..self }
    }
}

/// Says what the evidence says.
#[must_use]
pub fn analyze(evidence: &Evidence<'_>) -> Analysis {
    let mut analysis = Analysis::default();
    if let Some(profile) = evidence.cpu {
        report::add_cpu(&mut analysis, profile, evidence.n_requests);
    }
    analysis.finish();
    analysis
}
