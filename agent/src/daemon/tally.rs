//! What streams have counted, one after another and side by side.

use std::collections::BTreeMap;

use super::lost::Lost;
use crate::{
    kernel::{Cost, Source},
    run::StreamFigures,
};

/// Sums since the start of the daemon.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Samples that were read and counted.
    pub(super) n_samples: u64,
    /// Samples of resident memory that were read.
    pub(super) n_growth_samples: u64,
    pub(super) lost: Lost,
    /// By program of the kernel side; none where this kernel keeps no statistics for us.
    pub(super) programs: BTreeMap<String, Cost>,
    /// Why the first change to the kernel's tables failed that did.
    pub(super) first_table_error: Option<String>,
}

impl Tally {
    pub(super) fn add(&mut self, figures: &StreamFigures) {
        self.n_samples = self.n_samples.saturating_add(figures.n_samples);
        self.n_growth_samples = self.n_growth_samples.saturating_add(figures.n_growth_samples);
        self.lost.add(&figures.counters, &figures.losses);
        for (source, cost) in &figures.costs {
            if let Some(cost) = cost {
                let sum = self.programs.entry(program(*source).to_owned()).or_default();
                *sum = [*sum, *cost].into_iter().sum();
            }
        }
        if self.first_table_error.is_none() {
            self.first_table_error.clone_from(&figures.first_table_error);
        }
    }
}

/// What the programs of a source are called.
pub(super) fn program(source: Source) -> &'static str {
    match source {
        Source::Cpu { .. } => "cpu",
        Source::Resident { .. } => "faults",
        Source::Alloc { .. } => "alloc",
        Source::OffCpu(_) => "off-cpu",
        Source::Loop { .. } => "loop",
        Source::Requests(_) => "requests",
    }
}
