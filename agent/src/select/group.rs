//! What the path of a control group tells: systemd's unit, the container, the pod.
//!
//! Container runtimes write the ID of a container, 64 hexadecimal digits, into the name of its group, each with another
//! word before it, and Kubernetes that of the pod into one above. Whoever may make groups below their own can make
//! names of any kind there, so a unit below a container is not believed to be one of this host.

/// Of a container ID.
const ID_CHARS: usize = 64;
/// Of the name of a unit, as systemd has it.
const MAX_UNIT_BYTES: usize = 255;
/// Of a pod: with and without what stands between its groups of digits.
const UUID_CHARS: usize = 36;
const BARE_UUID_CHARS: usize = 32;
const DELETED: &str = " (deleted)";

/// A control group, and what its path tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Below the root of the hierarchy.
    pub path: String,
    /// The innermost service or scope of this host's systemd, as `systemctl` calls it.
    pub unit: Option<String>,
    /// The innermost container.
    pub container: Option<String>,
    /// The pod, as Kubernetes writes its UID.
    pub pod: Option<String>,
}

impl Group {
    /// By a file /proc/PID/cgroup, of version 2, of version 1, or of both.
    #[must_use]
    pub fn of_file(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let mut groups: Vec<(u8, Self)> = text.lines().filter_map(Self::of_line).collect();
        // With several hierarchies, that of version 2 or systemd's own tells where a process belongs, unless it is
        // not used; a runtime may have put the container into the others only.
        groups.sort_by_key(|(rank, group)| (group.path == "/", *rank));
        let (container, pod) = groups
            .iter()
            .find(|(_, group)| group.container.is_some())
            .map(|(_, group)| (group.container.clone(), group.pod.clone()))
            .unwrap_or_default();
        let Some((_, first)) = groups.into_iter().next() else { return Self::of_path("/") };
        match first.container {
            None => Self { container, pod: pod.or(first.pod.clone()), ..first },
            Some(_) => first,
        }
    }

    /// `0::/path` or `4:memory:/path`, and how much it is to be preferred.
    fn of_line(line: &str) -> Option<(u8, Self)> {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let rank = match (number, controllers) {
            ("0", "") => 0,
            (_, "name=systemd") => 1,
            _ => 2,
        };
        let path = path.strip_suffix(DELETED).unwrap_or(path);
        path.starts_with('/').then(|| (rank, Self::of_path(path)))
    }

    /// By a path below the root of the hierarchy.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let mut group = Self { path: path.to_owned(), ..Self::default() };
        let mut is_below_pods = false;
        for part in path.split('/') {
            is_below_pods |= part.contains("kubepods");
            if is_below_pods && let Some(pod) = pod_uid(part) {
                group.pod = Some(pod);
            }
            if group.container.is_none()
                && let Some(unit) = unit(part)
            {
                group.unit = Some(unit.to_owned());
            }
            if let Some(container) = container_id(part) {
                group.container = Some(container.to_owned());
            }
        }
        group
    }
}

/// Systemd puts `_` before what the kernel would take for a file of its own.
fn unit(part: &str) -> Option<&str> {
    let unit = part.strip_prefix('_').unwrap_or(part);
    let stem = unit.strip_suffix(".service").or_else(|| unit.strip_suffix(".scope"))?;
    let may_stand = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    (!stem.is_empty() && unit.len() <= MAX_UNIT_BYTES && stem.bytes().all(may_stand)).then_some(unit)
}

/// `ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `kubepods-…-podUID.slice:cri-containerd:ID`, `libpod-ID`.
fn container_id(part: &str) -> Option<&str> {
    // What watches over a container stands beside it.
    if part.contains("conmon") {
        return None;
    }
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = name.rsplit(['-', ':']).next()?;
    (id.len() == ID_CHARS && id.bytes().all(is_digit)).then_some(id)
}

/// `podUID`, `kubepods-burstable-podUID.slice` with `_` in the UID, also `podUID` of 32 digits for static pods.
fn pod_uid(part: &str) -> Option<String> {
    part.match_indices("pod").find_map(|(at, word)| {
        let after = part.get(at + word.len()..)?;
        let end =
            after.find(|c: char| !(c.is_ascii_hexdigit() || c == '-' || c == '_')).unwrap_or(after.len());
        let uid = after.get(..end)?.replace('_', "-");
        let n_digits = uid.bytes().filter(|&byte| is_digit(byte)).count();
        let is_whole = match uid.len() {
            UUID_CHARS => n_digits == BARE_UUID_CHARS && has_dashes(&uid),
            BARE_UUID_CHARS => n_digits == BARE_UUID_CHARS,
            _ => false,
        };
        is_whole.then_some(uid)
    })
}

fn has_dashes(uid: &str) -> bool {
    [8, 13, 18, 23].iter().all(|&at| uid.as_bytes().get(at) == Some(&b'-'))
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests;
