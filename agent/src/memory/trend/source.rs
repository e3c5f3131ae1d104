//! Where readings come from: this host, or a test.

use profile::memory::MemoryUse;

use crate::{
    clock,
    memory::{
        budget::Budget,
        group::{Group, Headroom},
    },
    procfs::{
        memory::{MemoryError, StatusFile},
        memory_group::Mounts,
    },
};

/// What tells the memory of processes.
pub trait Source {
    /// A clock that never goes back.
    fn now_ns(&self) -> u64;

    /// CPU time that reading has taken so far.
    fn cpu_ns(&self) -> u64;

    /// The memory of one process.
    ///
    /// # Errors
    /// If it has ended, or cannot be read.
    fn usage(&mut self, pid: u32) -> Result<MemoryUse, MemoryError>;

    /// The limit that a process meets first, and how much of it is used.
    fn headroom(&mut self, pid: u32) -> Option<Headroom>;
}

/// /proc and the control groups of this host.
#[derive(Debug, Default)]
pub struct Host {
    buffer: Vec<u8>,
    mounts: Mounts,
    /// How often where hierarchies are mounted is read again.
    mount_reads: Budget,
}

impl Source for Host {
    fn now_ns(&self) -> u64 {
        clock::monotonic_ns()
    }

    fn cpu_ns(&self) -> u64 {
        clock::thread_cpu_ns()
    }

    fn usage(&mut self, pid: u32) -> Result<MemoryUse, MemoryError> {
        StatusFile::open(pid)?.read(&mut self.buffer).map(|memory| memory.usage)
    }

    fn headroom(&mut self, pid: u32) -> Option<Headroom> {
        let began_ns = clock::monotonic_ns();
        if self.mount_reads.is_due(began_ns) {
            self.mounts = Mounts::read().unwrap_or_default();
            self.mount_reads.spend(began_ns, clock::monotonic_ns());
        }
        let mut group = Group::default();
        group.look(pid, &self.mounts);
        group.headroom()
    }
}
