//! A rule that says which processes are measured, what they are called and what more is measured of them.

use std::collections::BTreeSet;

use profile::Labels;
use toml::de::DeValue;

use super::{
    MAX_LABEL_BYTES, MAX_LABELS,
    problem::{Place, Wrong, quoted},
    section::Section,
    values::{Meant, choice, glob, plain, regex, text},
};

/// Where control groups are mounted: a path that was copied from a shell begins with it.
const CGROUP_MOUNT: &str = "/sys/fs/cgroup";
/// Of a container ID: shorter prefixes would match by chance.
const MIN_CONTAINER_CHARS: usize = 4;
const MAX_CONTAINER_CHARS: usize = 64;
/// Of a name: it is shown in lists.
const MAX_NAME_BYTES: usize = 256;
/// Labels that the agent sets by what it sees.
const RESERVED: [&str; 5] =
    ["service.name", "process.executable.name", "systemd.unit", "container.id", "k8s.pod.uid"];
const OUR_PREFIX: &str = "brazier.";

/// An event that is not always on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExtraEvent {
    /// Allocations.
    Alloc,
}

impl ExtraEvent {
    const NAMES: [(&'static str, Option<Self>); 4] =
        [("alloc", Some(Self::Alloc)), ("cpu", None), ("faults", None), ("memory", None)];

    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alloc => "alloc",
        }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where it begins in the file.
    pub place: Place,
    /// `service.name` of what it matches.
    pub name: Option<String>,
    /// What it matches.
    pub conditions: Conditions,
    /// What is measured beside what is always measured.
    pub events: BTreeSet<ExtraEvent>,
    /// On profiles of what it matches.
    pub labels: Labels,
}

/// All of those that are given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conditions {
    /// The path of the executable, as the process sees it: a glob.
    pub exe: Option<String>,
    /// A regular expression that is found in the command line, with spaces between arguments.
    pub cmdline: Option<String>,
    /// The control group, or one above it, as a path below the root of the hierarchy: a glob.
    pub cgroup: Option<String>,
    /// The unit: a glob.
    pub unit: Option<String>,
    /// What the container ID begins with.
    pub container: Option<String>,
    /// Name or number of the effective user.
    pub user: Option<String>,
}

impl Conditions {
    /// None is given.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Target {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        // Had a condition that is wrong been left out, others would say that there is none.
        let n_given = ["exe", "cmdline", "cgroup", "unit", "container", "user"].map(|key| section.has(key));
        let name = section.take("name", |value| plain(value, MAX_NAME_BYTES));
        let conditions = Conditions {
            exe: section.take("exe", exe),
            cmdline: section.take("cmdline", regex),
            cgroup: section.take("cgroup", cgroup),
            unit: section.take("unit", unit),
            container: section.take("container", container),
            user: section.take("user", user),
        };
        let events = section.take("events", events).unwrap_or_default();
        for event in events.always_on {
            section.warning(
                "events",
                format!("`target.events` names {}, which is always on", quoted(event)),
                "leave it out",
            );
        }
        let labels = labels(section.table("labels"));
        if !n_given.contains(&true) {
            section.sheet.problem(
                Some(section.place),
                "this target has no condition".to_owned(),
                "give exe, cmdline, cgroup, unit, container or user; `all = true` at the top is for every process",
            );
        }
        let place = section.place;
        section.finish();
        Self { place, name, conditions, events: events.extra, labels }
    }
}

/// Labels of the user's own.
pub(super) fn labels(mut section: Section<'_, '_>) -> Labels {
    let entries = section.rest();
    if entries.len() > MAX_LABELS {
        let wrong = format!("there are {} labels here", entries.len());
        section.sheet.problem(Some(section.place), wrong, format!("write at most {MAX_LABELS}"));
    }
    let mut labels = Labels::default();
    for (name, place, span, value) in entries.into_iter().take(MAX_LABELS) {
        if let Err(Wrong { what, remedy }) = label_name(&name) {
            section.sheet.problem(Some(place), format!("label {} {what}", quoted(&name)), remedy);
            continue;
        }
        match plain(&value, MAX_LABEL_BYTES) {
            Ok(value) => labels.set(name, value),
            Err(Wrong { what, remedy }) => {
                let place = section.sheet.place(&span);
                section.sheet.problem(Some(place), format!("label {} {what}", quoted(&name)), remedy);
            }
        }
    }
    labels
}

fn label_name(name: &str) -> Result<(), Wrong> {
    if name == "service.name" {
        return Err(Wrong::new("has a key of its own", "write it as the `name` of a target"));
    }
    if RESERVED.contains(&name) || name.starts_with(OUR_PREFIX) {
        return Err(Wrong::new("is set by the agent", "choose another name"));
    }
    if name.is_empty() || name.len() > MAX_LABEL_BYTES || name.chars().any(char::is_control) {
        return Err(Wrong::new(
            "is no name",
            format!("write 1 to {MAX_LABEL_BYTES} bytes without control characters"),
        ));
    }
    Ok(())
}

fn exe(value: &DeValue<'_>) -> Meant<String> {
    let pattern = glob(value, true)?;
    if !pattern.starts_with(['/', '*', '{', '[', '?']) {
        return Err(Wrong::new(
            format!("is {}, which no path is", quoted(&pattern)),
            format!("write the whole path, or {} for any directory", quoted(&format!("**/{pattern}"))),
        ));
    }
    Ok(pattern)
}

/// The same path, however it was copied: from a shell, or from /proc.
fn cgroup(value: &DeValue<'_>) -> Meant<String> {
    let pattern = glob(value, true)?;
    if !pattern.starts_with(['/', '*']) {
        return Err(Wrong::new(
            format!("is {}", quoted(&pattern)),
            "write the whole path, such as \"/sys/fs/cgroup/web.slice\" or \"/web.slice\"",
        ));
    }
    let below = match pattern.strip_prefix(CGROUP_MOUNT) {
        Some(below) if below.is_empty() || below.starts_with('/') => below,
        _ => &pattern,
    };
    match below.trim_end_matches('/') {
        "" => Err(Wrong::new(
            "is the root of all control groups",
            "write `all = true` at the top for every process",
        )),
        below => Ok(below.to_owned()),
    }
}

fn unit(value: &DeValue<'_>) -> Meant<String> {
    // A backslash belongs to names of units: `dev-disk-by\x2dlabel`.
    let pattern = glob(value, false)?;
    if pattern.ends_with(".slice") {
        return Err(Wrong::new(
            format!("is {}, and no process has a slice as its unit", quoted(&pattern)),
            format!("write cgroup = \"**/{pattern}\""),
        ));
    }
    if !pattern.contains(['.', '*', '?', '[', '{']) {
        return Err(Wrong::new(
            format!("is {}, which lacks its ending", quoted(&pattern)),
            format!("write \"{pattern}.service\" or \"{pattern}.scope\""),
        ));
    }
    Ok(pattern)
}

fn container(value: &DeValue<'_>) -> Meant<String> {
    let prefix = text(value)?;
    let is_hexadecimal = prefix.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_hexadecimal || !(MIN_CONTAINER_CHARS..=MAX_CONTAINER_CHARS).contains(&prefix.len()) {
        return Err(Wrong::new(
            format!("is {}", quoted(prefix)),
            "write the ID of a container or its first characters: 4 to 64 of 0-9 and a-f, as `docker ps` shows them",
        ));
    }
    Ok(prefix.to_owned())
}

fn user(value: &DeValue<'_>) -> Meant<String> {
    if let Some(number) = value.as_integer() {
        return Err(Wrong::new("is a number", format!("write it in quotes: \"{number}\"")));
    }
    let user = plain(value, MAX_NAME_BYTES)?;
    if user.contains([':', '/', ' ']) {
        return Err(Wrong::new(format!("is {}", quoted(&user)), "write the name or the number of one user"));
    }
    Ok(user)
}

#[derive(Default)]
struct Named {
    extra: BTreeSet<ExtraEvent>,
    always_on: BTreeSet<&'static str>,
}

fn events(value: &DeValue<'_>) -> Meant<Named> {
    let Some(list) = value.as_array() else {
        return Err(Wrong::new("is no list", "write events = [\"alloc\"]"));
    };
    let mut named = Named::default();
    let names = ExtraEvent::NAMES.map(|(name, event)| (name, (name, event)));
    for event in list {
        let read = choice(&names)(event.get_ref());
        match read.map_err(|wrong| Wrong::new(format!("holds what {}", wrong.what), wrong.remedy))? {
            (_, Some(event)) => named.extra.insert(event),
            (name, None) => named.always_on.insert(name),
        };
    }
    Ok(named)
}
