//! What is known of the processes on this host, and what is held of them: files, roots, unwind tables.

use std::{collections::HashMap, sync::Arc};

use super::{snapshot, table_builder::TableBuilder};
use crate::{
    clock,
    decode::ProcessEvent,
    object::ObjectFile,
    process::{Effect, FileId, ImageId, Interest, Processes},
    symbolize::JitProcess,
    unwind::Functions,
};

/// The table of processes and everything that had to be taken from them while they were there.
pub(super) struct World {
    pub(super) processes: Processes,
    /// Files that were mapped, open since they were first seen.
    pub(super) objects: HashMap<FileId, Arc<ObjectFile>>,
    /// Where the functions of files are, by their unwind information.
    pub(super) functions: HashMap<FileId, Functions>,
    /// Where images that make code at run time describe it.
    pub(super) jit: HashMap<ImageId, JitProcess>,
    pub(super) tables: TableBuilder,
    /// Files that could not be opened.
    pub(super) n_unopened: u64,
}

impl World {
    pub(super) fn new(interest: Interest) -> Self {
        Self {
            processes: Processes::new(interest),
            objects: HashMap::new(),
            functions: HashMap::new(),
            jit: HashMap::new(),
            tables: TableBuilder::start(),
            n_unopened: 0,
        }
    }

    /// Takes in something that a process did.
    pub(super) fn apply(&mut self, event: ProcessEvent) {
        let mut effects = Vec::new();
        self.processes.apply(event, &mut effects);
        self.carry_out(effects);
    }

    /// Takes in what /proc says of a process; gives whether it is still there.
    pub(super) fn look_at(&mut self, pid: u32) -> bool {
        let Some(snapshot) = snapshot::take(pid) else { return false };
        let mut effects = Vec::new();
        self.processes.insert(snapshot, clock::monotonic_ns(), &mut effects);
        self.carry_out(effects);
        true
    }

    /// Looks at every process again, after events were lost: at what it maps, and whether it is there.
    pub(super) fn look_again(&mut self) {
        for pid in self.processes.live_pids() {
            if !self.look_at(pid) {
                self.processes.vanished(pid);
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                // A file that cannot be opened leaves its frames without names, which the profile says.
                Effect::OpenFile { file, pid, region } => match snapshot::open(pid, &region) {
                    Some(object) => {
                        let object = Arc::new(object);
                        self.tables.request(file, &object);
                        self.objects.insert(file, object);
                    }
                    None => {
                        self.n_unopened += 1;
                        self.tables.give_up(file);
                    }
                },
                Effect::HoldRoot { image, pid } => {
                    if let Some(process) = snapshot::hold_root(pid) {
                        self.jit.insert(image, process);
                    }
                }
            }
        }
    }
}
