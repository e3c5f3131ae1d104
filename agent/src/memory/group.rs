//! The control group of the watched, and the limit that will be met first.

use profile::memory::{ControlGroupReport, LimitReport, Series, time_to_limit_s};

use crate::procfs::memory_group::{self, MemoryGroup, Mounts, Version};

/// The group of one process, once it was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    group: Option<MemoryGroup>,
}

/// A limit, and how much of it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headroom {
    /// Whose limit it is.
    pub source: String,
    /// The limit.
    pub limit_bytes: u64,
    /// Used, without what the kernel can drop at once.
    pub used_bytes: u64,
}

impl Group {
    /// Looks where a process is now: service managers move what they have started. Whether that is another group.
    pub(super) fn look(&mut self, pid: u32, mounts: &Mounts) -> bool {
        let group = MemoryGroup::of_process(pid, mounts).ok().flatten();
        let is_another = group.is_some() && group != self.group;
        if is_another {
            self.group = group;
        }
        is_another
    }

    pub(super) fn usage_bytes(&self) -> Option<u64> {
        self.group.as_ref().and_then(MemoryGroup::usage_bytes)
    }

    /// The limit of the group, or else the memory of the host.
    pub(super) fn headroom(&self) -> Option<Headroom> {
        if let Some(limit) = self.group.as_ref().and_then(MemoryGroup::limit) {
            return Some(Headroom {
                source: format!("control group {}", limit.path.display()),
                limit_bytes: limit.limit_bytes,
                used_bytes: limit.usage_bytes.saturating_sub(limit.inactive_file_bytes),
            });
        }
        let host = memory_group::host()?;
        Some(Headroom {
            source: "memory of the host".to_owned(),
            limit_bytes: host.total_bytes,
            used_bytes: host.total_bytes.saturating_sub(host.available_bytes),
        })
    }

    pub(super) fn report(
        &self,
        usage: Option<Series>,
        limit: Option<&Headroom>,
    ) -> Option<ControlGroupReport> {
        let group = self.group.as_ref()?;
        Some(ControlGroupReport {
            path: group.path.display().to_string(),
            version: match group.version {
                Version::V1 => 1,
                Version::V2 => 2,
            },
            usage,
            limit_bytes: limit.filter(|it| it.source.starts_with("control group")).map(|it| it.limit_bytes),
        })
    }
}

impl Headroom {
    /// With the time that is left at a rate.
    #[must_use]
    pub fn report(&self, rate_bytes_per_second: f64) -> LimitReport {
        let Self { source, limit_bytes, used_bytes } = self.clone();
        LimitReport {
            source,
            limit_bytes,
            used_bytes,
            used_percent: (1e4 * used_bytes as f64 / limit_bytes.max(1) as f64).round() / 100.0,
            time_to_limit_s: time_to_limit_s(limit_bytes, used_bytes, rate_bytes_per_second),
        }
    }
}
