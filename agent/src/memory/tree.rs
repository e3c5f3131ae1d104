//! The processes that are watched, and those that they start meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use profile::{
    memory::{Field, MemoryUse},
    trend::History,
};
use thiserror::Error;

use crate::{
    clock,
    procfs::{
        memory::{self, MemoryError, Rollup, StatusFile},
        stat, status, tasks,
    },
};

/// Processes read on every tick; each keeps one descriptor open, of the usual 1,024.
const MAX_LIVE: usize = 512;
/// Processes that have ended and are still reported.
const MAX_ENDED: usize = 64;
/// Points kept of one process: 8 KiB.
const PROCESS_HISTORY_POINTS: usize = 128;

/// Why a process cannot be watched.
#[derive(Debug, Error)]
pub enum TreeError {
    /// Not there.
    #[error("no process has the ID {pid}: see `ps -e` for those that there are")]
    NoProcess {
        /// As given.
        pid: u32,
    },
    /// There, and not to be read.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// /proc cannot be listed.
    #[error("cannot list the processes in /proc")]
    Proc {
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

/// One process, live or ended.
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) name: String,
    pub(super) start_time_ticks: u64,
    pub(super) seen_from_ns: u64,
    pub(super) seen_until_ns: u64,
    pub(super) has_ended: bool,
    pub(super) usage: MemoryUse,
    pub(super) history: History,
    pub(super) status: StatusFile,
}

/// All that are watched.
pub(super) struct Tree {
    live: BTreeMap<u32, Process>,
    ended: Vec<Process>,
    follows_children: bool,
    /// Processes of this host that are none of ours; a new ID is looked at once.
    others: BTreeSet<u32>,
    /// Processes that have ended and are no longer reported.
    pub(super) n_left_out: u64,
    /// Processes that are missing from the sums: too many, or they could not be opened.
    pub(super) n_unread: u64,
    /// Why PSS is not known, if it is not.
    pub(super) rollup_error: Option<MemoryError>,
    /// The longest that PSS of one process took.
    pub(super) rollup_longest_ns: u64,
    buffer: Vec<u8>,
}

impl Tree {
    /// Finds the processes and reads them once.
    pub(super) fn new(pids: &[u32], follows_children: bool) -> Result<Self, TreeError> {
        let mut tree = Self {
            live: BTreeMap::new(),
            ended: Vec::new(),
            follows_children,
            others: BTreeSet::new(),
            n_left_out: 0,
            n_unread: 0,
            rollup_error: None,
            rollup_longest_ns: 0,
            buffer: Vec::new(),
        };
        for pid in pids {
            let status = status::read(*pid).map_err(|_| TreeError::NoProcess { pid: *pid })?;
            let process = tree.open(status.tgid, 0)?;
            tree.live.insert(status.tgid, process);
        }
        if follows_children {
            tree.find_children(0)?;
        }
        Ok(tree)
    }

    /// Reads all; what has ended is put aside, what is new is taken in.
    pub(super) fn read(&mut self, time_ns: u64) -> Result<(), TreeError> {
        if self.follows_children {
            self.find_children(time_ns)?;
        }
        let mut gone = Vec::new();
        for (pid, process) in &mut self.live {
            match process.status.read(&mut self.buffer) {
                Ok(memory) => {
                    let MemoryUse { proportional_bytes, huge_page_bytes, .. } = process.usage;
                    process.usage = MemoryUse { proportional_bytes, huge_page_bytes, ..memory.usage };
                    process.name = memory.name;
                    process.seen_until_ns = time_ns;
                    let bytes = process.usage.get(Field::AnonymousAndSwap).unwrap_or(0);
                    process.history.push(time_ns, bytes);
                }
                Err(_) => gone.push(*pid),
            }
        }
        for mut process in gone.iter().filter_map(|pid| self.live.remove(pid)) {
            process.has_ended = true;
            self.ended.push(process);
        }
        self.forget_the_small();
        Ok(())
    }

    /// Has the kernel walk the page tables of all: PSS and huge pages.
    pub(super) fn read_rollups(&mut self) {
        for (pid, process) in &mut self.live {
            let began_ns = clock::monotonic_ns();
            match memory::read_rollup(*pid) {
                Ok(Rollup { proportional_bytes, huge_page_bytes }) => {
                    process.usage.proportional_bytes = Some(proportional_bytes);
                    process.usage.huge_page_bytes = Some(huge_page_bytes);
                }
                Err(error) => {
                    process.usage.proportional_bytes = None;
                    process.usage.huge_page_bytes = None;
                    // A process that has just ended is none to complain about.
                    if process.status.read(&mut self.buffer).is_ok() {
                        self.rollup_error = Some(error);
                    }
                }
            }
            let took_ns = clock::monotonic_ns().saturating_sub(began_ns);
            self.rollup_longest_ns = self.rollup_longest_ns.max(took_ns);
        }
    }

    /// Sums over the live.
    pub(super) fn sum(&self) -> MemoryUse {
        MemoryUse::sum(self.live.values().map(|process| &process.usage))
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Process> {
        self.live.values()
    }

    pub(super) fn n_live(&self) -> usize {
        self.live.len()
    }

    /// Live and ended.
    pub(super) fn all(&self) -> impl Iterator<Item = &Process> {
        self.live.values().chain(&self.ended)
    }

    fn open(&mut self, pid: u32, time_ns: u64) -> Result<Process, MemoryError> {
        let status = StatusFile::open(pid)?;
        let memory = status.read(&mut self.buffer)?;
        Ok(Process {
            pid,
            name: memory.name,
            start_time_ticks: stat::read(pid).map_or(0, |stat| stat.start_time_ticks),
            seen_from_ns: time_ns,
            seen_until_ns: time_ns,
            has_ended: false,
            usage: memory.usage,
            history: History::new(PROCESS_HISTORY_POINTS),
            status,
        })
    }

    /// Looks at every process ID that was not there before. A child is ours if its parent is when it is first seen.
    fn find_children(&mut self, time_ns: u64) -> Result<(), TreeError> {
        let all: BTreeSet<u32> = tasks::all_pids().map_err(|source| TreeError::Proc { source })?.collect();
        self.others.retain(|pid| all.contains(pid));
        let is_new = |pid: &&u32| !self.others.contains(pid) && !self.live.contains_key(pid);
        let mut new: Vec<(u32, u32)> = all
            .iter()
            .filter(is_new)
            .filter_map(|pid| Some((*pid, stat::read(*pid).ok()?.parent_pid)))
            .collect();
        // A child may be listed before its parent: IDs wrap around.
        loop {
            let (ours, others): (Vec<_>, Vec<_>) =
                new.into_iter().partition(|(_, parent_pid)| self.live.contains_key(parent_pid));
            for (pid, _) in &ours {
                self.take_in(*pid, time_ns);
            }
            new = others;
            if ours.is_empty() {
                break;
            }
        }
        self.others.extend(new.iter().map(|(pid, _)| *pid));
        Ok(())
    }

    fn take_in(&mut self, pid: u32, time_ns: u64) {
        if self.live.len() < MAX_LIVE {
            match self.open(pid, time_ns) {
                Ok(process) => {
                    self.live.insert(pid, process);
                    return;
                }
                Err(error) if error.is_gone() => {}
                Err(_) => self.n_unread += 1,
            }
        } else {
            self.n_unread += 1;
        }
        // Looked at once, like all others: a zombie may stay for long.
        self.others.insert(pid);
    }

    /// Keeps the largest of those that have ended.
    fn forget_the_small(&mut self) {
        if self.ended.len() > MAX_ENDED {
            self.ended.sort_by_key(|process| std::cmp::Reverse(process.usage.resident_bytes));
            self.n_left_out += (self.ended.len() - MAX_ENDED) as u64;
            self.ended.truncate(MAX_ENDED);
        }
    }
}
