//! Probes on functions of processes: of allocators, and of libraries for TLS.

use std::{fs::File, num::NonZeroU32};

use abi::{
    alloc::{Gate, MAX_PROBES},
    names,
};

use super::{Kernel, KernelError, Point, ProbeId, sum};

impl Kernel {
    /// Loads what probes of allocators run. Gives why they are put in one by one, and taken out, which takes its time, if they are.
    ///
    /// # Errors
    /// If the kernel refuses the program.
    pub fn load_probes(&mut self, children_are_followed: bool) -> Result<Option<String>, KernelError> {
        let has_live_heap = self.sources.iter().any(|source| source.has_live_heap());
        self.uprobes.load(&mut self.ebpf, children_are_followed, has_live_heap)
    }

    /// Says when probes of allocators count, by one of [`abi::alloc::N_GATES`]; at first they do not.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub fn set_gate(&mut self, number: u32, gate: Gate) -> Result<(), KernelError> {
        self.gates.set(number, gate, 0).map_err(|source| KernelError::Map { map: names::MAP_GATES, source })
    }

    /// Puts probes into an allocator of a process: all of them or none.
    ///
    /// # Errors
    /// If the kernel refuses one: the process may have gone.
    pub fn attach_probes(
        &mut self,
        pid: NonZeroU32,
        file: &File,
        points: &[Point],
    ) -> Result<ProbeId, KernelError> {
        self.uprobes.attach(&mut self.ebpf, pid, file, points)
    }

    /// Takes such probes out that were put in together.
    ///
    /// # Errors
    /// If one cannot be detached.
    pub fn detach(&mut self, id: ProbeId) -> Result<(), KernelError> {
        self.uprobes.detach(&mut self.ebpf, id)
    }

    /// Takes all of them out of all processes.
    ///
    /// # Errors
    /// If one cannot be detached.
    pub fn detach_probes(&mut self) -> Result<(), KernelError> {
        self.uprobes.detach_all(&mut self.ebpf)
    }

    /// How often probes of allocators were run into, by their numbers.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn hits(&self) -> Result<Vec<u64>, KernelError> {
        (0..MAX_PROBES).map(|number| sum(&self.hits, names::MAP_HITS, number)).collect()
    }

    /// Loads what probes of libraries for TLS run.
    ///
    /// # Errors
    /// If the kernel refuses the program.
    pub fn load_tls_probes(&mut self, children_are_followed: bool) -> Result<(), KernelError> {
        self.tls_probes.load(&mut self.ebpf, children_are_followed, true).map(drop)
    }

    /// Puts probes into a library for TLS of a process: all of them or none.
    ///
    /// # Errors
    /// If the kernel refuses one: the process may have gone.
    pub fn attach_tls_probes(
        &mut self,
        pid: NonZeroU32,
        file: &File,
        points: &[Point],
    ) -> Result<ProbeId, KernelError> {
        self.tls_probes.attach(&mut self.ebpf, pid, file, points)
    }

    /// Takes such probes out that were put in together.
    ///
    /// # Errors
    /// If one cannot be detached.
    pub fn detach_tls_probes(&mut self, id: ProbeId) -> Result<(), KernelError> {
        self.tls_probes.detach(&mut self.ebpf, id)
    }
}
