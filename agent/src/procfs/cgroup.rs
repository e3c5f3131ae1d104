//! Control groups, version 2: where a process is, and the id by which the kernel programs filter.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Largest /proc/self/mountinfo read, in bytes: hosts with thousands of containers have some megabytes.
pub(super) const MAX_MOUNTINFO_BYTES: u64 = 32 * 1024 * 1024;

/// A control group as the kernel programs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// What `bpf_get_current_cgroup_id` answers inside it: the directory's inode.
    pub id: u64,
    /// How many directories below the root it is (the root is 0): the level to ask of
    /// `bpf_get_current_ancestor_cgroup_id`.
    pub level: u32,
    /// Where it is below the hierarchy's root, as /proc/PID/cgroup says it.
    pub path: PathBuf,
}

/// Why a control group is not known.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file or directory could not be opened or read.
    #[error("cannot open {path}")]
    Open {
        /// Which.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The directory is on another file system.
    #[error("{path} is not a directory of a version 2 control group hierarchy")]
    NotCgroup2 {
        /// Which.
        path: PathBuf,
    },
    /// No mount of the hierarchy is visible.
    #[error("no version 2 control group hierarchy is mounted")]
    NotMounted,
    /// The directory is not below the mount point.
    #[error("{path} is not below the control group mount point {mount_point}")]
    OutsideMount {
        /// The directory.
        path: PathBuf,
        /// Where the hierarchy is mounted.
        mount_point: PathBuf,
    },
    /// What is mounted is a part of the hierarchy, so that levels cannot be counted from its root.
    #[error("{mount_point} is not the root of the control group hierarchy (started inside a container?)")]
    PartialMount {
        /// Where it is mounted.
        mount_point: PathBuf,
    },
}

/// The id and level of a control group directory.
pub fn lookup(path: &Path) -> Result<Cgroup, CgroupError> {
    let id = cgroup_id(path)?;
    let real =
        path.canonicalize().map_err(|source| CgroupError::Open { path: path.to_path_buf(), source })?;
    let mount_point = mount_point()?;
    // Every group but the hierarchy's root has this file.
    if mount_point.join("cgroup.type").exists() {
        return Err(CgroupError::PartialMount { mount_point });
    }
    let Ok(below) = real.strip_prefix(&mount_point) else {
        return Err(CgroupError::OutsideMount { path: real, mount_point });
    };
    let level = u32::try_from(below.components().count()).unwrap_or(u32::MAX);
    Ok(Cgroup { id, level, path: Path::new("/").join(below) })
}

/// The id of a control group directory, after making sure that it is one.
pub fn cgroup_id(path: &Path) -> Result<u64, CgroupError> {
    let open_error = |source| CgroupError::Open { path: path.to_path_buf(), source };
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(path)
        .map_err(open_error)?;
    if file_system_magic(&directory).map_err(open_error)? != i128::from(libc::CGROUP2_SUPER_MAGIC) {
        return Err(CgroupError::NotCgroup2 { path: path.to_path_buf() });
    }
    Ok(directory.metadata().map_err(open_error)?.ino())
}

fn file_system_magic(file: &File) -> io::Result<i128> {
    // SAFETY: statfs is made of integers, for which zero is a value.
    let mut answer: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and the structure is ours to be written.
    if unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut answer) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(i128::from(answer.f_type))
}

/// Where the version 2 hierarchy is mounted.
pub fn mount_point() -> Result<PathBuf, CgroupError> {
    use std::io::Read as _;
    let path = "/proc/self/mountinfo";
    let open_error = |source| CgroupError::Open { path: PathBuf::from(path), source };
    let mut text = Vec::new();
    let file = File::open(path).map_err(open_error)?;
    file.take(MAX_MOUNTINFO_BYTES).read_to_end(&mut text).map_err(open_error)?;
    parse_mount_point(&text).ok_or(CgroupError::NotMounted)
}

/// Whether a process is in a control group or below it; all are, where there is none.
#[must_use]
pub fn is_member(pid: u32, group: Option<&Path>) -> bool {
    let Some(group) = group else { return true };
    path_of(pid).is_ok_and(|path| path.is_some_and(|path| path.starts_with(group)))
}

/// The control group of a process, as a path below the hierarchy's root; none when it is only in version 1.
pub fn path_of(pid: u32) -> Result<Option<PathBuf>, CgroupError> {
    let path = format!("/proc/{pid}/cgroup");
    let text =
        super::read_small(&path).map_err(|source| CgroupError::Open { path: PathBuf::from(path), source })?;
    Ok(parse_path(&text))
}

/// Finds the version 2 line of a /proc/PID/cgroup file: hierarchy 0, no controllers.
pub fn parse_path(text: &[u8]) -> Option<PathBuf> {
    let path = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"0::"))?;
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    (path.first() == Some(&b'/')).then(|| bytes_to_path(path.to_vec()))
}

/// Finds the mount point of a version 2 hierarchy in a mountinfo file; the shortest, should there be more:
/// containers bind parts of it under their own directories.
pub fn parse_mount_point(text: &[u8]) -> Option<PathBuf> {
    text.split(|&byte| byte == b'\n').filter_map(parse_mount).min_by_key(Vec::len).map(bytes_to_path)
}

/// `36 35 98:0 /root /mount/point options optional... - type source super-options`
fn parse_mount(line: &[u8]) -> Option<Vec<u8>> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').take(64).collect();
    let separator = fields.iter().position(|&field| field == b"-")?;
    let file_system = *fields.get(separator.checked_add(1)?)?;
    let (root, mount_point) = (*fields.get(3)?, *fields.get(4)?);
    (file_system == b"cgroup2" && root == b"/").then(|| unescape_octal(mount_point))
}

/// mountinfo writes space, tab, newline and backslash as `\` and three octal digits.
pub(super) fn unescape_octal(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let digits = tail.first_chunk::<3>().filter(|_| byte == b'\\');
        let value = digits.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        if let Some(value) = value {
            bytes.push(value);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            bytes.push(byte);
        }
    }
    bytes
}

pub(super) fn bytes_to_path(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn the_version_2_line_is_found_among_version_1_lines() {
        let text = b"12:memory:/old\n1:name=systemd:/x\n0::/system.slice/nginx.service\n";
        assert_eq!(parse_path(text), Some(PathBuf::from("/system.slice/nginx.service")));
        assert_eq!(parse_path(b"1:cpu:/a\n"), None);
        assert_eq!(parse_path(b"0::/gone (deleted)\n"), Some(PathBuf::from("/gone")));
    }

    #[test]
    fn the_mount_point_is_found_unescaped_and_whole() {
        let text = b"30 1 0:2 / /sys rw - sysfs sysfs rw\n\
            41 31 0:38 /docker/1 /a rw - cgroup2 cgroup2 rw\n\
            41 31 0:38 / /sys/fs/my\\040cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n\
            42 31 0:38 / /var/lib/container/rootfs/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(parse_mount_point(text), Some(PathBuf::from("/sys/fs/my cgroup")));
        assert_eq!(parse_mount_point(b"41 31 0:38 / /sys rw - cgroup cgroup2 rw\n"), None);
    }

    #[test]
    fn an_ordinary_directory_is_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let seen = lookup(directory.path());
        assert!(matches!(seen, Err(CgroupError::NotCgroup2 { .. })), "{seen:?}");
        let seen = cgroup_id(Path::new("/etc/passwd"));
        assert!(matches!(seen, Err(CgroupError::Open { .. })), "{seen:?}");
    }

    #[test]
    fn the_root_group_is_level_0_where_one_is_mounted() {
        let mount_point = match mount_point() {
            Ok(mount_point) => mount_point,
            Err(error) => {
                assert!(matches!(error, CgroupError::NotMounted), "{error:?}");
                println!("no cgroup2 mount here: nothing more to see");
                return;
            }
        };
        match lookup(&mount_point) {
            Ok(cgroup) => {
                let inode = std::fs::metadata(&mount_point).expect("mount point").ino();
                assert_eq!(cgroup, Cgroup { id: inode, level: 0, path: "/".into() });
            }
            Err(error) => assert!(matches!(error, CgroupError::PartialMount { .. }), "{error:?}"),
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut line = b"1 1 0:1 / ".to_vec();
            line.extend(&bytes);
            line.extend(b" rw - cgroup2 x rw");
            let seen = parse_mount_point(&line);
            prop_assert!(seen.is_none_or(|path| path.as_os_str().len() <= bytes.len()));
            parse_path(&bytes);
        }
    }
}
