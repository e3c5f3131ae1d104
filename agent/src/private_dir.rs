//! A directory that is its owner's alone: nobody else can put a file there that we would believe.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read as _},
    os::{
        fd::AsRawFd as _,
        unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use thiserror::Error;

/// Why a directory is not used.
#[derive(Debug, Error)]
pub enum PrivateDirError {
    /// It cannot be made or opened.
    #[error(transparent)]
    Open(io::Error),
    /// Whoever owns it could put a file there.
    #[error("it belongs to user {owner}, not to {user}")]
    Owner {
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// So could others.
    #[error("it is open to others (mode {mode:o}); chmod it to 700")]
    Mode {
        /// Its permissions.
        mode: u32,
    },
}

/// A directory that is ours alone.
#[derive(Debug)]
pub struct PrivateDir {
    /// Held, so that it stays the one that was checked.
    dir: File,
    user: u32,
}

impl PrivateDir {
    /// Opens a directory, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be used, or others could change what is in it.
    pub fn open(path: &Path) -> Result<Self, PrivateDirError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(PrivateDirError::Open)?;
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let dir =
            OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(PrivateDirError::Open)?;
        let metadata = dir.metadata().map_err(PrivateDirError::Open)?;
        // SAFETY: a call without arguments that cannot fail.
        let user = unsafe { libc::geteuid() };
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
        if owner != user {
            return Err(PrivateDirError::Owner { owner, user });
        }
        if mode & 0o077 != 0 {
            return Err(PrivateDirError::Mode { mode });
        }
        Ok(Self { dir, user })
    }

    /// The directory as it was opened, whatever has become of its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()))
    }

    /// Waits until the names in it are on disk.
    ///
    /// # Errors
    /// If the kernel cannot say so.
    pub fn sync(&self) -> io::Result<()> {
        self.dir.sync_all()
    }

    /// A file of our own in it; none for a link, a pipe, somebody else's, or one that others can write.
    #[must_use]
    pub fn open_file(&self, name: &str) -> Option<File> {
        // Neither follows a link nor waits for a pipe.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(self.path().join(name)).ok()?;
        let metadata = file.metadata().ok()?;
        let is_ours = metadata.is_file() && metadata.uid() == self.user && metadata.mode() & 0o022 == 0;
        is_ours.then_some(file)
    }
}

/// All bytes of a file, if there are no more than `limit_bytes`.
#[must_use]
pub fn read_up_to(file: &File, limit_bytes: u64) -> Option<Vec<u8>> {
    let size_bytes = file.metadata().ok()?.len();
    if size_bytes > limit_bytes {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size_bytes).ok()?);
    file.take(limit_bytes).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
