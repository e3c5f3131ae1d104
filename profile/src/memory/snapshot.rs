//! Memory at one moment, down to the mappings, as it is written to a file and read back.

use serde::{Deserialize, Serialize};

use super::MemoryUse;

/// Of the form below; a file of another one is refused.
pub const SNAPSHOT_VERSION: u32 = 1;

/// All processes of a watch at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SNAPSHOT_VERSION`].
    pub memory_snapshot_version: u32,
    /// The name that the user gave.
    pub label: String,
    /// Where.
    pub host: String,
    /// What was watched.
    pub command: String,
    /// When, in nanoseconds since the Unix epoch.
    pub taken_unix_ns: u64,
    /// Sums over all processes.
    pub tree: MemoryUse,
    /// Every process.
    pub processes: Vec<SnapshotProcess>,
}

/// One process at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotProcess {
    /// Its ID.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// When it started: with the ID, this names a process for good.
    pub start_time_ticks: u64,
    /// All of it.
    pub usage: MemoryUse,
    /// By kind and name. None if they could not be read.
    pub mappings: Option<Vec<MappingUse>>,
    /// Mappings without an entry of their own: they are summed in the class `left_out`.
    pub n_mappings_left_out: u64,
}

/// What stands behind a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingClass {
    /// `[heap]`: what brk(2) gave.
    Heap,
    /// `[stack]` of the first thread.
    Stack,
    /// Memory without a file: large allocations, arenas, stacks of threads.
    Anonymous,
    /// Shared memory: `shm_open`, memfd, System V, shared anonymous.
    SharedMemory,
    /// A file; the name is its path.
    File,
    /// vdso and the like.
    Kernel,
    /// Small ones that are not listed.
    LeftOut,
}

impl MappingClass {
    /// For people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Stack => "stack",
            Self::Anonymous => "anonymous",
            Self::SharedMemory => "shared memory",
            Self::File => "file",
            Self::Kernel => "kernel",
            Self::LeftOut => "left out",
        }
    }
}

/// Mappings of one kind and name, summed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingUse {
    /// What stands behind them.
    pub class: MappingClass,
    /// Path or name; empty for memory without one.
    pub name: String,
    /// How many.
    pub n_mappings: u64,
    /// Address space.
    pub size_bytes: u64,
    /// Pages in memory.
    pub resident_bytes: u64,
    /// Shared pages by their share.
    pub proportional_bytes: u64,
    /// Pages that no other process maps.
    pub private_bytes: u64,
    /// Pages without a file, also private copies of a file's pages.
    pub anonymous_bytes: u64,
    /// Swapped out.
    pub swap_bytes: u64,
    /// Transparent huge pages.
    pub huge_page_bytes: u64,
}

impl MappingUse {
    /// None yet.
    #[must_use]
    pub fn new(class: MappingClass, name: String) -> Self {
        Self {
            class,
            name,
            n_mappings: 0,
            size_bytes: 0,
            resident_bytes: 0,
            proportional_bytes: 0,
            private_bytes: 0,
            anonymous_bytes: 0,
            swap_bytes: 0,
            huge_page_bytes: 0,
        }
    }

    /// Adds what another one holds.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in [
            (&mut self.n_mappings, other.n_mappings),
            (&mut self.size_bytes, other.size_bytes),
            (&mut self.resident_bytes, other.resident_bytes),
            (&mut self.proportional_bytes, other.proportional_bytes),
            (&mut self.private_bytes, other.private_bytes),
            (&mut self.anonymous_bytes, other.anonymous_bytes),
            (&mut self.swap_bytes, other.swap_bytes),
            (&mut self.huge_page_bytes, other.huge_page_bytes),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}
