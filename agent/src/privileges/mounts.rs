//! A view of the file system of which only a few directories can be written: a mount namespace of our own.
//!
//! Landlock would be the simpler way, but a process within a Landlock domain may not look into processes outside of it,
//! whatever its capabilities are: no /proc/PID/root, exe or ns, which is what symbols of containers come from.

use std::{
    ffi::CString,
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    ptr,
};

use thiserror::Error;

/// Why the view is not made.
#[derive(Debug, Error)]
pub(super) enum ViewError {
    /// The kernel refused a step.
    #[error("cannot {step} {path}")]
    Step {
        /// Which.
        step: &'static str,
        /// Of what.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

/// Makes every mounted file system read-only for this process, except below `writable`.
///
/// What is mounted on the host later appears as it is mounted there; files that are already open stay as they are.
/// Mounts of other processes are other mounts: /proc/PID/root of a process in another mount namespace is read as before.
///
/// # Errors
/// If the kernel refuses: it takes `CAP_SYS_ADMIN`. What was done until then harms nothing.
pub(super) fn make_read_only(writable: &[PathBuf]) -> Result<(), ViewError> {
    let root = Path::new("/");
    // SAFETY: takes no pointer.
    answer(unsafe { libc::unshare(libc::CLONE_NEWNS) }.into(), "get a mount namespace for", root)?;
    // The host's mounts still come in; ours do not go out.
    mount(None, root, libc::MS_REC | libc::MS_SLAVE, "detach the mounts of")?;
    for path in writable {
        mount(Some(path), path, libc::MS_BIND | libc::MS_REC, "mount upon itself")?;
    }
    set_read_only(root, true, "make read-only everything below")?;
    for path in writable {
        set_read_only(path, false, "make writable")?;
    }
    // The current directory may be below one of them, and is still what was there before the mount.
    let current = std::env::current_dir().and_then(std::env::set_current_dir);
    current.map_err(|source| ViewError::Step {
        step: "return to the current directory of",
        path: root.into(),
        source,
    })
}

fn mount(
    source: Option<&Path>,
    target: &Path,
    flags: libc::c_ulong,
    step: &'static str,
) -> Result<(), ViewError> {
    let (from, to) = (source.map(|path| text(path, step)).transpose()?, text(target, step)?);
    let from = from.as_ref().map_or(ptr::null(), |from| from.as_ptr());
    // SAFETY: strings that end in NUL and live through the call, no type, no data.
    let result = unsafe { libc::mount(from, to.as_ptr(), ptr::null(), flags, ptr::null()) };
    answer(result.into(), step, target)
}

fn set_read_only(path: &Path, is_read_only: bool, step: &'static str) -> Result<(), ViewError> {
    let text = text(path, step)?;
    let (set, clear) = if is_read_only { (libc::MOUNT_ATTR_RDONLY, 0) } else { (0, libc::MOUNT_ATTR_RDONLY) };
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    // SAFETY: the path and the structure live through the call, and the size is the structure's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            text.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    answer(result, step, path)
}

fn text(path: &Path, step: &'static str) -> Result<CString, ViewError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|error| ViewError::Step {
        step,
        path: path.to_owned(),
        source: error.into(),
    })
}

fn answer(result: libc::c_long, step: &'static str, path: &Path) -> Result<(), ViewError> {
    match result {
        0 => Ok(()),
        _ => Err(ViewError::Step { step, path: path.to_owned(), source: io::Error::last_os_error() }),
    }
}
