//! Iterations of event loops that took long: when they are over, their time is counted by the samples in them.

use abi::{
    event::Event,
    event_loop::{WAITS, WORKS, Worker},
};
use ebpf::off_cpu::waits_for_events;

use super::Session;
use crate::{
    aggregate::Key,
    clock,
    estimate::Estimate,
    kernel::KernelError,
    process::ImageId,
    procfs::{system_call, tasks},
};

impl Session {
    /// Has the kernel side know of workers that wait: one that does so to the end has done nothing, which is to be told.
    pub(super) fn follow_workers(&mut self) {
        if self.stalls.is_none() {
            return;
        }
        for pid in &self.present {
            for tid in tasks::thread_ids(*pid).into_iter().flatten() {
                let doing = system_call::read(*pid, tid).ok();
                let waits = |number| waits_for_events(number, u64::MAX);
                if doing.and_then(|doing| doing.system_call).is_some_and(waits) {
                    let worker = Worker::new(*pid, WAITS, clock::monotonic_ns());
                    self.losses.threads_full += u64::from(!self.kernel.follow_worker(tid, &worker));
                }
            }
        }
    }

    /// An iteration took long.
    pub(super) fn stalled(&mut self, image: ImageId, tid: u32, since_ns: u64, n_ns: u64) {
        let Some(stalls) = &mut self.stalls else { return };
        let nobody =
            Key { event: Event::STALLED, image, tid, user: None, kernel: None, waker: None, route: None };
        for (key, share_ns) in stalls.stalled(nobody, since_ns, n_ns) {
            self.aggregate.count_stalled(key, Estimate::whole(share_ns));
        }
    }

    /// What the kernel side has of the workers, by thread.
    pub(in crate::run) fn workers(&self) -> Result<Vec<(u32, Worker)>, KernelError> {
        if self.stalls.is_none() { Ok(Vec::new()) } else { self.kernel.workers() }
    }

    /// Reads what the kernel side has of the workers at the end, and completes it by what is under way.
    pub(super) fn finish_workers(&mut self, end_ns: u64) -> Result<(), KernelError> {
        if self.stalls.is_none() {
            return Ok(());
        }
        let stall_ns = self.kernel.sources().iter().find_map(|source| source.stall_ns()).unwrap_or(u64::MAX);
        for (tid, mut worker) in self.kernel.workers()? {
            let Some(image) = self.world.processes.image_at(worker.tgid, end_ns) else { continue };
            let n_ns = end_ns.saturating_sub(worker.since_ns);
            if system_call::read(worker.tgid, tid).is_err() {
                // It has ended, nobody knows when: what it was in the middle of was not over.
            } else if worker.state == WORKS {
                worker.busy_ns += n_ns;
                worker.max_ns = worker.max_ns.max(n_ns);
                if n_ns >= stall_ns {
                    worker.n_stalls += 1;
                    worker.stalled_ns += n_ns;
                    self.stalled(image, tid, worker.since_ns, n_ns);
                }
            } else {
                worker.waiting_ns += n_ns;
            }
            self.workers.push((image, tid, worker));
        }
        Ok(())
    }
}
