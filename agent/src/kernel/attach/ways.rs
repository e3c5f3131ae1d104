//! In which way time off the CPU is measured, and requests are followed.

use abi::config::{FOLLOW_TLS, HIDE_PATHS, SAMPLE_IDLE, SAMPLE_WAKERS};

/// How time off the CPU is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OffCpu {
    /// Shorter waits have no stack: they are summed up by thread.
    pub min_block_ns: u64,
    /// Idle waits are sampled, too.
    pub has_idle: bool,
    /// Samples a second of the CPU time that goes into the same profile; 0 if none does.
    pub cpu_frequency_hz: u64,
    /// Who ends a wait is told, too.
    pub has_wakers: bool,
    /// What has no sample is in the profile as well, so that it adds up to all the time of each thread.
    pub is_wall: bool,
}

impl OffCpu {
    /// As the kernel side has it.
    pub(in crate::kernel) const fn flags(self) -> u32 {
        let idle = if self.has_idle { SAMPLE_IDLE } else { 0 };
        idle | if self.has_wakers { SAMPLE_WAKERS } else { 0 }
    }
}

/// How requests are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Of paths, only hashes leave the kernel.
    pub hides_paths: bool,
    /// Those within TLS, too, by probes on the libraries that encrypt them.
    pub has_tls: bool,
}

impl Requests {
    /// As the kernel side has it.
    pub(in crate::kernel) const fn flags(self) -> u64 {
        let hides = if self.hides_paths { HIDE_PATHS } else { 0 };
        hides | if self.has_tls { FOLLOW_TLS } else { 0 }
    }
}
