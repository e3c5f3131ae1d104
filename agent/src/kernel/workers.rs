//! What the kernel side keeps of event loops.

use abi::{event_loop::Worker, names};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};

use super::{KernelError, load, tables::map_error};

/// A flag of the kernel's ABI: whatever stands there stays.
const BPF_NOEXIST: u64 = 1;

/// The map of workers.
pub(super) struct Workers(HashMap<MapData, u32, Worker>);

impl Workers {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self(load::take(ebpf, names::MAP_WORKERS)?))
    }

    /// Follows a worker that waits; gives `false` without room for it.
    pub(super) fn follow(&mut self, tid: u32, worker: &Worker) -> bool {
        self.0.insert(tid, worker, BPF_NOEXIST).is_ok()
    }

    pub(super) fn read(&self) -> Result<Vec<(u32, Worker)>, KernelError> {
        self.0.iter().collect::<Result<_, MapError>>().map_err(map_error(names::MAP_WORKERS))
    }
}
