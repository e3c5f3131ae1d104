//! What a control group, version 1 or 2, and the host allow a process, and what of it is used.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use super::cgroup::{bytes_to_path, unescape_octal};

/// No hierarchy is deeper than this (`cgroup.max.depth` can say less, not more than a path holds).
const MAX_LEVELS: usize = 256;
/// Version 1 says "none" as the largest number of whole pages.
const NO_LIMIT_BYTES: u64 = 1 << 60;

/// Which form of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `memory.usage_in_bytes`.
    V1,
    /// `memory.current`.
    V2,
}

/// Where hierarchies are mounted.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    text: Vec<u8>,
}

impl Mounts {
    /// Reads them. A host of containers has a mount table of megabytes, and few lines of it are of hierarchies.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn read() -> io::Result<Self> {
        let all = super::read_at_most("/proc/self/mountinfo", super::cgroup::MAX_MOUNTINFO_BYTES)?;
        let is_hierarchy = |line: &&[u8]| {
            [Version::V1, Version::V2].into_iter().any(|version| parse_mount(line, version).is_some())
        };
        Ok(Self { text: lines(&all).filter(is_hierarchy).collect::<Vec<_>>().join(&b'\n') })
    }
}

/// The memory controller's group of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryGroup {
    /// Which form of files.
    pub version: Version,
    /// Below the root of the hierarchy.
    pub path: PathBuf,
    /// Where its files are.
    pub directory: PathBuf,
    /// Where the hierarchy is mounted: its limits end here.
    mount_point: PathBuf,
}

/// The limit that holds for a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The lowest of the group's own and those above it.
    pub limit_bytes: u64,
    /// The group that has it, below the root of the hierarchy.
    pub path: PathBuf,
    /// Used by that group, page cache included.
    pub usage_bytes: u64,
    /// Of it, file pages that the kernel drops first.
    pub inactive_file_bytes: u64,
}

/// Memory of the whole host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostMemory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`: what can be had without swapping.
    pub available_bytes: u64,
}

impl MemoryGroup {
    /// The group of a process; none if no hierarchy with the memory controller is visible.
    ///
    /// # Errors
    /// If /proc cannot be read.
    pub fn of_process(pid: u32, mounts: &Mounts) -> io::Result<Option<Self>> {
        let groups = super::read_small(&format!("/proc/{pid}/cgroup"))?;
        Ok(find(&groups, &mounts.text))
    }

    /// What is charged to it; none for the root of version 2, which does not count.
    #[must_use]
    pub fn usage_bytes(&self) -> Option<u64> {
        number(&self.directory.join(self.version.usage_file()))
    }

    /// The lowest limit that holds for it; none if there is none.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        let levels = self.directory.ancestors().take(MAX_LEVELS);
        let levels = levels.take_while(|directory| directory.starts_with(&self.mount_point));
        let limits = levels.filter_map(|directory| {
            let limit_bytes = number(&directory.join(self.version.limit_file()))?;
            (limit_bytes < NO_LIMIT_BYTES).then_some((limit_bytes, directory))
        });
        let (limit_bytes, directory) = limits.min_by_key(|(limit_bytes, _)| *limit_bytes)?;
        let stat = read(&directory.join("memory.stat")).unwrap_or_default();
        let n_above = self.directory.components().count() - directory.components().count();
        Some(Limit {
            limit_bytes,
            path: self.path.ancestors().nth(n_above).unwrap_or(Path::new("/")).to_owned(),
            usage_bytes: number(&directory.join(self.version.usage_file()))?,
            inactive_file_bytes: parse_inactive_file(&stat, self.version).unwrap_or(0),
        })
    }
}

impl Version {
    const fn usage_file(self) -> &'static str {
        match self {
            Self::V1 => "memory.usage_in_bytes",
            Self::V2 => "memory.current",
        }
    }

    const fn limit_file(self) -> &'static str {
        match self {
            Self::V1 => "memory.limit_in_bytes",
            Self::V2 => "memory.max",
        }
    }
}

/// Finds the memory controller's group in a /proc/PID/cgroup and a mountinfo file.
#[must_use]
pub fn find(groups: &[u8], mounts: &[u8]) -> Option<MemoryGroup> {
    // A host that has the controller in version 1 has not got it in version 2.
    let v1 = lines(groups).find_map(|line| {
        let mut parts = line.splitn(3, |&byte| byte == b':').skip(1);
        let has_memory = parts.next()?.split(|&byte| byte == b',').any(|name| name == b"memory");
        has_memory.then_some((Version::V1, parts.next()?))
    });
    let v2 = || lines(groups).find_map(|line| Some((Version::V2, line.strip_prefix(b"0::")?)));
    let (version, path) = v1.or_else(v2)?;
    let path = bytes_to_path(path.strip_suffix(b" (deleted)").unwrap_or(path).to_vec());
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    // A group outside our own control group namespace begins with `/..`: its files are not to be had.
    if !is_plain || !path.is_absolute() {
        return None;
    }
    let mounts = lines(mounts).filter_map(|line| parse_mount(line, version));
    let fitting = mounts.filter_map(|(root, mount_point)| {
        let below = path.strip_prefix(&root).ok()?;
        Some((mount_point.join(below), mount_point))
    });
    let (directory, mount_point) = fitting.min_by_key(|(_, mount_point)| mount_point.as_os_str().len())?;
    Some(MemoryGroup { version, path, directory, mount_point })
}

/// `36 35 98:0 /root /mount/point options optional... - type source super-options`
fn parse_mount(line: &[u8], version: Version) -> Option<(PathBuf, PathBuf)> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').take(64).collect();
    let separator = fields.iter().position(|&field| field == b"-")?;
    let file_system = *fields.get(separator.checked_add(1)?)?;
    let options = *fields.get(separator.checked_add(3)?)?;
    let is_ours = match version {
        Version::V1 => {
            file_system == b"cgroup" && options.split(|&byte| byte == b',').any(|it| it == b"memory")
        }
        Version::V2 => file_system == b"cgroup2",
    };
    let path = |index: usize| Some(bytes_to_path(unescape_octal(fields.get(index)?)));
    if is_ours { Some((path(3)?, path(4)?)) } else { None }
}

/// The inactive file pages of a memory.stat file, of the group and all below it.
#[must_use]
pub fn parse_inactive_file(text: &[u8], version: Version) -> Option<u64> {
    let name: &[u8] = match version {
        Version::V1 => b"total_inactive_file ",
        Version::V2 => b"inactive_file ",
    };
    lines(text).find_map(|line| parse_number(line.strip_prefix(name)?))
}

/// Memory of the host; none if /proc/meminfo cannot be read.
#[must_use]
pub fn host() -> Option<HostMemory> {
    parse_host(&super::read_small("/proc/meminfo").ok()?)
}

/// Parses a meminfo file.
#[must_use]
pub fn parse_host(text: &[u8]) -> Option<HostMemory> {
    let field = |name: &[u8]| lines(text).find_map(|line| super::memory::value_of(line.strip_prefix(name)?));
    Some(HostMemory { total_bytes: field(b"MemTotal")?, available_bytes: field(b"MemAvailable")? })
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
}

fn read(path: &Path) -> Option<Vec<u8>> {
    super::read_small(path.to_str()?).ok()
}

fn number(path: &Path) -> Option<u64> {
    parse_number(&read(path)?)
}

/// A number and a newline; `max` is none.
fn parse_number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};
    use std::fs;

    const V1_MOUNTS: &[u8] = b"34 31 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        36 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const V2_MOUNTS: &[u8] =
        b"41 31 0:38 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn directory(groups: &[u8], mounts: &[u8]) -> Option<(Version, String)> {
        find(groups, mounts).map(|group| (group.version, group.directory.display().to_string()))
    }

    #[test]
    fn the_group_is_where_the_memory_controller_is() {
        let v1 = b"5:devices:/\n4:cpu,memory:/web/a\n0::/other\n";
        assert_eq!(directory(v1, V1_MOUNTS), Some((Version::V1, "/sys/fs/cgroup/memory/web/a".into())));
        let v2 = b"0::/system.slice/nginx.service\n";
        let expected = "/sys/fs/cgroup/system.slice/nginx.service";
        assert_eq!(directory(v2, V2_MOUNTS), Some((Version::V2, expected.into())));
        let container = b"35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let inside = b"4:memory:/docker/1/web\n";
        assert_eq!(directory(inside, container), Some((Version::V1, "/sys/fs/cgroup/memory/web".into())));
        assert_eq!(directory(b"4:memory:/docker/2\n", container), None);
        assert_eq!(directory(b"0::/../../etc\n", V2_MOUNTS), None);
        assert_eq!(directory(b"1:cpu:/\n", V1_MOUNTS), None);
        assert_eq!(directory(v2, b""), None);
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_holds_in_both_versions() {
        let files = |version| match version {
            Version::V1 => (["memory.limit_in_bytes", "memory.usage_in_bytes"], "total_inactive_file 300\n"),
            Version::V2 => (["memory.max", "memory.current"], "anon 1\ninactive_file 300\n"),
        };
        for (version, none) in [(Version::V1, "9223372036854771712\n"), (Version::V2, "max\n")] {
            let root = tempfile::tempdir().expect("a directory");
            let mount_point = root.path().to_owned();
            let group = MemoryGroup {
                version,
                path: "/web/a".into(),
                directory: mount_point.join("web/a"),
                mount_point: mount_point.clone(),
            };
            fs::create_dir_all(&group.directory).expect("made");
            let ([limit, usage], stat) = files(version);
            let write = |below: &str, name: &str, text: &str| {
                fs::write(mount_point.join(below).join(name), text).expect("written");
            };
            write("web/a", limit, none);
            write("web/a", usage, "500\n");
            assert_eq!(group.limit(), None, "{version:?}");
            assert_eq!(group.usage_bytes(), Some(500), "{version:?}");

            write("web", limit, "2000\n");
            write("web", usage, "1500\n");
            write("web", "memory.stat", stat);
            let expected =
                Limit { limit_bytes: 2000, path: "/web".into(), usage_bytes: 1500, inactive_file_bytes: 300 };
            assert_eq!(group.limit(), Some(expected), "{version:?}");
            write("web/a", limit, "600\n");
            let seen = group.limit().map(|it| (it.limit_bytes, it.usage_bytes, it.path));
            assert_eq!(seen, Some((600, 500, "/web/a".into())), "{version:?}");
        }
    }

    #[test]
    fn this_host_has_memory() {
        let memory = host().expect("meminfo");
        assert!(memory.total_bytes > memory.available_bytes && memory.available_bytes > 0, "{memory:?}");
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let groups = [b"4:memory:/", &bytes[..]].concat();
            let mounts = [V1_MOUNTS, &bytes[..]].concat();
            if let Some(group) = find(&groups, &mounts) {
                prop_assert!(group.directory.starts_with("/sys/fs/cgroup/memory"), "{group:?}");
            }
            let others = (find(&bytes, &bytes), parse_host(&bytes), parse_inactive_file(&bytes, Version::V2));
            prop_assert!(others.0.is_none_or(|group| group.path.is_absolute()), "{:?}", bytes);
        }
    }
}
