//! The kernel, its settings, and what is mounted.

use std::{fs, io, path::Path};

use abi::limits::MAX_KERNEL_FRAMES;

use super::{
    Check, Group, Question, names,
    surroundings::{Surroundings, read_number, read_text},
};
use crate::{
    kernel::{max_frequency_hz, tracefs::TRACEFS},
    procfs::cgroup,
};

/// Oldest kernel that the programs are tested on: `bpf_loop` came with 5.17, and 6.1 is a long-term release.
const OLDEST_KERNEL: (u32, u32) = (6, 1);

const BTF: &str = "/sys/kernel/btf/vmlinux";
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";
const MAX_STACK: &str = "/proc/sys/kernel/perf_event_max_stack";

/// Below this a slow function of a fast request is seen by chance only.
const USEFUL_RATE_HZ: u64 = 1_000;

pub(super) fn checks(surroundings: &Surroundings) -> Vec<Check> {
    vec![
        kernel_version(surroundings),
        type_information(surroundings),
        lockdown(surroundings),
        tracefs(surroundings),
        control_groups(),
        sampling_rate(),
        stack_depth(),
    ]
}

const fn question(name: &'static str, needed_for: &'static str, is_required: bool) -> Question {
    Question { group: Group::Host, name, needed_for, is_required }
}

pub(super) fn kernel_version(_: &Surroundings) -> Check {
    let question = question("kernel version", "the kernel programs", true);
    let remedy = "boot Linux 6.1 or later";
    match read_text("/proc/sys/kernel/osrelease") {
        Ok(release) => match parse_release(&release) {
            Some(version) if version >= OLDEST_KERNEL => question.ok(release.trim()),
            Some(_) => question.missing(release.trim(), remedy),
            None => question.missing(format!("not understood: {}", release.trim()), remedy),
        },
        Err(error) => question.missing(error.to_string(), "`mount -t proc none /proc`"),
    }
}

pub(super) fn type_information(_: &Surroundings) -> Check {
    let question =
        question("kernel type information", "the kernel programs, which know fields by name", true);
    match fs::metadata(BTF) {
        Ok(metadata) => question.ok(format!("{BTF}, {} KiB", metadata.len() / 1024)),
        Err(error) => {
            question.missing(format!("{BTF}: {error}"), "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y")
        }
    }
}

/// Under `confidentiality` tracefs cannot be mounted either, so this is to be told first.
pub(super) fn lockdown(_: &Surroundings) -> Check {
    let question = question("lockdown", "kernel programs that read memory", true);
    match read_text(LOCKDOWN).map(|text| parse_lockdown(&text)) {
        Ok(Some(Lockdown::Confidentiality)) => question.missing(
            "confidentiality: kernel programs may not read kernel memory",
            "boot with `lockdown=integrity` on the kernel's command line",
        ),
        Ok(Some(Lockdown::Integrity)) => question.ok("integrity"),
        Ok(Some(Lockdown::None)) => question.ok("none"),
        Ok(None) => question.ok("not understood; the other checks tell"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            question.ok("none seen (not in this kernel, or no securityfs)")
        }
        Err(error) => question.ok(format!("unknown ({error}); the other checks tell")),
    }
}

pub(super) fn tracefs(surroundings: &Surroundings) -> Check {
    let question = question("tracefs", "tracepoints: forks, blocked time, requests", true);
    match events_directory() {
        Ok(found) => question.ok(found),
        Err(error) => no_tracefs(question, &error, surroundings),
    }
}

/// Of tracefs, and of all that needs it.
pub(super) fn no_tracefs(question: Question, error: &io::Error, surroundings: &Surroundings) -> Check {
    // Root owns it, mode 700.
    if error.kind() == io::ErrorKind::PermissionDenied {
        question.refused(error, surroundings, surroundings.grant())
    } else if Path::new(TRACEFS[0]).is_dir() {
        question.missing(
            "tracefs is not mounted",
            format!("`agent record` mounts it, as root; else `mount -t tracefs none {}`", TRACEFS[0]),
        )
    } else {
        question.missing("no tracefs in this kernel", "boot a kernel built with CONFIG_FTRACE=y")
    }
}

/// Where the tracepoints are described.
pub(super) fn events_directory() -> io::Result<String> {
    for mount_point in TRACEFS {
        let path = format!("{mount_point}/events");
        match fs::read_dir(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => {}
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn control_groups() -> Check {
    let question = question(names::CGROUP, "`--cgroup`", false);
    match cgroup::mount_point() {
        Ok(mount_point) => question.ok(mount_point.display().to_string()),
        Err(error) => question.missing(error.to_string(), "`mount -t cgroup2 none /sys/fs/cgroup`"),
    }
}

fn sampling_rate() -> Check {
    let question = question("highest sampling rate", "fine-grained profiles", false);
    let remedy = "`sysctl -w kernel.perf_event_max_sample_rate=100000`";
    match max_frequency_hz() {
        Ok(rate_hz) if rate_hz >= USEFUL_RATE_HZ => question.ok(format!("{rate_hz} Hz")),
        Ok(rate_hz) => question.missing(format!("{rate_hz} Hz"), remedy),
        Err(error) => question.missing(error.to_string(), "boot a kernel built with CONFIG_PERF_EVENTS=y"),
    }
}

fn stack_depth() -> Check {
    let question = question("kernel stack depth", "kernel stacks that are whole", false);
    match read_number(MAX_STACK) {
        Ok(n_frames) if usize::try_from(n_frames).is_ok_and(|n_frames| n_frames >= MAX_KERNEL_FRAMES) => {
            question.ok(format!("{n_frames} frames"))
        }
        Ok(n_frames) => question.missing(
            format!("{n_frames} frames"),
            format!("`sysctl -w kernel.perf_event_max_stack={MAX_KERNEL_FRAMES}`"),
        ),
        Err(error) => question.missing(error.to_string(), "boot a kernel built with CONFIG_PERF_EVENTS=y"),
    }
}

/// Major and minor number of a release: `6.1.0-49-cloud-amd64` is 6.1.
fn parse_release(release: &str) -> Option<(u32, u32)> {
    let (major, rest) = release.trim().split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let minor = rest.get(..end).filter(|_| is_number(major))?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lockdown {
    None,
    Integrity,
    Confidentiality,
}

/// The state in force is the one between brackets: `none [integrity] confidentiality`.
fn parse_lockdown(text: &str) -> Option<Lockdown> {
    let (_, rest) = text.split_once('[')?;
    match rest.split_once(']')?.0 {
        "none" => Some(Lockdown::None),
        "integrity" => Some(Lockdown::Integrity),
        "confidentiality" => Some(Lockdown::Confidentiality),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_every_flavour_are_read() {
        let cases = [
            ("6.1.0-49-cloud-amd64\n", (6, 1)),
            ("6.18.44-fc", (6, 18)),
            ("5.15.0-1084-aws", (5, 15)),
            ("6.12-rc3", (6, 12)),
            ("7.0", (7, 0)),
            ("6.1+", (6, 1)),
        ];
        for (release, expected) in cases {
            assert_eq!(parse_release(release), Some(expected), "{release:?}");
        }
    }

    #[test]
    fn garbage_is_no_release() {
        for garbage in
            ["", "6", "6.", ".1", "v6.1", "6.x", "-6.1", "+6.1", "6. 1", "99999999999.1", "6.99999999999"]
        {
            assert_eq!(parse_release(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn a_later_minor_version_is_later() {
        let is_new_enough = |release| parse_release(release).is_some_and(|version| version >= OLDEST_KERNEL);
        let seen = ["4.19.0", "5.99.0", "6.0.19", "6.1.0", "6.10.0", "7.0.1"].map(is_new_enough);
        assert_eq!(seen, [false, false, false, true, true, true]);
    }

    #[test]
    fn the_lockdown_in_force_is_the_one_in_brackets() {
        let cases = [
            ("[none] integrity confidentiality\n", Some(Lockdown::None)),
            ("none [integrity] confidentiality\n", Some(Lockdown::Integrity)),
            ("none integrity [confidentiality]\n", Some(Lockdown::Confidentiality)),
            ("none integrity confidentiality\n", None),
            ("none [paranoia]\n", None),
            ("]none[", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_lockdown(text), expected, "{text:?}");
        }
    }
}
