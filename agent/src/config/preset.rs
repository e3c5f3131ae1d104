//! Presets: what everything is that a file does not set.

use std::time::Duration;

use super::{AllocEvent, Events};

/// A set of values for what is not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// For every host, all day.
    #[default]
    Balanced,
    /// For hosts with nothing to spare.
    LowOverhead,
    /// For a host that is looked at.
    Detailed,
}

/// What a preset sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Defaults {
    pub(super) window: Duration,
    pub(super) overhead_budget_percent: f64,
    pub(super) table_memory_bytes: u64,
    pub(super) events: Events,
}

impl Preset {
    pub(super) const NAMES: [(&'static str, Self); 3] =
        [("balanced", Self::Balanced), ("low-overhead", Self::LowOverhead), ("detailed", Self::Detailed)];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, preset)| *preset == self).map_or("", |(name, _)| name)
    }

    /// Frequencies are odd, so that they do not run in step with what does a thing a hundred times a second.
    pub(super) fn defaults(self) -> Defaults {
        match self {
            Self::Balanced => Defaults {
                window: Duration::from_secs(10),
                overhead_budget_percent: 1.0,
                table_memory_bytes: 64 << 20,
                events: events(99, 64 << 10, 5, (512 << 10, 2.5)),
            },
            Self::LowOverhead => Defaults {
                window: Duration::from_secs(60),
                overhead_budget_percent: 0.5,
                table_memory_bytes: 32 << 20,
                events: events(19, 1 << 20, 30, (4 << 20, 1.0)),
            },
            Self::Detailed => Defaults {
                window: Duration::from_secs(10),
                overhead_budget_percent: 3.0,
                table_memory_bytes: 256 << 20,
                events: events(499, 16 << 10, 1, (128 << 10, 5.0)),
            },
        }
    }
}

fn events(
    cpu_frequency_hz: u64,
    faults_interval_bytes: u64,
    memory_s: u64,
    (interval_bytes, probe_budget_percent): (u64, f64),
) -> Events {
    Events {
        cpu_frequency_hz,
        faults_interval_bytes,
        memory_interval: Duration::from_secs(memory_s),
        alloc: AllocEvent { interval_bytes, probe_budget_percent },
    }
}
