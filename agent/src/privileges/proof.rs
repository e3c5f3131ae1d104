//! What a limited process can still do and what it cannot, tried and told as `agent doctor` tells it.

mod others;
mod writes;

use std::{io, path::PathBuf};

use crate::kernel::probe::{Check, Group, Question};

use super::{NEEDS, Report, Status, View, names};

const UNIT: &str = "start it by its systemd unit, or as root";

/// Everything that a limit promises, and that it leaves enough. Called in the process that was limited.
#[must_use]
pub fn checks(report: &Report, writable: &[PathBuf]) -> Vec<Check> {
    let (kept, dropped, no_new_privs) = match Status::of_self() {
        Ok(status) => (kept(report), dropped(report, &status), no_new_privs(&status)),
        Err(error) => {
            let unknown =
                |question: Question| question.missing(error.to_string(), "`mount -t proc none /proc`");
            (unknown(KEPT), unknown(DROPPED), unknown(NO_NEW_PRIVS))
        }
    };
    let mut checks = vec![kept, dropped, no_new_privs, refused_calls(), elsewhere(&report.view), settings()];
    checks.extend(writable.iter().map(|dir| inside(dir)));
    checks.push(other_users());
    checks
}

/// All of these are of the daemon.
const fn question(name: &'static str, needed_for: &'static str, is_required: bool) -> Question {
    Question { group: Group::Daemon, name, needed_for, is_required }
}

const KEPT: Question = question("capabilities kept", "sampling all processes", true);
const DROPPED: Question = question("capabilities dropped", "being less than root", true);
const NO_NEW_PRIVS: Question = question("no_new_privs", "not getting them back", true);

fn kept(report: &Report) -> Check {
    let missing: Vec<_> = report.plan.missing.iter().map(|need| need.capability).collect();
    let is_required = report.plan.missing.iter().any(|need| need.is_required);
    let kept = names(&report.plan.kept);
    if missing.is_empty() {
        return KEPT.ok(kept);
    }
    let all = NEEDS.map(|need| need.capability.to_string()).join(" ");
    Question { is_required, ..KEPT }.missing(
        format!("{kept}; not there: {}", names(&missing)),
        format!("`AmbientCapabilities={all}` in its unit"),
    )
}

/// The sets as the kernel has them now, against what should be left.
fn dropped(report: &Report, status: &Status) -> Check {
    let kept = report.plan.kept_mask();
    let allowed = |name| match name {
        "inheritable" | "ambient" => 0,
        _ => kept,
    };
    let beyond = |(name, mask): (&'static str, u64)| match mask & !allowed(name) {
        0 => None,
        more => Some(format!("{name}: {more:#x} too many")),
    };
    let beyond: Vec<String> = status.sets().into_iter().filter_map(beyond).collect();
    if beyond.is_empty() {
        return DROPPED
            .ok(format!("permitted and effective are {:#x}, bounding {:#x}", kept, status.bounding));
    }
    // The bounding set is of no use without an exec that gives something.
    let is_required = beyond.iter().any(|text| !text.starts_with("bounding"));
    let remedy = "`CapabilityBoundingSet=` in its unit as `AmbientCapabilities=`, or start it as root";
    Question { is_required, ..DROPPED }.missing(beyond.join(", "), remedy)
}

fn no_new_privs(status: &Status) -> Check {
    match status.no_new_privs {
        true => NO_NEW_PRIVS.ok("set"),
        false => NO_NEW_PRIVS.missing("not set", "boot a kernel that this program supports"),
    }
}

/// Each would fail for another reason, or do nothing, if it were let through.
fn refused_calls() -> Check {
    let question =
        question("refused system calls", "not becoming another program or changing other processes", true);
    let mut through = Vec::new();
    let mut refused = Vec::new();
    for (name, number, arguments) in CALLS {
        let [a, b, c, d, e, f] = arguments;
        // SAFETY: what it is given is not there or is nothing, and every pointer is null.
        let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
        let is_refused = result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EPERM);
        if is_refused { &mut refused } else { &mut through }.push(name);
    }
    match through.as_slice() {
        [] => question.ok(refused.join(", ")),
        through => question.missing(
            format!("let through: {}", through.join(", ")),
            "boot a kernel built with CONFIG_SECCOMP_FILTER=y",
        ),
    }
}

/// Calls that harm nothing, with arguments that make them fail or do nothing.
const CALLS: [(&str, libc::c_long, [libc::c_long; 6]); 6] = [
    ("execve", libc::SYS_execve, [0; 6]),
    ("ptrace", libc::SYS_ptrace, [libc::PTRACE_CONT as libc::c_long, 0, 0, 0, 0, 0]),
    ("process_vm_writev", libc::SYS_process_vm_writev, [0; 6]),
    ("setns", libc::SYS_setns, [-1, 0, 0, 0, 0, 0]),
    ("unshare", libc::SYS_unshare, [0; 6]),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, [-1, 0, 0, 0, 0, 0]),
];

fn elsewhere(view: &View) -> Check {
    let question = question(
        "writes elsewhere",
        "leaving other files as they are",
        // Where files may be written by anybody, as in /tmp, only a view or a unit keeps us from it.
        matches!(view, View::ReadOnly),
    );
    match writes::elsewhere() {
        Ok(refused) => question.ok(format!("refused in {}", refused.join(", "))),
        Err(written) => question.missing(format!("possible in {}", written.join(", ")), UNIT),
    }
}

fn settings() -> Check {
    let question = question("kernel settings", "leaving the kernel as it is", true);
    match writes::settings() {
        Ok(refused) => question.ok(format!("cannot be written ({refused})")),
        Err(path) => question.missing(format!("{path} can be opened for writing"), UNIT),
    }
}

fn inside(dir: &std::path::Path) -> Check {
    let question = question("own directory", "the spool and what is kept", true);
    match writes::inside(dir) {
        Ok(()) => question.ok(format!("{} can be written", dir.display())),
        Err(error) => question.missing(
            format!("{}: {error}", dir.display()),
            format!("`chown` it to the user that runs this: '{}'", dir.display()),
        ),
    }
}

fn other_users() -> Check {
    let question = question("processes of other users", "names and whole stacks of theirs", false);
    match others::read_one() {
        others::Found::Read(text) => question.ok(text),
        others::Found::None => question.ok("there are none now"),
        others::Found::Refused(text) => question.missing(text, UNIT),
    }
}

#[cfg(test)]
mod tests {
    use caps::{Capability, CapsHashSet};

    use super::*;
    use crate::kernel::probe::Outcome;
    use crate::privileges::Plan;

    fn report(held: &[Capability]) -> Report {
        let plan = Plan::new(&held.iter().copied().collect::<CapsHashSet>());
        Report { plan, view: View::ReadOnly, n_refused_calls: 1 }
    }

    #[test]
    fn a_set_that_holds_more_than_what_is_kept_is_told() {
        let report = report(&NEEDS.map(|need| need.capability));
        let mask = report.plan.kept_mask();
        let good = Status { permitted: mask, effective: mask, bounding: mask, ..Status::default() };
        assert!(
            matches!(dropped(&report, &good).outcome, Outcome::Ok { .. }),
            "{:?}",
            dropped(&report, &good)
        );
        let cases = [
            (Status { permitted: mask | 1 << 21, ..good }, true),
            (Status { effective: mask | 1, ..good }, true),
            (Status { ambient: mask, ..good }, true),
            (Status { inheritable: 1 << 39, ..good }, true),
            (Status { bounding: u64::MAX, ..good }, false),
        ];
        for (status, expected) in cases {
            let check = dropped(&report, &status);
            assert!(
                matches!(check.outcome, Outcome::Missing { is_required, .. } if is_required == expected),
                "{check:?}"
            );
        }
    }

    #[test]
    fn a_capability_that_is_not_there_is_required_if_nothing_works_without() {
        let without = |left_out: Capability| {
            let held: Vec<_> =
                NEEDS.iter().map(|need| need.capability).filter(|it| *it != left_out).collect();
            kept(&report(&held)).is_required_and_missing()
        };
        let seen = NEEDS.map(|need| without(need.capability));
        assert_eq!(seen, [true, true, true, false, false, false]);
    }

    #[test]
    fn without_no_new_privs_it_is_told() {
        let check = no_new_privs(&Status::default());
        assert!(check.is_required_and_missing(), "{check:?}");
    }
}
