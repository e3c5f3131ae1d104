//! Requests: what the kernel side tells of messages, in the order of time, and which samples belong to which request.

use std::{collections::HashMap, iter::Peekable, path::PathBuf, time::Duration};

use abi::{
    counter::Counter,
    sample::{Sample, Served},
};

use super::{Session, TlsProbing, tls};
use crate::{
    decode::MessageEvent,
    kernel::{KernelError, Source},
    procfs,
    requests::{IoUring, Report, Requests, RingUser, Whose},
};

/// Those whose samples were lost stay: so many at most.
const MAX_WAITING: usize = 4096;

/// Which connections threads serve, told in front of their samples.
#[derive(Debug, Default)]
pub(super) struct Serving {
    waiting: HashMap<(u32, u64), u64>,
}

impl Serving {
    /// A sample follows in the ring, unless it is lost (and counted as such).
    pub(super) fn note(&mut self, served: &Served) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.clear();
        }
        self.waiting.insert((served.tid, served.time_ns), served.connection);
    }

    /// The connection that the thread of a sample serves; 0 if it serves none.
    pub(super) fn of(&mut self, sample: &Sample) -> u64 {
        if self.waiting.is_empty() {
            return 0;
        }
        self.waiting.remove(&(sample.tid, sample.time_ns)).unwrap_or(0)
    }
}

/// Those of a recording, if it follows any; beside samples, they are joined with them.
pub(super) fn followed(sources: &[Source]) -> Option<Requests> {
    let new = if sources.len() > 1 { Requests::joined } else { Requests::default };
    sources.iter().any(|source| source.requests().is_some()).then(new)
}

impl Session {
    /// What the thread of a sample is busy with, once all messages up to then are taken in.
    pub(super) fn whose(
        &mut self,
        sample: &Sample,
        connection: u64,
        messages: &mut Peekable<impl Iterator<Item = MessageEvent>>,
    ) -> Option<Whose> {
        let requests = self.requests.as_mut()?;
        while let Some(event) = messages.next_if(|event| event.message.time_ns <= sample.time_ns) {
            requests.apply(&event);
        }
        if connection == 0 { None } else { requests.serving(connection) }
    }

    /// Puts probes into libraries for TLS, if requests within it are followed.
    pub(super) fn start_tls(
        &mut self,
        group: Option<&PathBuf>,
        follow_children: bool,
    ) -> Result<(), KernelError> {
        let is_wanted = |requests: crate::kernel::Requests| requests.has_tls;
        if self.kernel.sources().iter().any(|source| source.requests().is_some_and(is_wanted)) {
            self.tls = Some(TlsProbing::start(&mut self.kernel, group.cloned(), follow_children));
        }
        self.arm_tls()
    }

    /// The same of whoever has come since.
    pub(super) fn arm_tls(&mut self) -> Result<(), KernelError> {
        self.tls.as_mut().map_or(Ok(()), |tls| tls.arm(&mut self.kernel, &self.world))
    }

    /// Takes in messages.
    pub(super) fn settle_requests(&mut self, messages: impl Iterator<Item = MessageEvent>) {
        if let Some(requests) = &mut self.requests {
            messages.for_each(|event| requests.apply(&event));
        }
    }

    /// What is said of them in the end.
    pub(super) fn finish_requests(
        &mut self,
        duration: Duration,
        counters: &[(Counter, u64)],
    ) -> Option<Report> {
        let messages = std::mem::take(&mut self.messages);
        self.settle_requests(messages.into_iter());
        let duration_ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let network = self.network();
        let requests = self.requests.as_ref()?;
        let mut report = requests.report(duration_ns);
        report.network = network;
        let unread = requests.unread_tls();
        let name = |pid| self.name_of(pid);
        report.tls = match &self.tls {
            Some(tls) => tls.report(&unread, name),
            None => tls::not_probed(&unread, name),
        };
        report.io_uring = self.rings();
        report.losses = report.losses.with_counters(counters);
        Some(report)
    }

    /// Who of those that are still there may read and write without a system call.
    fn rings(&self) -> IoUring {
        let ring_user = |pid| {
            // One that has ended has none.
            let rings = procfs::rings::of(pid).unwrap_or(0);
            RingUser { pid, process: self.name_of(pid), rings }
        };
        IoUring::of(self.world.processes.live_pids().into_iter().map(ring_user))
    }

    fn name_of(&self, pid: u32) -> String {
        let image = self.world.processes.present_image(pid);
        image.map(|image| image.name.clone()).unwrap_or_default()
    }
}
