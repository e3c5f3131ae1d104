//! What the numbers say to somebody who runs a proxy: where time goes, by what it is for, what holds it up, and what to
//! change.
//!
//! [`Evidence`] is what was measured, each part optional; [`analyze`] takes what is there and says nothing of what is not.
//! What holds a worker up is weighed by the share of its time that it loses, whatever it loses it to. Every piece of
//! advice names its evidence and how its gain was estimated; without evidence there is none.

mod advice;
mod attribution;
mod cpu;
mod cpu_advice;
mod event_loop;
mod groups;
mod html;
mod html_sections;
mod lost;
mod memory;
mod off_cpu;
mod pattern;
mod proxy;
mod report;
mod request_advice;
mod request_changes;
mod request_sections;
mod requests;
mod rules;
mod sections;
mod stacks;
mod text;
mod wait_advice;
mod waits;
mod whose;
mod zlib_advice;

pub use advice::{Advice, Gain, Resource};
pub use cpu::{CpuAnalysis, GroupShare, HotFunction, ThreadShare};
pub use event_loop::{LoopAnalysis, LoopShare, Stall};
pub use groups::Group;
pub use html::write_html;
pub use memory::{GrowthStack, MemoryAnalysis};
pub use off_cpu::{OffCpuAnalysis, ThreadTimeShare, Wait};
pub use proxy::Proxy;
pub use report::{Analysis, Bottleneck};
pub use requests::{
    ConnectionUse, NetworkUse, RequestAnalysis, RequestTimes, RouteShare, UpstreamUse, WriteUse,
};
pub use text::write_analysis;
pub use waits::WaitKind;
pub use whose::Whose;

use crate::{Profile, memory::MemoryReport};

/// What was measured of a target. Whoever measures something more adds a part here, and a module that reads it.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Evidence<'a> {
    /// Where CPU time went.
    pub cpu: Option<&'a Profile>,
    /// Where threads waited.
    pub off_cpu: Option<&'a Profile>,
    /// What long iterations of event loops did.
    pub stalls: Option<&'a Profile>,
    /// Who took memory.
    pub growth: Option<&'a Profile>,
    /// Which way memory went.
    pub memory: Option<&'a MemoryReport>,
    /// Requests that were served meanwhile, if somebody counted them.
    pub n_requests: Option<u64>,
    /// What was seen of them.
    pub requests: Option<&'a RequestAnalysis>,
}

impl<'a> Evidence<'a> {
    /// Nothing but where CPU time went.
    #[must_use]
    pub fn of_cpu(profile: &'a Profile) -> Self {
        Self { cpu: Some(profile), ..Self::default() }
    }

    /// The same with where threads waited.
    #[must_use]
    pub fn with_off_cpu(self, off_cpu: Option<&'a Profile>) -> Self {
        Self { off_cpu, ..self }
    }

    /// The same with what long iterations of event loops did.
    #[must_use]
    pub fn with_stalls(self, stalls: Option<&'a Profile>) -> Self {
        Self { stalls, ..self }
    }

    /// The same with who took memory, and which way that went.
    #[must_use]
    pub fn with_memory(self, growth: Option<&'a Profile>, memory: Option<&'a MemoryReport>) -> Self {
        Self { growth, memory, ..self }
    }

    /// The same with the requests that were served meanwhile: what was seen of them, and how many there were if somebody else has
    /// counted.
    #[must_use]
    pub fn with_requests(self, requests: Option<&'a RequestAnalysis>, n_requests: Option<u64>) -> Self {
        let n_seen = requests.map(|requests| requests.count);
        Self { requests, n_requests: n_requests.or(n_seen), ..self }
    }

    /// Those that stacks of time are in.
    fn profiles(&self) -> impl Iterator<Item = &'a Profile> {
        [self.cpu, self.stalls, self.off_cpu, self.growth].into_iter().flatten()
    }
}

/// Says what the evidence says.
#[must_use]
pub fn analyze(evidence: &Evidence<'_>) -> Analysis {
    let mut analysis = Analysis::default();
    if let Some(profile) = evidence.profiles().next() {
        let meta = profile.meta();
        (analysis.target, analysis.host) = (meta.command.clone(), meta.host.clone());
        analysis.duration_ns = meta.duration_ns;
    }
    analysis.proxy = evidence.profiles().find_map(proxy::recognize);
    let proxy = analysis.proxy;
    if let Some(profile) = evidence.cpu {
        let has_more = evidence.off_cpu.is_some() || evidence.stalls.is_some();
        cpu::add(&mut analysis, profile, proxy, evidence.n_requests, has_more);
    }
    let threads = whose::Threads::of(evidence);
    let stalls = evidence.stalls.map(|profile| (profile, event_loop::of(profile, &threads)));
    let off_cpu = evidence.off_cpu.map(|profile| (profile, off_cpu::of(profile, &threads)));
    let losses = lost::of(
        stalls.as_ref().map(|(profile, (analysis, found))| (*profile, analysis, found.as_slice())),
        off_cpu.as_ref().map(|(profile, (_, found))| (*profile, found.as_slice())),
    );
    analysis.take_losses(losses, proxy);
    analysis.off_cpu = off_cpu.map(|(_, (off_cpu, _))| off_cpu);
    if let Some((_, (event_loop, _))) = stalls {
        for (group, bottleneck) in lost::imbalanced(&event_loop) {
            analysis.advice.push(wait_advice::of_imbalance(&group, &bottleneck, proxy));
            analysis.bottlenecks.push(bottleneck);
        }
        analysis.event_loop = Some(event_loop);
    }
    if evidence.memory.is_some() || evidence.growth.is_some() {
        memory::add(&mut analysis, evidence.memory, evidence.growth, proxy);
    }
    if let Some(requests) = evidence.requests {
        request_advice::add(&mut analysis, requests);
        analysis.requests = Some(requests.clone());
        if analysis.duration_ns == 0 {
            analysis.duration_ns = requests.duration_ns;
        }
    }
    analysis.finish();
    analysis
}
