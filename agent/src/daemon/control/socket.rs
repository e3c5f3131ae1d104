//! The socket as a file: in a directory that is ours alone, ours as long as we hold its lock.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::{
        fd::AsRawFd as _,
        unix::{
            fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::private_dir::{PrivateDir, PrivateDirError};

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The path names no file in a directory.
    #[error("`{}` is no path of a socket", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// Its directory cannot be used.
    #[error("the directory of the control socket, {}, cannot be used", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: PrivateDirError,
    },
    /// Another daemon has it.
    #[error("another daemon listens on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is something else.
    #[error("{} exists and is no socket: remove it, or set another `control_socket`", path.display())]
    NoSocket {
        /// What is there.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A socket that listens. Its file goes when this does.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    dir: PrivateDir,
    name: PathBuf,
    /// Held: who has it has the socket. A lock and no attempt to connect tells a dead daemon from one that is busy.
    _lock: File,
}

impl Socket {
    /// Listens; the socket of a daemon that is no more is replaced.
    pub(super) fn bind(path: &Path) -> Result<Self, SocketError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(SocketError::Path { path: path.to_owned() });
        };
        let dir = PrivateDir::open(parent)
            .map_err(|source| SocketError::Directory { path: parent.to_owned(), source })?;
        let name = PathBuf::from(name);
        let listen_error = |source| SocketError::Listen { path: path.to_owned(), source };
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(dir.path().join(&name).with_added_extension("lock"))
            .map_err(listen_error)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SocketError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(listen_error(source)),
        }
        // By way of the directory that was checked; this is short enough for the address of a socket, too.
        let file = dir.path().join(&name);
        match fs::symlink_metadata(&file) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketError::NoSocket { path: path.to_owned() });
            }
            Ok(_) => fs::remove_file(&file).map_err(listen_error)?,
            Err(_) => {}
        }
        let listener = UnixListener::bind(&file).map_err(listen_error)?;
        // Until then nobody but us gets into the directory.
        fs::set_permissions(&file, Permissions::from_mode(0o600)).map_err(listen_error)?;
        Ok(Self { listener, dir, name, _lock: lock })
    }

    /// Has the thread that accepts return.
    pub(super) fn stop(&self) {
        // SAFETY: the descriptor is ours and open. On Linux, whoever waits for a connection gets EINVAL.
        let _ = unsafe { libc::shutdown(self.listener.as_raw_fd(), libc::SHUT_RDWR) };
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // One that is left is replaced at the next start.
        let _ = fs::remove_file(self.dir.path().join(&self.name));
    }
}

/// Whether whoever is at the other end may ask: root, or who we are.
pub(super) fn is_allowed(stream: &UnixStream) -> io::Result<bool> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut length = libc::socklen_t::try_from(size_of::<libc::ucred>()).map_err(io::Error::other)?;
    // SAFETY: writes at most `length` bytes into a structure of ours that is as long.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a call without arguments that cannot fail.
    let own = unsafe { libc::geteuid() };
    Ok(peer.uid == 0 || peer.uid == own)
}
