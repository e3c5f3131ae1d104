//! What the kernel side keeps of threads, by their IDs.

use aya::{
    Ebpf, Pod,
    maps::{HashMap, MapData, MapError},
};

use super::{KernelError, load, tables::map_error};

/// A flag of the kernel's ABI: whatever stands there stays.
const BPF_NOEXIST: u64 = 1;

/// A map by thread.
pub(super) struct ByThread<T: Pod> {
    map: HashMap<MapData, u32, T>,
    name: &'static str,
}

impl<T: Pod> ByThread<T> {
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Self, KernelError> {
        Ok(Self { map: load::take(ebpf, name)?, name })
    }

    /// Follows a thread that is there; gives `false` without room for it.
    pub(super) fn follow(&mut self, tid: u32, value: &T) -> bool {
        match self.map.insert(tid, value, BPF_NOEXIST) {
            // The kernel side has met it meanwhile, and knows more.
            Err(MapError::SyscallError(error)) => error.io_error.raw_os_error() == Some(libc::EEXIST),
            other => other.is_ok(),
        }
    }

    pub(super) fn read(&self) -> Result<Vec<(u32, T)>, KernelError> {
        self.map.iter().collect::<Result<_, MapError>>().map_err(map_error(self.name))
    }
}
