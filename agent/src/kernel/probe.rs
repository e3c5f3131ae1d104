//! What this host allows: one list of checks, all of it for `agent doctor`, the cheap and required part for
//! what must hold before `agent record` begins.
//!
//! A check tries the thing itself where it can, and closes it at once: nothing it opens outlives the call.

mod bpf;
mod capabilities;
mod events;
mod host;
mod privileges;
mod surroundings;

use std::io;

use surroundings::Surroundings;

/// Names of the checks that others refer to.
pub mod names {
    /// Control groups, version 2.
    pub const CGROUP: &str = "cgroup v2";
    /// Sampling by timer.
    pub const CPU_CLOCK: &str = "cpu-clock";
    /// Sampling at page faults.
    pub const PAGE_FAULTS: &str = "page-faults";
    /// Exec, exit and mmap records.
    pub const PROCESS_EVENTS: &str = "process events";
    /// Forks.
    pub const TASK_NEWTASK: &str = "task:task_newtask";
    /// Growth of resident memory.
    pub const RSS_STAT: &str = "kmem:rss_stat";
    /// Blocked time.
    pub const SCHED_SWITCH: &str = "sched:sched_switch";
    /// Begin of a system call.
    pub const SYS_ENTER: &str = "raw_syscalls:sys_enter";
    /// End of a system call.
    pub const SYS_EXIT: &str = "raw_syscalls:sys_exit";
    /// Probes in user programs.
    pub const UPROBES: &str = "uprobes";
    /// The program type that a uprobe runs.
    pub const UPROBE_PROGRAM: &str = "program type kprobe";
    /// Addresses in /proc/kallsyms.
    pub const KERNEL_SYMBOLS: &str = "kernel symbols";
    /// Look into processes of other users.
    pub const SYS_PTRACE: &str = "CAP_SYS_PTRACE";
    /// Run time of the kernel programs.
    pub const RUN_TIME_STATISTICS: &str = "BPF run-time statistics";
}

/// One thing that the agent asks of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Where it stands in the list.
    pub group: Group,
    /// What was looked for.
    pub name: &'static str,
    /// What does not work without it.
    pub needed_for: &'static str,
    /// What was found.
    pub outcome: Outcome,
}

/// Part of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The kernel and what is mounted.
    Host,
    /// What this process may do.
    Privileges,
    /// What the kernel programs can be attached to.
    EventSources,
    /// What is left to a process that was limited as the daemon is.
    Daemon,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There and usable.
    Ok {
        /// In a few words.
        found: String,
    },
    /// Not there, or not for us.
    Missing {
        /// What was seen instead.
        found: String,
        /// The command, between backticks, that mends it.
        remedy: String,
        /// Whether nothing at all can be recorded without it.
        is_required: bool,
    },
}

impl Check {
    /// Whether nothing can be recorded because of this.
    #[must_use]
    pub const fn is_required_and_missing(&self) -> bool {
        matches!(self.outcome, Outcome::Missing { is_required: true, .. })
    }
}

/// Everything, in reading order.
#[must_use]
pub fn checks() -> Vec<Check> {
    let surroundings = Surroundings::read();
    let mut checks = host::checks(&surroundings);
    checks.extend(bpf::checks(&surroundings));
    checks.extend(privileges::checks(&surroundings));
    checks.extend(events::checks(&surroundings));
    checks
}

/// Why this host cannot tell what makes memory grow; none if it can.
#[must_use]
pub fn why_not_resident() -> Option<String> {
    match events::resident(&Surroundings::read()).outcome {
        Outcome::Ok { .. } => None,
        Outcome::Missing { found, remedy, .. } => Some(format!("{}: {found}; {remedy}", names::RSS_STAT)),
    }
}

/// What `record` cannot do without and does not name as well itself when it fails there. Each is a file or two;
/// together they take some milliseconds.
#[must_use]
pub fn first_missing_requirement() -> Option<Check> {
    const REQUIREMENTS: [fn(&Surroundings) -> Check; 8] = [
        host::kernel_version,
        privileges::user_namespace,
        privileges::load_and_sample,
        privileges::pid_namespace,
        host::lockdown,
        host::type_information,
        host::tracefs,
        events::cpu_clock,
    ];
    let surroundings = Surroundings::read();
    REQUIREMENTS.iter().map(|check| check(&surroundings)).find(Check::is_required_and_missing)
}

/// What is asked; an answer makes a [`Check`] of it.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) group: Group,
    pub(crate) name: &'static str,
    pub(crate) needed_for: &'static str,
    pub(crate) is_required: bool,
}

impl Question {
    pub(crate) fn ok(self, found: impl Into<String>) -> Check {
        self.check(Outcome::Ok { found: found.into() })
    }

    pub(crate) fn missing(self, found: impl Into<String>, remedy: impl Into<String>) -> Check {
        let is_required = self.is_required;
        self.check(Outcome::Missing { found: found.into(), remedy: remedy.into(), is_required })
    }

    /// The kernel said no: for want of privileges, or else for the reason that `remedy` mends.
    fn refused(self, error: &io::Error, surroundings: &Surroundings, remedy: impl Into<String>) -> Check {
        let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
        if is_denied && !surroundings.can_load_and_sample() {
            self.missing("needs root", surroundings.grant())
        } else if is_denied && !surroundings.is_all_powerful() {
            self.missing(format!("needs root ({error})"), remedy)
        } else {
            self.missing(error.to_string(), remedy)
        }
    }

    fn check(self, outcome: Outcome) -> Check {
        Check { group: self.group, name: self.name, needed_for: self.needed_for, outcome }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: Question =
        Question { group: Group::Host, name: "thing", needed_for: "all", is_required: true };

    fn found(check: &Check) -> &str {
        match &check.outcome {
            Outcome::Ok { found } | Outcome::Missing { found, .. } => found,
        }
    }

    #[test]
    fn every_check_answers_whatever_the_privileges_and_names_are_unique() {
        let checks = checks();
        let mut names: Vec<_> = checks.iter().map(|check| check.name).collect();
        names.sort_unstable();
        let n_named = names.len();
        names.dedup();
        assert_eq!(names.len(), n_named, "{names:?}");
        for check in &checks {
            assert!(!check.needed_for.is_empty() && !found(check).is_empty(), "{check:?}");
            if let Outcome::Missing { remedy, .. } = &check.outcome {
                assert!(!remedy.is_empty(), "{check:?}");
            }
        }
    }

    #[test]
    fn the_cheap_subset_never_finds_what_the_whole_list_does_not() {
        let checks = checks();
        let missing: Vec<_> = checks.iter().filter(|check| check.is_required_and_missing()).collect();
        let first = first_missing_requirement();
        assert!(first.as_ref().is_none_or(|first| missing.contains(&first)), "{first:?} in {missing:?}");
    }

    #[test]
    fn a_refusal_without_privileges_says_so_and_names_the_way_to_get_them() {
        let denied = io::Error::from_raw_os_error(libc::EPERM);
        let check = QUESTION.refused(&denied, &Surroundings::example(0, 1000), "other");
        assert_eq!(found(&check), "needs root");
        assert!(
            matches!(&check.outcome, Outcome::Missing { remedy, .. } if remedy.contains("setcap cap_bpf")),
            "{check:?}"
        );
    }

    #[test]
    fn a_refusal_in_spite_of_privileges_keeps_its_own_remedy() {
        let absent = io::Error::from_raw_os_error(libc::ENOENT);
        let denied = io::Error::from_raw_os_error(libc::EPERM);
        let root = Surroundings::example(u64::MAX, 0);
        let user = Surroundings::example(0, 1000);
        for (error, surroundings) in [(&absent, &user), (&absent, &root), (&denied, &root)] {
            let check = QUESTION.refused(error, surroundings, "`do that`");
            let expected = Outcome::Missing {
                found: error.to_string(),
                remedy: "`do that`".to_owned(),
                is_required: true,
            };
            assert_eq!(check.outcome, expected);
        }
    }
}
