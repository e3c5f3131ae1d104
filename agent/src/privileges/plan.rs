//! Which capabilities are kept, and what does not work without each. Pure.

use caps::{Capability, CapsHashSet};

/// A capability that is kept, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which.
    pub capability: Capability,
    /// What takes it.
    pub needed_for: &'static str,
    /// What happens without it.
    pub without: &'static str,
    /// Whether nothing at all can be recorded without it.
    pub is_required: bool,
}

/// All of them. Each was found by leaving it out of a recording of another user's processes (docs/privileges.md).
pub const NEEDS: [Need; 6] = [
    Need {
        capability: Capability::CAP_BPF,
        needed_for: "kernel programs and maps, also those that come later",
        without: "nothing can be recorded",
        is_required: true,
    },
    Need {
        capability: Capability::CAP_PERFMON,
        needed_for: "events of all processes, probes, and programs that read memory",
        without: "nothing can be recorded",
        is_required: true,
    },
    Need {
        capability: Capability::CAP_DAC_READ_SEARCH,
        needed_for: "tracefs, programs and symbol files that only their owner can read",
        without: "nothing can be recorded, unless tracefs is open to this user",
        is_required: true,
    },
    Need {
        capability: Capability::CAP_SYS_PTRACE,
        needed_for: "/proc/PID of other users: mappings, mapped files, root directory",
        without: "files of other users' processes stay closed: no names, stacks that end early",
        is_required: false,
    },
    Need {
        capability: Capability::CAP_CHECKPOINT_RESTORE,
        needed_for: "/proc/PID/map_files: files that were replaced, deleted or are in containers",
        without: "such files stay closed: no names, stacks that end early",
        is_required: false,
    },
    Need {
        capability: Capability::CAP_SYSLOG,
        needed_for: "addresses in /proc/kallsyms",
        without: "kernel functions have no names",
        is_required: false,
    },
];

/// What is to become of the capabilities that a process has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Kept, in the order of [`NEEDS`].
    pub kept: Vec<Capability>,
    /// Wanted and not there.
    pub missing: Vec<Need>,
    /// There and not wanted.
    pub dropped: CapsHashSet,
}

impl Plan {
    /// For a process that may use these.
    #[must_use]
    pub fn new(permitted: &CapsHashSet) -> Self {
        let (kept, missing): (Vec<Need>, Vec<Need>) =
            NEEDS.iter().partition(|need| permitted.contains(&need.capability));
        let kept: Vec<_> = kept.iter().map(|need| need.capability).collect();
        let dropped = permitted.iter().filter(|it| !kept.contains(it)).copied().collect();
        Self { kept, missing, dropped }
    }

    /// Bits of what is kept, as /proc/PID/status has them.
    #[must_use]
    pub fn kept_mask(&self) -> u64 {
        self.kept.iter().fold(0, |mask, capability| mask | capability.bitmask())
    }
}

/// `CAP_BPF, CAP_PERFMON`.
#[must_use]
pub fn names(capabilities: &[Capability]) -> String {
    match capabilities {
        [] => "none".to_owned(),
        some => some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_everything_the_six_are_kept_and_the_power_over_all_is_not() {
        let plan = Plan::new(&caps::all());
        assert_eq!(plan.kept, NEEDS.map(|need| need.capability));
        assert_eq!(plan.kept_mask(), 1 << 39 | 1 << 38 | 1 << 2 | 1 << 19 | 1 << 40 | 1 << 34);
        assert!(plan.missing.is_empty(), "{plan:?}");
        assert_eq!(plan.dropped.len() + plan.kept.len(), caps::all().len());
        for dropped in [Capability::CAP_SYS_ADMIN, Capability::CAP_DAC_OVERRIDE, Capability::CAP_SETPCAP] {
            assert!(plan.dropped.contains(&dropped), "{dropped} in {plan:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_missing_and_not_kept() {
        let held = CapsHashSet::from([Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_CHOWN]);
        let plan = Plan::new(&held);
        assert_eq!(names(&plan.kept), "CAP_BPF, CAP_PERFMON");
        assert_eq!(plan.dropped, CapsHashSet::from([Capability::CAP_CHOWN]));
        let missing: Vec<_> = plan.missing.iter().map(|need| need.capability).collect();
        assert_eq!(
            names(&missing),
            "CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_CHECKPOINT_RESTORE, CAP_SYSLOG"
        );
    }

    #[test]
    fn of_nothing_nothing_is_kept() {
        let plan = Plan::new(&CapsHashSet::new());
        assert_eq!(
            (plan.kept_mask(), plan.missing.len(), plan.dropped.len()),
            (0, NEEDS.len(), 0),
            "{plan:?}"
        );
        assert_eq!(names(&plan.kept), "none");
    }
}
