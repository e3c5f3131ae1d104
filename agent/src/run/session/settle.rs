//! What a recording has lost, and what it took.

use std::time::Duration;

use abi::counter::Counter;

use super::Session;
use crate::{clock, procfs::status, run::Usage};

impl Session {
    /// Completes what was lost by what the kernel side has counted.
    pub(super) fn settle_losses(&mut self, counters: &[(Counter, u64)]) {
        let counted = |which| counters.iter().find(|(counter, _)| *counter == which).map_or(0, |(_, n)| *n);
        let accounted = self.aggregate.n_samples()
            + self.losses.unknown_process
            + self.losses.undecoded
            + counted(Counter::RingFull)
            + counted(Counter::SlotsBusy)
            + counted(Counter::AllocationsFailed)
            + counted(Counter::CallsUnreturned);
        self.losses.unexplained = counted(Counter::Taken).saturating_sub(accounted);
        self.losses.files_unopened = self.world.n_unopened;
        self.losses.captures_dropped = self.late.n_dropped;
        self.losses.mappings_refused = self.world.processes.n_mappings_refused();
        self.losses.tables_without_room = self.table_use.n_refused() + self.losses.tables_too_large;
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            kernel: self.kernel.cost(),
            agent_cpu: Duration::from_nanos(clock::process_cpu_ns().saturating_sub(self.cpu_before_ns)),
            agent_rss_bytes: status::read(std::process::id()).ok().and_then(|status| status.resident_bytes),
            table_bytes: self.kernel.table_bytes(),
            table_cache: self.world.tables.cache_counts(),
        }
    }
}
