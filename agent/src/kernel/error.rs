//! What the kernel can refuse, in words that say what to do.

use std::io;

use aya::{EbpfError, maps::MapError, programs::ProgramError};
use thiserror::Error;

/// A refusal of the kernel.
#[derive(Debug, Error)]
pub enum KernelError {
    /// The object does not load.
    #[error(
        "the kernel did not take the maps of the eBPF object (`agent doctor` tells what this host lacks)"
    )]
    Object {
        /// What aya answered.
        #[source]
        source: Box<EbpfError>,
    },
    /// The object lacks a part: it does not belong to this agent.
    #[error("the eBPF object has no `{name}`: rebuild it with `cargo xtask build-ebpf`")]
    Missing {
        /// Program or map.
        name: &'static str,
    },
    /// The verifier or a missing privilege.
    #[error("the kernel did not load program `{program}` (`agent doctor` tells what this host lacks)")]
    Load {
        /// Which.
        program: &'static str,
        /// What aya answered, with the verifier's log.
        #[source]
        source: Box<ProgramError>,
    },
    /// An event source is not there.
    #[error("cannot attach program `{program}` to {to} (`agent doctor` tells what this host lacks)")]
    Attach {
        /// Which.
        program: &'static str,
        /// The event source.
        to: &'static str,
        /// What aya answered.
        #[source]
        source: Box<ProgramError>,
    },
    /// A place in a process cannot be probed.
    #[error("cannot put probes into a file of a process")]
    Probe {
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A tracepoint looks different.
    #[error(
        "the fields of tracepoint {tracepoint} are not where this agent knows them: see its `format` in tracefs"
    )]
    TracepointFormat {
        /// Which.
        tracepoint: &'static str,
    },
    /// `perf_event_open(2)`.
    #[error(
        "cannot open the perf event that reports process activity on CPU {cpu} (`agent doctor` tells what this host lacks)"
    )]
    Sideband {
        /// Which CPU.
        cpu: usize,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// Which CPUs there are is not known.
    #[error("cannot read the list of online CPUs from {path}")]
    OnlineCpus {
        /// The file.
        path: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// Unwind tables have a limit, and others have taken the room up to it.
    #[error("no room for {n_bytes} bytes of unwind table: raise --table-memory")]
    NoTableRoom {
        /// What was wanted.
        n_bytes: usize,
    },
    /// Unwind tables have a limit, and this one alone is above it.
    #[error("an unwind table of {n_bytes} bytes is above the limit: raise --table-memory")]
    TableTooLarge {
        /// What was wanted.
        n_bytes: usize,
    },
    /// Files are numbered, and only so many have an unwind table.
    #[error("only {limit} files can have an unwind table: record fewer processes (--pid, --comm, --cgroup)")]
    TooManyFiles {
        /// How many.
        limit: u32,
    },
    /// The kernel's description of its types.
    #[error("cannot read /sys/kernel/btf/vmlinux (a kernel with CONFIG_DEBUG_INFO_BTF has it)")]
    KernelTypes {
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The same, as the loader reads it.
    #[error("cannot read the kernel's description of its types")]
    Btf {
        /// What aya answered.
        #[source]
        source: aya::BtfError,
    },
    /// A structure of the kernel looks different.
    #[error("this kernel's description of its types has no `{field}` in `{structure}`")]
    NoField {
        /// The structure.
        structure: &'static str,
        /// What it lacks.
        field: &'static str,
    },
    /// The memory of a map.
    #[error("cannot map the memory of `{map}`")]
    MapMemory {
        /// Which.
        map: &'static str,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A map operation.
    #[error("cannot use map `{map}`")]
    Map {
        /// Which.
        map: &'static str,
        /// What aya answered.
        #[source]
        source: MapError,
    },
}

/// Of the kernel alone, and so without a text (`ENOTSUPP` in `include/linux/errno.h`).
const NOT_SUPPORTED: i32 = 524;

impl KernelError {
    /// Whether a process was not there any more.
    #[must_use]
    pub fn is_of_ended_process(&self) -> bool {
        self.os_error() == Some(libc::ESRCH)
    }

    /// Whether an instruction cannot be probed.
    #[must_use]
    pub fn is_of_instruction(&self) -> bool {
        self.os_error() == Some(NOT_SUPPORTED)
    }

    /// What the kernel answered, where it was about probes.
    fn os_error(&self) -> Option<i32> {
        let error = match self {
            Self::Probe { source } => source,
            Self::Attach { source, .. } => match &**source {
                ProgramError::SyscallError(error) => &error.io_error,
                _ => return None,
            },
            _ => return None,
        };
        error.raw_os_error()
    }
}
