//! All processes at this moment, down to their mappings.

use profile::memory::{MemoryUse, SNAPSHOT_VERSION, Snapshot, SnapshotProcess};

use super::{
    Options,
    tree::{Process, Tree},
};
use crate::{
    clock,
    procfs::{memory::Rollup, smaps},
};

/// Reads the mappings of every process that is there.
pub(super) fn take(tree: &Tree, label: &str, options: &Options) -> Snapshot {
    let processes: Vec<SnapshotProcess> = tree.live().map(process).collect();
    Snapshot {
        memory_snapshot_version: SNAPSHOT_VERSION,
        label: label.to_owned(),
        host: options.host.clone(),
        command: options.command.clone(),
        taken_unix_ns: clock::unix_ns(),
        tree: MemoryUse::sum(processes.iter().map(|process| &process.usage)),
        processes,
    }
}

fn process(process: &Process) -> SnapshotProcess {
    let mappings = smaps::read(process.pid).ok();
    // The mappings have what a rollup would say, and the walk was just paid for.
    let rollup = mappings.as_ref().map(|mappings| Rollup {
        proportional_bytes: mappings.uses.iter().map(|it| it.proportional_bytes).fold(0, u64::saturating_add),
        huge_page_bytes: mappings.uses.iter().map(|it| it.huge_page_bytes).fold(0, u64::saturating_add),
    });
    // The last reading may be an interval old.
    let usage = process.status.read(&mut Vec::new()).map_or(process.usage, |memory| memory.usage);
    SnapshotProcess {
        pid: process.pid,
        name: process.name.clone(),
        start_time_ticks: process.start_time_ticks,
        usage: MemoryUse {
            proportional_bytes: rollup.map(|it| it.proportional_bytes),
            huge_page_bytes: rollup.map(|it| it.huge_page_bytes),
            ..usage
        },
        n_mappings_left_out: mappings.as_ref().map_or(0, |it| it.n_left_out),
        mappings: mappings.map(|it| it.uses),
    }
}
