//! The analysis as data: the same for text, JSON and HTML.

use serde::Serialize;

use super::{
    advice::Advice, cpu::CpuAnalysis, event_loop::LoopAnalysis, groups::Group, lost::Loss,
    memory::MemoryAnalysis, off_cpu::OffCpuAnalysis, proxy::Proxy, requests::RequestAnalysis, wait_advice,
};
use crate::units::rounded;

/// What the evidence says. `docs/analyze.md` tells what each key holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, in docs/analyze.md")]
pub struct Analysis {
    pub target: String,
    pub host: String,
    pub proxy: Option<Proxy>,
    pub duration_ns: u64,
    pub cpu: Option<CpuAnalysis>,
    pub off_cpu: Option<OffCpuAnalysis>,
    pub event_loop: Option<LoopAnalysis>,
    pub memory: Option<MemoryAnalysis>,
    pub requests: Option<RequestAnalysis>,
    pub bottlenecks: Vec<Bottleneck>,
    pub advice: Vec<Advice>,
    pub notes: Vec<String>,
}

/// What holds the target up.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Bottleneck {
    /// What it is sorted by: of the time of the worker that loses most by it.
    pub weight_percent: f64,
    pub group: Group,
    pub what: String,
    pub evidence: String,
    /// The heaviest stack that says so, root first.
    pub stack: Vec<String>,
}

impl Analysis {
    /// Takes in what holds workers up besides CPU time. What a stalled event loop does is said once.
    pub(super) fn take_losses(&mut self, losses: Vec<Loss>, proxy: Option<Proxy>) {
        for loss in losses {
            if loss.waits_for.is_none() {
                self.bottlenecks.retain(|known| {
                    known.group != loss.bottleneck.group && loss.function.as_ref() != Some(&known.what)
                });
            }
            self.advice.extend(wait_advice::of(&loss, proxy));
            self.bottlenecks.push(loss.bottleneck);
        }
    }

    /// Puts first what weighs most.
    pub(super) fn finish(&mut self) {
        self.bottlenecks
            .sort_by(|a, b| b.weight_percent.total_cmp(&a.weight_percent).then_with(|| a.what.cmp(&b.what)));
        for bottleneck in &mut self.bottlenecks {
            bottleneck.weight_percent = rounded(bottleneck.weight_percent);
        }
        self.advice.sort_by(|a, b| b.weight_percent.total_cmp(&a.weight_percent));
        for advice in &mut self.advice {
            advice.weight_percent = rounded(advice.weight_percent);
            let gain = &mut advice.gain;
            (gain.percent_low, gain.percent_high) = (rounded(gain.percent_low), rounded(gain.percent_high));
        }
    }
}
