//! What the kernel side keeps of threads.

use abi::{names, off_cpu::Thread};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};

use super::{KernelError, load, tables::map_error};

/// A flag of the kernel's ABI: whatever stands there stays.
const BPF_NOEXIST: u64 = 1;

/// The map of threads.
pub(super) struct Threads(HashMap<MapData, u32, Thread>);

impl Threads {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self(load::take(ebpf, names::MAP_THREADS)?))
    }

    /// Follows a thread that is there; gives `false` without room for it.
    pub(super) fn follow(&mut self, tid: u32, thread: &Thread) -> bool {
        match self.0.insert(tid, thread, BPF_NOEXIST) {
            // The kernel side has seen it begin.
            Err(MapError::SyscallError(error)) => error.io_error.raw_os_error() == Some(libc::EEXIST),
            other => other.is_ok(),
        }
    }

    pub(super) fn read(&self) -> Result<Vec<(u32, Thread)>, KernelError> {
        self.0.iter().collect::<Result<_, MapError>>().map_err(map_error(names::MAP_THREADS))
    }
}
