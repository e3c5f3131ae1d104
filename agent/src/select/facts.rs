//! What is known of one process: read from /proc when it is asked for, and then once.

use std::{
    cell::OnceCell,
    ffi::OsString,
    fs, io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use super::Group;
use crate::procfs::{read_at_most, status};

/// Of a command line; what comes later is not looked at.
const MAX_CMDLINE_BYTES: u64 = 4096;
/// With the version 1 hierarchies, of which there are a dozen, each with a path.
const MAX_CGROUP_BYTES: u64 = 64 << 10;
/// What the kernel appends to the path of a file that was removed, as by an upgrade.
const DELETED: &[u8] = b" (deleted)";

/// What is known of a process.
#[derive(Debug, Default)]
pub struct Facts {
    pid: u32,
    exe: OnceCell<Exe>,
    cmdline: OnceCell<Option<String>>,
    group: OnceCell<Option<Group>>,
    uid: OnceCell<Option<u32>>,
}

#[derive(Debug)]
enum Exe {
    Path(PathBuf),
    /// A thread of the kernel, or a process that has gone.
    None,
    /// Not for us.
    Hidden,
}

impl Facts {
    /// Of a live process, read as they are asked for.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        Self { pid, ..Self::default() }
    }

    /// These facts and no others: nothing is read.
    #[must_use]
    pub fn known(exe: Option<&Path>, cmdline: &str, group: Group, uid: u32) -> Self {
        let exe = exe.map_or(Exe::None, |path| Exe::Path(path.to_owned()));
        Self {
            pid: 0,
            exe: exe.into(),
            cmdline: Some(cmdline.to_owned()).into(),
            group: Some(group).into(),
            uid: Some(uid).into(),
        }
    }

    /// Its executable, as it sees the path itself.
    #[must_use]
    pub fn exe(&self) -> Option<&Path> {
        let read = || match fs::read_link(format!("/proc/{}/exe", self.pid)) {
            Ok(path) => Exe::Path(undeleted(path)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Exe::Hidden,
            Err(_) => Exe::None,
        };
        match self.exe.get_or_init(read) {
            Exe::Path(path) => Some(path),
            Exe::None | Exe::Hidden => None,
        }
    }

    /// Somebody asked for the executable, and it is not for us.
    pub(super) fn is_exe_hidden(&self) -> bool {
        matches!(self.exe.get(), Some(Exe::Hidden))
    }

    /// The beginning of its command line, with spaces between arguments; empty for a thread of the kernel.
    #[must_use]
    pub fn cmdline(&self) -> Option<&str> {
        let read = || {
            let bytes = read_at_most(&format!("/proc/{}/cmdline", self.pid), MAX_CMDLINE_BYTES).ok()?;
            Some(cmdline_text(&bytes))
        };
        self.cmdline.get_or_init(read).as_deref()
    }

    /// Where it is in the hierarchy of control groups.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        let read = || {
            let bytes = read_at_most(&format!("/proc/{}/cgroup", self.pid), MAX_CGROUP_BYTES).ok()?;
            Some(Group::of_file(&bytes))
        };
        self.group.get_or_init(read).as_ref()
    }

    /// Its effective user.
    #[must_use]
    pub fn uid(&self) -> Option<u32> {
        *self.uid.get_or_init(|| status::read(self.pid).ok().map(|status| status.effective_uid))
    }
}

fn undeleted(path: PathBuf) -> PathBuf {
    match path.as_os_str().as_bytes().strip_suffix(DELETED) {
        Some(before) => PathBuf::from(OsString::from_vec(before.to_vec())),
        None => path,
    }
}

fn cmdline_text(bytes: &[u8]) -> String {
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let arguments = bytes.get(..end).unwrap_or_default();
    String::from_utf8_lossy(arguments).replace('\0', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known_and_one_that_is_gone_is_not() {
        let own = Facts::of(std::process::id());
        assert_eq!(own.exe(), std::env::current_exe().ok().as_deref());
        assert!(own.cmdline().is_some_and(|line| !line.is_empty() && !line.contains('\0')), "{own:?}");
        // SAFETY: a call without arguments that cannot fail.
        assert_eq!(own.uid(), Some(unsafe { libc::geteuid() }));
        assert!(own.group().is_some_and(|group| group.path.starts_with('/')), "{own:?}");
        let gone = Facts::of(u32::MAX);
        assert_eq!((gone.exe(), gone.cmdline(), gone.group(), gone.uid()), (None, None, None, None));
    }

    #[test]
    fn an_executable_that_was_replaced_keeps_its_path_and_arguments_are_words() {
        assert_eq!(undeleted("/usr/sbin/nginx (deleted)".into()), Path::new("/usr/sbin/nginx"));
        assert_eq!(cmdline_text(b"/bin/a\0-x\0\0two words\0\0"), "/bin/a -x  two words");
        assert_eq!(cmdline_text(b""), "");
        assert_eq!(cmdline_text(b"\xff\0"), "\u{fffd}");
    }
}
