//! What is known of the processes on this host, and what is held of them: files, roots, unwind tables.

use std::{collections::HashMap, sync::Arc};

use super::{roots::Roots, snapshot, table_builder::TableBuilder, targets::Choose};
use crate::{
    clock,
    decode::{ProcessEvent, ProcessEventKind},
    object::ObjectFile,
    process::{Effect, FileId, ImageId, Interest, Processes},
    procfs::{stat, tasks},
    symbolize::JitProcess,
    table_cache::TableCache,
    unwind::{Functions, Table, TableKey},
};

/// How far up it is looked for whom a process came from.
const MAX_ANCESTORS: usize = 16;

/// The table of processes and everything that had to be taken from them while they were there.
pub(super) struct World {
    pub(super) processes: Processes,
    /// Files that were mapped, open since they were first seen.
    pub(super) objects: HashMap<FileId, Arc<ObjectFile>>,
    /// Where the functions of files are, by their unwind information.
    pub(super) functions: HashMap<FileId, Functions>,
    /// The same for what their tables are made from: copies of a file have one list.
    functions_by_key: HashMap<TableKey, Functions>,
    /// Where images that make code at run time describe it.
    pub(super) jit: HashMap<ImageId, Arc<JitProcess>>,
    pub(super) tables: TableBuilder,
    roots: Roots,
    /// Files that could not be opened.
    pub(super) n_unopened: u64,
    chooser: Option<Arc<dyn Choose>>,
    /// Targets that the kernel side has not been told of.
    chosen: Vec<u32>,
    /// Of targets that were chosen, when the kernel side was told; later than any event until it is. It follows what they
    /// fork from then on.
    told_ns: HashMap<u32, u64>,
    /// Whoever is not chosen is nobody.
    is_choosy: bool,
}

impl World {
    pub(super) fn new(
        interest: Interest,
        chooser: Option<Arc<dyn Choose>>,
        table_cache: Option<TableCache>,
    ) -> Self {
        Self {
            is_choosy: chooser.is_some() && !interest.everything,
            processes: Processes::new(interest),
            objects: HashMap::new(),
            functions: HashMap::new(),
            functions_by_key: HashMap::new(),
            jit: HashMap::new(),
            tables: TableBuilder::start(table_cache),
            roots: Roots::new(),
            n_unopened: 0,
            chooser,
            chosen: Vec::new(),
            told_ns: HashMap::new(),
        }
    }

    /// Takes in something that a process did.
    pub(super) fn apply(&mut self, event: ProcessEvent) {
        let ProcessEvent { time_ns, .. } = event;
        let (executed, forked) = match &event.kind {
            ProcessEventKind::Exec { pid, .. } => (Some(*pid), None),
            ProcessEventKind::Fork { pid, parent_pid, .. } => (None, Some((*pid, *parent_pid))),
            _ => (None, None),
        };
        let mut effects = Vec::new();
        self.processes.apply(event, &mut effects);
        self.carry_out(effects);
        if let Some(pid) = executed {
            self.choose(pid);
        }
        if let Some((pid, parent_pid)) = forked
            && pid != parent_pid
            && self.told_ns.get(&parent_pid).is_some_and(|told_ns| time_ns <= *told_ns)
        {
            self.add_chosen(pid);
        }
    }

    fn add_chosen(&mut self, pid: u32) {
        self.chosen.push(pid);
        self.told_ns.insert(pid, u64::MAX);
    }

    /// The targets that the kernel side is to be told of now. All events up to `as_of_ns` have been taken in.
    pub(super) fn take_chosen(&mut self, as_of_ns: u64) -> Vec<u32> {
        self.told_ns.retain(|_, told_ns| *told_ns > as_of_ns);
        let chosen = std::mem::take(&mut self.chosen);
        let is_there = |pid: &u32| self.processes.present_image(*pid).is_some_and(|image| !image.has_ended());
        chosen.into_iter().filter(is_there).collect()
    }

    /// The kernel side has been told of all that were taken.
    pub(super) fn told(&mut self) {
        let now_ns = clock::monotonic_ns();
        self.told_ns.values_mut().for_each(|told_ns| *told_ns = now_ns.min(*told_ns));
    }

    /// A process that is not followed has become another program: it may be a target now.
    fn choose(&mut self, pid: u32) {
        let Some(chooser) = &self.chooser else { return };
        if self.processes.present_image(pid).is_some_and(|image| !image.has_ended()) {
            return;
        }
        if chooser.judge(pid).is_some() && self.look_at(pid) {
            self.add_chosen(pid);
        }
    }

    /// Finds out to whom an image belongs, if nobody has since it began: by what it is, or by who made it.
    pub(super) fn judge(&mut self, id: ImageId) {
        let Some(chooser) = &self.chooser else { return };
        let Some(image) = self.processes.image(id).filter(|image| !image.is_judged) else { return };
        let mut pid = (!image.has_ended()).then_some(image.pid);
        let mut group = None;
        for _ in 0..MAX_ANCESTORS {
            let Some(asked) = pid.filter(|_| group.is_none()) else { break };
            group = chooser.judge(asked);
            pid = stat::read(asked).ok().map(|stat| stat.parent_pid).filter(|parent| *parent != 0);
        }
        self.processes.judged(id, group);
    }

    /// Takes in what /proc says of a process; gives whether it is still there.
    pub(super) fn look_at(&mut self, pid: u32) -> bool {
        let Some(snapshot) = snapshot::take(pid) else { return false };
        let mut effects = Vec::new();
        self.processes.insert(snapshot, clock::monotonic_ns(), &mut effects);
        self.carry_out(effects);
        true
    }

    /// Looks at every process again, after events were lost: at what it maps, whether it is there, and whether it has
    /// become a target.
    pub(super) fn look_again(&mut self) {
        for pid in self.processes.live_pids() {
            if !self.look_at(pid) {
                self.processes.vanished(pid);
            }
        }
        if self.is_choosy {
            tasks::all_pids().into_iter().flatten().for_each(|pid| self.choose(pid));
        }
    }

    /// Asks for the table of a file again.
    pub(super) fn request_table(&mut self, file: FileId) {
        if let Some(object) = self.objects.get(&file) {
            self.tables.request(file, object);
        }
    }

    /// Keeps where the functions of a file are.
    pub(super) fn keep_functions(&mut self, file: FileId, table: &Table) {
        let functions = match table.key {
            Some(key) => self.functions_by_key.entry(key).or_insert_with(|| table.functions.clone()),
            None => &table.functions,
        };
        self.functions.insert(file, functions.clone());
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                // A file that cannot be opened leaves its frames without names, which the profile says.
                Effect::OpenFile { file, pid, region } => match snapshot::open(pid, &region) {
                    Some(mut object) => {
                        object.root = self.roots.of(pid);
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
                        self.jit.insert(image, Arc::new(process));
                    }
                }
            }
        }
    }
}
