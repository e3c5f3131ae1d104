//! Where the time of threads goes that no sample tells of: who is followed from the start, and who is there at the end.

use std::sync::Arc;

use abi::{
    off_cpu::{Thread, UNSEEN},
    sample::Sample,
};

use super::Session;
use crate::{
    clock,
    kernel::KernelError,
    process::ImageId,
    procfs::{
        system_call::{self, Doing},
        tasks,
    },
};

/// It has gone, or we may not look: most threads wait for something to do.
const UNKNOWN: Doing =
    Doing { is_running: false, is_of_kernel: false, system_call: Some(EPOLL_WAIT), second: 0 };
/// `arch/x86/entry/syscalls/syscall_64.tbl`.
const EPOLL_WAIT: u64 = 232;

/// Who wakes others is mostly the same few.
const MAX_WAKER_NAMES: usize = 4096;

impl Session {
    /// Has the kernel side follow the threads that are there. Of those that begin from now on, it knows.
    pub(super) fn follow_threads(&mut self) {
        if self.threads.is_none() {
            return;
        }
        for pid in std::mem::take(&mut self.present) {
            for tid in tasks::thread_ids(pid).into_iter().flatten() {
                let thread = Thread::unseen(pid, clock::monotonic_ns());
                self.losses.threads_full += u64::from(!self.kernel.follow_thread(tid, &thread));
            }
        }
    }

    /// Takes in what is told of a thread that has ended.
    pub(super) fn thread_ended(&mut self, sample: &Sample, image: ImageId) {
        if let Some(threads) = &mut self.threads {
            threads.ended(sample.event, image, sample.tid, sample.weight);
        }
    }

    /// Takes in who ends a wait.
    pub(super) fn woken(&mut self, sample: &Sample) {
        if self.waker_names.len() >= MAX_WAKER_NAMES {
            self.waker_names.clear();
        }
        let (pid, tid) = ((sample.context >> 32) as u32, sample.context as u32);
        let name = self.waker_names.entry((pid, tid)).or_insert_with(|| match tasks::thread_name(pid, tid) {
            // A CPU without work: a device or a timer.
            _ if tid == 0 => "an interrupt".into(),
            Ok(name) => name.into(),
            Err(_) => "a thread that has ended".into(),
        });
        self.aggregate.add_waker(sample, Arc::clone(name));
    }

    /// Takes in the threads that are there at the end.
    pub(super) fn finish_threads(&mut self, end_ns: u64) -> Result<(), KernelError> {
        let Some(times) = &mut self.threads else { return Ok(()) };
        for (tid, thread) in self.kernel.threads()? {
            let Some(image) = self.world.processes.image_at(thread.tgid, end_ns) else { continue };
            let doing = if thread.kind as usize == UNSEEN {
                system_call::read(thread.tgid, tid).unwrap_or(UNKNOWN)
            } else {
                UNKNOWN
            };
            times.stands(image, tid, &thread, end_ns, doing);
        }
        Ok(())
    }
}
