//! `agent doctor`: what this host allows, what is missing, and the command that mends it.

mod limited;

use std::io::Write;

use serde::Serialize;

use crate::{
    args::{DoctorArgs, DoctorForm},
    kernel::probe::{self, Check, Group, Outcome, names},
};

const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// Looks at this host and tells what it found; gives whether all that is required is there. With `--daemon` it gives up
/// what the daemon gives up, for good, and looks then.
///
/// # Errors
/// If `out` cannot be written, or the limits of the daemon cannot be set.
pub fn run(out: &mut impl Write, args: &DoctorArgs, colour: bool) -> anyhow::Result<bool> {
    let checks =
        if args.daemon { limited::checks(&args.writable, args.config.as_deref())? } else { probe::checks() };
    let rendered = match args.format {
        DoctorForm::Text => text(&checks, colour),
        DoctorForm::Json => json(&checks)?,
    };
    out.write_all(rendered.as_bytes())?;
    out.flush()?;
    Ok(!checks.iter().any(Check::is_required_and_missing))
}

/// What a user wants to do, and the checks that it rests on, besides all that are required.
struct Ability {
    name: &'static str,
    rests_on: &'static [&'static str],
}

const ABILITIES: [Ability; 9] = [
    Ability { name: "record cpu samples", rests_on: &[names::CPU_CLOCK] },
    Ability { name: "record what makes memory grow", rests_on: &[names::RSS_STAT] },
    Ability { name: "record blocked time", rests_on: &[names::SCHED_SWITCH] },
    Ability { name: "record allocations", rests_on: &[names::UPROBES, names::UPROBE_PROGRAM] },
    Ability { name: "follow requests", rests_on: &[names::SYS_ENTER, names::SYS_EXIT] },
    Ability { name: "filter by control group", rests_on: &[names::CGROUP] },
    Ability { name: "see processes of other users", rests_on: &[names::SYS_PTRACE] },
    Ability { name: "name kernel functions", rests_on: &[names::KERNEL_SYMBOLS] },
    Ability { name: "tell its own cost", rests_on: &[names::RUN_TIME_STATISTICS] },
];

fn text(checks: &[Check], colour: bool) -> String {
    let paint = |style: &str, text: &str| match colour {
        true => format!("{style}{text}{RESET}"),
        false => text.to_owned(),
    };
    let name_width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    let mut group = None;
    // One command often mends several things: it is written once.
    let mut remedies: Vec<(&str, &str)> = Vec::new();
    for check in checks {
        if group.replace(check.group) != Some(check.group) {
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.push(paint(BOLD, heading(check.group)));
        }
        let (mark, found) = match &check.outcome {
            Outcome::Ok { found } => (paint(GREEN, "ok"), found),
            Outcome::Missing { found, is_required: false, .. } => (paint(YELLOW, "--"), found),
            Outcome::Missing { found, is_required: true, .. } => (paint(RED, "!!"), found),
        };
        lines.push(format!("  {mark}  {:name_width$}  {}", check.name, printable(found)));
        if let Outcome::Missing { remedy, .. } = &check.outcome {
            lines.push(format!("      needed for: {}", check.needed_for));
            let to_mend = match remedies.iter().find(|(known, _)| known == remedy) {
                Some((_, first)) => format!("as for {first}"),
                None => printable(remedy),
            };
            lines.push(format!("      to mend:    {to_mend}"));
            if remedy.contains('`') {
                remedies.push((remedy, check.name));
            }
        }
    }
    lines.extend([String::new(), summary(checks), String::new()]);
    lines.join("\n")
}

const fn heading(group: Group) -> &'static str {
    match group {
        Group::Host => "Host",
        Group::Privileges => "Privileges",
        Group::EventSources => "Event sources",
        Group::Daemon => "Limited as the daemon is",
    }
}

/// A path can hold control characters, and a terminal obeys them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn summary(checks: &[Check]) -> String {
    let has_requirements = !checks.iter().any(Check::is_required_and_missing);
    let is_ok = |name: &&str| {
        checks.iter().any(|check| check.name == *name && matches!(check.outcome, Outcome::Ok { .. }))
    };
    let (can, cannot): (Vec<_>, Vec<_>) =
        ABILITIES.iter().partition(|ability| has_requirements && ability.rests_on.iter().all(is_ok));
    let list = |abilities: Vec<&Ability>| match abilities.len() {
        0 => "nothing".to_owned(),
        _ => abilities.iter().map(|ability| ability.name).collect::<Vec<_>>().join(", "),
    };
    format!("this host can: {}; cannot: {}", list(can), list(cannot))
}

/// One check, for programs.
#[derive(Serialize)]
struct Entry<'a> {
    group: &'static str,
    name: &'static str,
    needed_for: &'static str,
    /// `ok` or `missing`.
    outcome: &'static str,
    found: &'a str,
    /// Only of what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
    /// Only of what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_required: Option<bool>,
}

fn json(checks: &[Check]) -> serde_json::Result<String> {
    let entries: Vec<_> = checks.iter().map(entry).collect();
    serde_json::to_string_pretty(&entries).map(|json| json + "\n")
}

fn entry(check: &Check) -> Entry<'_> {
    let group = match check.group {
        Group::Host => "host",
        Group::Privileges => "privileges",
        Group::EventSources => "event_sources",
        Group::Daemon => "daemon",
    };
    let (outcome, found, remedy, is_required) = match &check.outcome {
        Outcome::Ok { found } => ("ok", found, None, None),
        Outcome::Missing { found, remedy, is_required } => {
            ("missing", found, Some(remedy.as_str()), Some(*is_required))
        }
    };
    Entry { group, name: check.name, needed_for: check.needed_for, outcome, found, remedy, is_required }
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    fn golden(name: &str, rendered: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/doctor").join(name);
        if env::var_os("BLESS").is_some_and(|value| value == "1") {
            fs::create_dir_all(path.parent().unwrap_or(&path)).expect("golden directory");
            fs::write(&path, rendered).expect("golden file");
        }
        let expected =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(rendered == expected, "{name} differs; now it is:\n{rendered}\nand it was:\n{expected}");
    }

    fn ok(group: Group, name: &'static str, found: &str) -> Check {
        Check { group, name, needed_for: "something", outcome: Outcome::Ok { found: found.to_owned() } }
    }

    fn missing(is_required: bool, group: Group, name: &'static str, [found, remedy]: [&str; 2]) -> Check {
        let (found, remedy) = (found.to_owned(), remedy.to_owned());
        Check {
            group,
            name,
            needed_for: "something",
            outcome: Outcome::Missing { found, remedy, is_required },
        }
    }

    /// A virtual machine, seen by root: two things are missing, neither is required.
    fn virtual_machine() -> Vec<Check> {
        let mount =
            ["no version 2 control group hierarchy is mounted", "`mount -t cgroup2 none /sys/fs/cgroup`"];
        let mut checks = vec![
            ok(Group::Host, "kernel version", "6.1.0-49-cloud-amd64"),
            missing(false, Group::Host, names::CGROUP, mount),
            ok(Group::Host, names::UPROBE_PROGRAM, "loads"),
            ok(Group::Privileges, "CAP_BPF and CAP_PERFMON", "CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN"),
        ];
        let privileges = [names::SYS_PTRACE, names::KERNEL_SYMBOLS, names::RUN_TIME_STATISTICS];
        checks.extend(privileges.map(|name| ok(Group::Privileges, name, "effective")));
        let counter = ["no hardware counter (No such file or directory (os error 2))", "none needed"];
        checks.push(missing(false, Group::EventSources, "cpu cycles", counter));
        let events = [names::CPU_CLOCK, names::RSS_STAT, names::SCHED_SWITCH, names::SYS_ENTER];
        checks.extend(events.map(|name| ok(Group::EventSources, name, "opens")));
        checks.extend([names::SYS_EXIT, names::UPROBES].map(|name| ok(Group::EventSources, name, "opens")));
        checks
    }

    /// The same, seen by a user who has nothing, on a host with a hostile mount point.
    fn unprivileged() -> Vec<Check> {
        let root = ["needs root", "`sudo setcap cap_bpf,cap_perfmon+ep '/usr/bin/agent'`, or run as root"];
        let neither = ["neither", root[1]];
        vec![
            ok(Group::Host, "kernel version", "6.1.0-49-cloud-amd64"),
            ok(Group::Host, names::CGROUP, "/mnt/\u{1b}[31mred"),
            missing(true, Group::Host, "tracefs", root),
            missing(true, Group::Privileges, "CAP_BPF and CAP_PERFMON", neither),
            missing(false, Group::Privileges, names::SYS_PTRACE, ["not effective", root[1]]),
            missing(true, Group::EventSources, names::CPU_CLOCK, root),
        ]
    }

    #[test]
    fn a_host_that_lacks_optional_things_reads_as_text() {
        golden("virtual_machine.txt", &text(&virtual_machine(), false));
    }

    #[test]
    fn a_host_that_lacks_optional_things_reads_as_json() {
        golden("virtual_machine.json", &json(&virtual_machine()).expect("json"));
    }

    #[test]
    fn a_user_without_privileges_reads_what_to_do_once() {
        golden("unprivileged.txt", &text(&unprivileged(), false));
    }

    #[test]
    fn a_user_without_privileges_gets_every_remedy_as_json() {
        golden("unprivileged.json", &json(&unprivileged()).expect("json"));
    }

    #[test]
    fn colour_adds_nothing_but_escapes() {
        let checks = unprivileged();
        let coloured = text(&checks, true);
        assert!(coloured.contains("\x1b[31m!!\x1b[0m"), "{coloured}");
        let styles = [GREEN, YELLOW, RED, BOLD, RESET];
        let stripped = styles.iter().fold(coloured, |text, style| text.replace(style, ""));
        assert_eq!(stripped, text(&checks, false));
    }

    #[test]
    fn no_check_at_all_is_no_ability() {
        let seen = text(&[], false);
        assert!(
            seen.trim_start().starts_with("this host can: nothing; cannot: record cpu samples, "),
            "{seen}"
        );
    }

    #[test]
    fn each_missing_check_of_an_ability_takes_it_away() {
        for ability in &ABILITIES {
            for name in ability.rests_on {
                let mut checks = virtual_machine();
                checks.retain(|check| check.name != *name);
                let seen = summary(&checks);
                let (_, cannot) = seen.split_once("; cannot: ").expect("two halves");
                assert!(cannot.contains(ability.name), "without {name}: {seen}");
            }
        }
    }

    #[test]
    fn this_host_is_told_and_every_ability_rests_on_real_checks() {
        let mut out = Vec::new();
        let args = DoctorArgs { format: DoctorForm::Json, daemon: false, writable: Vec::new(), config: None };
        let has_requirements = run(&mut out, &args, false).expect("runs");
        let told: Vec<serde_json::Value> = serde_json::from_slice(&out).expect("json");
        let n_required_missing = told.iter().filter(|check| check["is_required"] == true).count();
        assert_eq!(has_requirements, n_required_missing == 0, "{told:#?}");
        for name in ABILITIES.iter().flat_map(|ability| ability.rests_on) {
            assert!(told.iter().any(|check| check["name"] == *name), "{name} is not among {told:#?}");
        }
    }
}
