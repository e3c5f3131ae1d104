//! What processes do, as the kernel tells perf: a dummy event on each CPU whose ring carries the records of
//! exec, fork, exit, new names and executable mappings (`perf_event_open(2)`: `mmap2`, `comm_exec`, `task`).

use std::{os::fd::AsRawFd as _, time::Duration};

use aya::util::online_cpus;
use perf_event::{Builder, SampleFlag, Sampler, events::Software};

use super::KernelError;

/// Ring of one CPU. A mapping record takes about 130 bytes: 2,000 of them.
const RING_BYTES: usize = 256 << 10;

const RECORD_LOST: u32 = 2;

/// One record, not decoded yet.
#[derive(Clone, Copy, Debug)]
pub struct RawProcessRecord<'a> {
    /// `PERF_RECORD_*`.
    pub record_type: u32,
    /// The header's `misc`.
    pub misc: u16,
    /// What follows the header.
    pub bytes: &'a [u8],
}

/// The events of all CPUs.
pub struct Sideband {
    samplers: Vec<Sampler>,
}

impl Sideband {
    /// Opens and enables them. From here on nothing that a process does is missed, so this comes before the first
    /// look into /proc.
    ///
    /// # Errors
    /// If an event cannot be opened.
    pub fn open() -> Result<Self, KernelError> {
        let cpus = online_cpus()
            .map_err(|(path, source)| KernelError::OnlineCpus { path: path.to_owned(), source })?;
        let samplers = cpus.into_iter().map(|cpu| Self::open_cpu(cpu as usize)).collect::<Result<_, _>>()?;
        Ok(Self { samplers })
    }

    fn open_cpu(cpu: usize) -> Result<Sampler, KernelError> {
        let open = || {
            let mut sampler = Builder::new(Software::DUMMY)
                .any_pid()
                .one_cpu(cpu)
                .include_kernel()
                .include_hv()
                .mmap(true)
                .mmap2(true)
                .comm(true)
                .comm_exec(true)
                .task(true)
                .sample(SampleFlag::TID | SampleFlag::TIME)
                .sample_id_all(true)
                // The clock of `bpf_ktime_get_ns`, so that events and samples can be put in order.
                .clockid(perf_event::Clock::MONOTONIC)
                // Samples wait for nobody, but the mappings of a new process are wanted before its next one.
                .wakeup_watermark(1)
                .build()?
                .sampled(RING_BYTES)?;
            sampler.enable()?;
            Ok(sampler)
        };
        open().map_err(|source| KernelError::Sideband { cpu, source })
    }

    /// Waits for the first record, but not longer than `timeout`.
    pub(super) fn wait(&self, timeout: Duration) {
        let mut fds: Vec<_> = self
            .samplers
            .iter()
            .map(|sampler| libc::pollfd { fd: sampler.as_raw_fd(), events: libc::POLLIN, revents: 0 })
            .collect();
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array outlives the call. A failure is a wait cut short, after which everything is read.
        unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout_ms) };
    }

    /// Hands out every record; gives the number of records that found no room.
    pub(super) fn read(&mut self, mut each: impl FnMut(RawProcessRecord<'_>)) -> u64 {
        let mut n_lost = 0;
        for sampler in &mut self.samplers {
            while let Some(record) = sampler.next_record() {
                let bytes = record.to_contiguous();
                if record.ty() == RECORD_LOST {
                    // Body: event ID, then how many.
                    n_lost +=
                        bytes.get(8..16).and_then(|n| n.first_chunk()).map_or(1, |n| u64::from_ne_bytes(*n));
                    continue;
                }
                each(RawProcessRecord { record_type: record.ty(), misc: record.misc(), bytes: &bytes });
            }
        }
        n_lost
    }
}
