//! What this process may do.

use std::fs;

use super::{
    Check, Group, Question,
    capabilities::Capability,
    names,
    surroundings::{Surroundings, read_number, read_text},
};
use crate::kernel::cost;

/// Inodes of the first namespaces, the same on every boot (`PROC_USER_INIT_INO` and `PROC_PID_INIT_INO` of
/// `include/linux/proc_ns.h`). `NSpid` would not do: a /proc mounted
/// inside a container shows no namespace above its own.
const FIRST_USER_NAMESPACE: u64 = 0xEFFF_FFFD;
const FIRST_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";
const KPTR_RESTRICT: &str = "/proc/sys/kernel/kptr_restrict";

/// Highest level of `perf_event_paranoid` in the kernel itself. Debian and Ubuntu add levels at which
/// `CAP_PERFMON` may not be enough.
const STRICTEST_PARANOID: i64 = 2;

pub(super) fn checks(surroundings: &Surroundings) -> Vec<Check> {
    let mut checks = vec![
        load_and_sample(surroundings),
        user_namespace(surroundings),
        pid_namespace(surroundings),
        perf_event_paranoid(surroundings),
    ];
    checks.extend(useful_capabilities(surroundings));
    checks.extend([kernel_symbols(surroundings), run_time_statistics(surroundings)]);
    checks
}

const fn question(name: &'static str, needed_for: &'static str, is_required: bool) -> Question {
    Question { group: Group::Privileges, name, needed_for, is_required }
}

pub(super) fn load_and_sample(surroundings: &Surroundings) -> Check {
    let question = question("CAP_BPF and CAP_PERFMON", "loading programs, sampling all processes", true);
    let held: Vec<_> = [Capability::BPF, Capability::PERFMON, Capability::SYS_ADMIN]
        .into_iter()
        .filter(|capability| surroundings.capabilities.has(*capability))
        .map(|capability| capability.name)
        .collect();
    match (surroundings.can_load_and_sample(), held.is_empty()) {
        (true, _) => question.ok(held.join(", ")),
        (false, true) => question.missing("neither", surroundings.grant()),
        (false, false) => question.missing(format!("{} only", held.join(", ")), surroundings.grant()),
    }
}

pub(super) fn user_namespace(_: &Surroundings) -> Check {
    let question = question("initial user namespace", "capabilities that count outside of a container", true);
    namespace(question, "user", FIRST_USER_NAMESPACE, "run as root of the host, not in a rootless container")
}

pub(super) fn pid_namespace(_: &Surroundings) -> Check {
    let question = question("initial PID namespace", "the process IDs of the kernel programs", true);
    namespace(question, "pid", FIRST_PID_NAMESPACE, "`docker run --pid=host`, or `hostPID: true` in a pod")
}

fn namespace(question: Question, kind: &str, first: u64, remedy: &str) -> Check {
    let path = format!("/proc/self/ns/{kind}");
    match fs::read_link(&path) {
        Ok(link) => {
            let link = link.to_string_lossy();
            match parse_namespace(&link) {
                Some(inode) if inode == first => question.ok("yes"),
                Some(_) => question.missing(format!("no: {link}"), remedy),
                None => question.missing(format!("not understood: {link}"), remedy),
            }
        }
        Err(error) => question.missing(format!("{path}: {error}"), "`mount -t proc none /proc`"),
    }
}

fn perf_event_paranoid(surroundings: &Surroundings) -> Check {
    let question = question("kernel.perf_event_paranoid", "events of all processes", false);
    let level = match read_number(PARANOID) {
        Ok(level) => level,
        Err(error) => {
            return question.missing(error.to_string(), "boot a kernel built with CONFIG_PERF_EVENTS=y");
        }
    };
    if surroundings.is_all_powerful() {
        question.ok(format!("{level}, of no matter with CAP_SYS_ADMIN"))
    } else if !surroundings.capabilities.has(Capability::PERFMON) {
        question.missing(format!("{level}, matters without CAP_PERFMON"), surroundings.grant())
    } else if level > STRICTEST_PARANOID {
        question.missing(
            format!("{level}, may ask for CAP_SYS_ADMIN"),
            format!("`sysctl -w kernel.perf_event_paranoid={STRICTEST_PARANOID}`"),
        )
    } else {
        question.ok(format!("{level}, of no matter with CAP_PERFMON"))
    }
}

fn useful_capabilities(surroundings: &Surroundings) -> Vec<Check> {
    // Each with what the kernel takes instead.
    let useful = [
        (Capability::SYS_PTRACE, None, "mappings of other users' processes (/proc/PID/maps)"),
        (
            Capability::CHECKPOINT_RESTORE,
            Some(Capability::SYS_ADMIN),
            "mapped files that were replaced or are in containers (/proc/PID/map_files)",
        ),
        (
            Capability::DAC_READ_SEARCH,
            Some(Capability::DAC_OVERRIDE),
            "programs and symbol files that only their owner can read",
        ),
        (Capability::SYSLOG, None, "addresses of kernel functions (/proc/kallsyms)"),
    ];
    let has = |capability| surroundings.capabilities.has(capability);
    useful
        .into_iter()
        .map(|(capability, instead, needed_for)| {
            let question = question(capability.name, needed_for, false);
            match instead {
                _ if has(capability) => question.ok("effective"),
                Some(instead) if has(instead) => question.ok(format!("{} instead", instead.name)),
                _ => question.missing("not effective", surroundings.grant()),
            }
        })
        .collect()
}

fn kernel_symbols(surroundings: &Surroundings) -> Check {
    let question = question(names::KERNEL_SYMBOLS, "names of kernel functions", false);
    let kptr_restrict = read_number(KPTR_RESTRICT);
    match read_text("/proc/kallsyms") {
        Ok(symbols) if shows_addresses(&symbols) => question.ok("/proc/kallsyms shows addresses"),
        Ok(_) => match kptr_restrict {
            // From 2 on nobody sees them.
            Ok(level) if level >= 2 => question.missing(
                format!("hidden from everybody (kernel.kptr_restrict is {level})"),
                "`sysctl -w kernel.kptr_restrict=1`",
            ),
            _ => question.missing("hidden from this user", surroundings.grant()),
        },
        Err(error) => question.refused(&error, surroundings, "boot a kernel built with CONFIG_KALLSYMS=y"),
    }
}

fn run_time_statistics(surroundings: &Surroundings) -> Check {
    let question = question(names::RUN_TIME_STATISTICS, "what the agent itself costs", false);
    match cost::enable_statistics() {
        Some(_) => question.ok("can be switched on"),
        None if surroundings.is_all_powerful() => {
            question.missing("refused", "`sysctl -w kernel.bpf_stats_enabled=1`")
        }
        None => question
            .missing("needs root (CAP_SYS_ADMIN)", "`sysctl -w kernel.bpf_stats_enabled=1`, or run as root"),
    }
}

/// The inode in `pid:[4026531836]`.
fn parse_namespace(link: &str) -> Option<u64> {
    let (_, inode) = link.split_once(":[")?;
    inode.strip_suffix(']')?.parse().ok()
}

/// Hidden addresses read as zero. A symbol of a per-CPU area is at zero in earnest: one other will do.
fn shows_addresses(symbols: &str) -> bool {
    let is_shown = |address: &str| {
        address.bytes().all(|byte| byte.is_ascii_hexdigit()) && address.bytes().any(|byte| byte != b'0')
    };
    symbols.lines().filter_map(|line| line.split_once(' ')).any(|(address, _)| is_shown(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::probe::Outcome;

    #[test]
    fn a_namespace_link_names_an_inode() {
        assert_eq!(parse_namespace("pid:[4026531836]"), Some(FIRST_PID_NAMESPACE));
        assert_eq!(parse_namespace("user:[4026531837]"), Some(FIRST_USER_NAMESPACE));
        assert_eq!(parse_namespace("pid:[4026532177]"), Some(4_026_532_177));
        for garbage in ["", "pid:", "pid:[", "pid:[]", "pid:[-1]", "pid:[99999999999999999999]", "[1]"] {
            assert_eq!(parse_namespace(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn addresses_count_as_shown_when_one_is_not_zero() {
        let hidden = "0000000000000000 A fixed_percpu_data\n0000000000000000 T _stext\n";
        assert!(!shows_addresses(hidden), "{hidden}");
        let shown = "0000000000000000 A fixed_percpu_data\nffffffff81000000 T _stext\n";
        assert!(shows_addresses(shown), "{shown}");
        for garbage in ["", "T _stext", "xyz T _stext\n", "\n \n", "(null) T _stext\n"] {
            assert!(!shows_addresses(garbage), "{garbage:?}");
        }
    }

    #[test]
    fn half_of_the_privileges_are_named_and_not_enough() {
        let found = |bits| load_and_sample(&Surroundings::example(bits, 1000)).outcome;
        assert_eq!(found(1 << 39 | 1 << 38), Outcome::Ok { found: "CAP_BPF, CAP_PERFMON".to_owned() });
        assert_eq!(found(1 << 21), Outcome::Ok { found: "CAP_SYS_ADMIN".to_owned() });
        let seen = [found(1 << 39), found(1 << 38), found(0)].map(|outcome| match outcome {
            Outcome::Missing { found, is_required: true, .. } => found,
            other => format!("{other:?}"),
        });
        assert_eq!(seen, ["CAP_BPF only", "CAP_PERFMON only", "neither"]);
    }
}
