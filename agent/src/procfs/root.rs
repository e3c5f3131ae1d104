//! Opening files inside another process's root directory, without being led out of it.
//!
//! A path below /proc/PID/root must not be opened as text: an absolute symbolic link in a container would be
//! followed in the agent's own root. The kernel resolves it inside the given directory instead.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Symbolic links on the way may be followed, inside the root.
pub const FOLLOW_LAST: i32 = 0;
/// The last part of the path must not be a symbolic link.
pub const NO_FOLLOW_LAST: i32 = libc::O_NOFOLLOW;

/// The root directory of a process, held so that it can be used after the process has gone.
pub fn of_process(pid: u32) -> io::Result<File> {
    open_directory(Path::new(&format!("/proc/{pid}/root")))
}

/// The agent's own root directory.
pub fn own() -> io::Result<File> {
    open_directory(Path::new("/"))
}

fn open_directory(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(path)
}

/// Opens `path` inside `root` as a handle only (`O_PATH`): nothing of a device, pipe or socket is touched, and
/// the caller looks at what it is before it opens it with [`reopen_for_reading`].
pub fn open_handle(root: &File, path: &Path, last: i32) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: open_how is three integers, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((libc::O_PATH | libc::O_CLOEXEC | last).cast_unsigned());
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: the descriptor, the path and the structure live through the call, and the size is the structure's.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    let descriptor = i32::try_from(descriptor).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and no one else has it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Opens a held file for reading. Never waits for a writer, should it be a pipe after all.
pub fn reopen_for_reading(handle: &File) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn read_inside(root: &File, path: &str, last: i32) -> io::Result<String> {
        let mut text = String::new();
        reopen_for_reading(&open_handle(root, Path::new(path), last)?)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn links_and_dots_stay_inside_the_root() {
        let outside = tempfile::tempdir().expect("temporary directory");
        std::fs::write(outside.path().join("secret"), "outside").expect("writes");
        let inside = outside.path().join("root");
        std::fs::create_dir(&inside).expect("creates");
        std::fs::write(inside.join("secret"), "inside").expect("writes");
        symlink("/secret", inside.join("absolute")).expect("links");
        symlink("../../../secret", inside.join("dots")).expect("links");
        let root = open_directory(&inside).expect("opens");

        for path in ["secret", "/secret", "absolute", "dots", "../secret", "/../../secret"] {
            let seen = read_inside(&root, path, FOLLOW_LAST);
            assert_eq!(seen.as_deref().ok(), Some("inside"), "{path}: {seen:?}");
        }
    }

    #[test]
    fn magic_links_lead_nowhere() {
        let root = own().expect("opens /");
        let seen = read_inside(&root, "/proc/self/root/etc/passwd", FOLLOW_LAST);
        let code = seen.as_ref().err().and_then(io::Error::raw_os_error);
        assert_eq!(code, Some(libc::ELOOP), "{seen:?}");
    }

    #[test]
    fn this_process_root_is_its_own_root() {
        use std::os::unix::fs::MetadataExt;
        let held = of_process(std::process::id()).and_then(|root| root.metadata()).expect("own root");
        let own = std::fs::metadata("/").expect("root");
        assert_eq!((held.dev(), held.ino()), (own.dev(), own.ino()));
    }

    #[test]
    fn a_path_with_a_zero_byte_is_an_error() {
        let seen = open_handle(&own().expect("opens /"), Path::new("/etc\0/passwd"), FOLLOW_LAST);
        assert!(seen.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::InvalidInput), "{seen:?}");
    }
}
