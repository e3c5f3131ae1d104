//! What a process is called.

use std::path::Path;

use profile::Labels;

use super::{Facts, Group};

/// Of a container ID, where it stands for a name: as many as `docker ps` shows.
const SHORT_ID_CHARS: usize = 12;
const KERNEL: &str = "kernel";
const UNKNOWN: &str = "unknown";

/// By what a process is called.
#[derive(Clone, Debug)]
pub(super) enum Naming {
    /// The user said so.
    Name(String),
    /// By its executable, by which it was chosen.
    Exe,
    /// By its unit, by which it was chosen.
    Unit,
    /// By its container, its service or its executable: the first of these that it has.
    Whatever,
}

/// What is seen of a process.
pub(super) fn of(host: &str, facts: &Facts, group: &Group, naming: Option<&Naming>) -> Labels {
    let exe = facts.exe().and_then(Path::file_name).map(|name| plain(&name.to_string_lossy()));
    let service = match naming.unwrap_or(&Naming::Whatever) {
        Naming::Name(name) => Some(name.clone()),
        Naming::Exe => exe.clone(),
        Naming::Unit => group.unit.as_deref().map(stem),
        // A scope is a session or a container, and tells less than what runs in it.
        Naming::Whatever => group
            .container
            .as_deref()
            .map(|id| id.get(..SHORT_ID_CHARS).unwrap_or(id).to_owned())
            .or_else(|| group.unit.as_deref().filter(|unit| unit.ends_with(".service")).map(stem))
            .or_else(|| exe.clone()),
    };
    let service = service.unwrap_or_else(|| {
        // The threads of the kernel have neither executable nor command line.
        let is_kernel = facts.cmdline().is_some_and(str::is_empty) && !facts.is_exe_hidden();
        if is_kernel { KERNEL } else { UNKNOWN }.to_owned()
    });
    let seen = [
        ("host.name", (!host.is_empty()).then(|| host.to_owned())),
        ("service.name", Some(service)),
        ("process.executable.name", exe),
        ("systemd.unit", group.unit.clone()),
        ("container.id", group.container.clone()),
        ("k8s.pod.uid", group.pod.clone()),
    ];
    seen.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The name of a unit without its ending, as people say it: `nginx`, `getty@tty1`, `my-app`.
fn stem(unit: &str) -> String {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    unescaped(stem)
}

/// `\x2d` stands for `-` in names of units, and so on.
fn unescaped(name: &str) -> String {
    let mut parts = name.split("\\x");
    let mut plain_name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| byte.is_ascii_graphic()) {
            Some(byte) => {
                plain_name.push(char::from(byte));
                plain_name.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                plain_name.push_str("\\x");
                plain_name.push_str(part);
            }
        }
    }
    plain_name
}

/// A file can be called anything.
fn plain(name: &str) -> String {
    name.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_called_as_people_call_them() {
        let seen = [
            "nginx.service",
            "getty@tty1.service",
            "my\\x2dapp.service",
            "a\\x0ab\\xzz\\x.scope",
            "app-org.gnome.Terminal.slice.service",
        ]
        .map(stem);
        assert_eq!(
            seen,
            ["nginx", "getty@tty1", "my-app", "a\\x0ab\\xzz\\x", "app-org.gnome.Terminal.slice"]
        );
    }
}
