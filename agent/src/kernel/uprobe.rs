//! Probes on functions of processes.

use std::{fs::File, num::NonZeroU32, os::fd::AsRawFd as _};

use abi::names;
use aya::{
    Ebpf,
    programs::{
        UProbe,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLinkId, UProbeScope},
    },
};

use super::{
    KernelError,
    attach::{attach_error, program},
};

const TO: &str = "an allocator";

/// Probes that are in place.
#[derive(Default)]
pub(super) struct Uprobes {
    links: Vec<UProbeLinkId>,
}

impl Uprobes {
    /// Puts a probe into the memory of one process.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        pid: NonZeroU32,
        file: &File,
        file_offset: u64,
        cookie: u64,
    ) -> Result<(), KernelError> {
        let program: &mut UProbe = program(ebpf, names::PROGRAM_ALLOC)?;
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(file_offset),
            cookie: Some(cookie),
        };
        // The file that was read, whatever its path stands for by now, and in whatever mount namespace.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let link = program
            .attach(point, path, UProbeScope::OneProcess(pid))
            .map_err(attach_error(names::PROGRAM_ALLOC, TO))?;
        self.links.push(link);
        Ok(())
    }

    /// Takes all of them out.
    pub(super) fn detach(&mut self, ebpf: &mut Ebpf) -> Result<(), KernelError> {
        let program: &mut UProbe = program(ebpf, names::PROGRAM_ALLOC)?;
        for link in self.links.drain(..) {
            program.detach(link).map_err(attach_error(names::PROGRAM_ALLOC, TO))?;
        }
        Ok(())
    }
}
