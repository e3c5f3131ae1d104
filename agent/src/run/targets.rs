//! Who is sampled: from what the user said to a configuration of the kernel side and a list of processes.

use std::{collections::BTreeSet, fmt::Debug, sync::Arc};

use abi::{
    config::{Config, SCOPE_ALL, SCOPE_CGROUP, SCOPE_CHILDREN, SCOPE_COMM},
    limits::COMM_BYTES,
};
use profile::Labels;
use thiserror::Error;

use super::Command;
use crate::{
    process::Interest,
    procfs::{
        cgroup::{self, Cgroup},
        stat, status, tasks,
    },
};

/// Decides what a process is to us, by what it is.
pub trait Choose: Debug + Send + Sync {
    /// To whom belongs what is sampled of a process, by what it is now; `None` if it is no target or has gone.
    fn judge(&self, pid: u32) -> Option<Arc<Labels>>;
}

/// Who is sampled.
#[derive(Debug)]
pub enum Targets {
    /// These processes; any of their threads may stand for one.
    Pids(Vec<u32>),
    /// Processes of this name, now and later.
    Name(String),
    /// Processes in this control group and below it.
    Cgroup(Cgroup),
    /// All there are.
    All,
    /// A command, from its first instruction.
    Command(Command),
    /// Processes that are chosen one by one as they are seen, and what they fork.
    Chosen(Arc<dyn Choose>),
    /// All there are, each belonging to somebody.
    Sorted(Arc<dyn Choose>),
}

/// Why there is nothing to sample.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Not there.
    #[error("no process has the ID {pid}: see `ps -e` for those that there are")]
    NoProcess {
        /// As given.
        pid: u32,
    },
    /// The kernel keeps 15 bytes.
    #[error("`{name}` is longer than a process name can be ({max} bytes): give the first {max}, as `ps -o comm` shows them", max = COMM_BYTES - 1)]
    NameTooLong {
        /// As given.
        name: String,
    },
    /// /proc cannot be listed.
    #[error("cannot list the processes in /proc")]
    Proc {
        /// What the kernel answered.
        #[source]
        source: std::io::Error,
    },
}

impl Targets {
    /// What the kernel side decides by.
    pub(super) fn config(&self, follow_children: bool) -> Result<Config, TargetError> {
        let config = Config::default();
        Ok(match self {
            Self::Pids(_) | Self::Command(_) | Self::Chosen(_) => config,
            Self::All | Self::Sorted(_) => Config { scope: SCOPE_ALL, ..config },
            Self::Cgroup(cgroup) => {
                Config { scope: SCOPE_CGROUP, cgroup_id: cgroup.id, cgroup_level: cgroup.level, ..config }
            }
            Self::Name(name) => {
                let mut comm = [0; COMM_BYTES];
                if name.len() >= COMM_BYTES {
                    return Err(TargetError::NameTooLong { name: name.clone() });
                }
                comm[..name.len()].copy_from_slice(name.as_bytes());
                let children = if follow_children { SCOPE_CHILDREN } else { 0 };
                Config { scope: SCOPE_COMM | children, comm, ..config }
            }
        })
    }

    /// What the table of processes follows.
    pub(super) fn interest(&self, children: bool) -> Interest {
        Interest {
            everything: matches!(self, Self::All | Self::Cgroup(_) | Self::Sorted(_)),
            name: match self {
                Self::Name(name) => Some(name.clone()),
                _ => None,
            },
            children,
        }
    }

    /// Whether the kernel side needs an entry for each process.
    pub(super) fn are_listed(&self) -> bool {
        matches!(self, Self::Pids(_) | Self::Name(_) | Self::Command(_) | Self::Chosen(_))
    }

    /// Who is asked what a process is to us.
    pub(super) fn chooser(&self) -> Option<Arc<dyn Choose>> {
        match self {
            Self::Chosen(chooser) | Self::Sorted(chooser) => Some(Arc::clone(chooser)),
            _ => None,
        }
    }

    /// The processes that there are now.
    pub(super) fn present(&self, follow_children: bool) -> Result<BTreeSet<u32>, TargetError> {
        let all = || tasks::all_pids().map_err(|source| TargetError::Proc { source });
        let roots: BTreeSet<u32> = match self {
            Self::All | Self::Sorted(_) => return Ok(all()?.collect()),
            Self::Cgroup(group) => {
                let is_in = |pid: &u32| {
                    cgroup::path_of(*pid)
                        .is_ok_and(|path| path.is_some_and(|path| path.starts_with(&group.path)))
                };
                return Ok(all()?.filter(is_in).collect());
            }
            Self::Command(command) => return Ok(BTreeSet::from([command.pid()])),
            Self::Chosen(chooser) => all()?.filter(|pid| chooser.judge(*pid).is_some()).collect(),
            Self::Name(name) => {
                all()?.filter(|pid| stat::read(*pid).is_ok_and(|stat| stat.comm == *name)).collect()
            }
            Self::Pids(pids) => pids
                .iter()
                .map(|pid| {
                    status::read(*pid)
                        .map(|status| status.tgid)
                        .map_err(|_| TargetError::NoProcess { pid: *pid })
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(if follow_children { with_descendants(roots, all()?) } else { roots })
    }
}

/// Adds the children of what is in the set until there are no more.
fn with_descendants(mut set: BTreeSet<u32>, all: impl Iterator<Item = u32>) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> =
        all.filter_map(|pid| Some((pid, stat::read(pid).ok()?.parent_pid))).collect();
    loop {
        let before = set.len();
        for (pid, parent_pid) in &parents {
            if set.contains(parent_pid) {
                set.insert(*pid);
            }
        }
        if set.len() == before {
            return set;
        }
    }
}
