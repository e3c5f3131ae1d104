//! A profile as a file: whole or not at all.

use std::{
    ffi::CString,
    fs::{self, File, Permissions},
    io::{self, BufWriter, Write},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use thiserror::Error;

/// Where to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// A file; replaced by renaming, so that no reader ever sees half of one.
    File(PathBuf),
    /// A pipe or device, which is written to as it is.
    Stream(PathBuf),
}

/// Why nothing can be written there.
#[derive(Debug, Error)]
pub enum FileError {
    /// A directory stands there.
    #[error("output {} is a directory: name a file in it", path.display())]
    IsDirectory {
        /// As given.
        path: PathBuf,
    },
    /// A disk or a socket stands there.
    #[error("output {} is neither a file nor a pipe", path.display())]
    NotRegular {
        /// As given.
        path: PathBuf,
    },
    /// No file can be made there.
    #[error("cannot write {}", path.display())]
    Write {
        /// As given.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
}

impl Destination {
    /// Finds out, before anything is recorded, whether a profile can be written to `path`; `-` is stdout.
    ///
    /// # Errors
    /// If it cannot.
    pub fn check(path: &Path) -> Result<Self, FileError> {
        if path == Path::new("-") {
            return Ok(Self::Stdout);
        }
        let write_error = |source| FileError::Write { path: path.to_owned(), source };
        let target = match fs::metadata(path).map(|metadata| metadata.file_type()) {
            Ok(kind) if kind.is_dir() => return Err(FileError::IsDirectory { path: path.to_owned() }),
            Ok(kind) if kind.is_fifo() || kind.is_char_device() => return Ok(Self::Stream(path.to_owned())),
            // A link is followed: what it points at is replaced, not the link. What stands behind an open
            // descriptor (/dev/stdout) has no name to rename to.
            Ok(kind) if kind.is_file() && path.starts_with("/dev") => {
                return Ok(Self::Stream(path.to_owned()));
            }
            Ok(kind) if kind.is_file() => fs::canonicalize(path).map_err(write_error)?,
            Ok(_) => return Err(FileError::NotRegular { path: path.to_owned() }),
            Err(_) => path.to_owned(),
        };
        // A file of our own in the same directory, gone again at once: the rename will need just that.
        temporary_beside(&target)?;
        Ok(Self::File(target))
    }

    /// Writes what `fill` writes.
    ///
    /// # Errors
    /// If `fill` fails, or the file cannot be written. Nothing is left behind then, and a file that was there
    /// is there still.
    pub fn write<E: From<FileError>>(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let error = |path: &Path| {
            let path = path.to_owned();
            move |source| E::from(FileError::Write { path, source })
        };
        match self {
            Self::Stdout => {
                let mut out = BufWriter::new(io::stdout().lock());
                fill(&mut out)?;
                out.flush().map_err(error(Path::new("-")))
            }
            Self::Stream(path) => {
                let mut out = BufWriter::new(File::options().write(true).open(path).map_err(error(path))?);
                fill(&mut out)?;
                out.flush().map_err(error(path))
            }
            Self::File(path) => {
                let mut out = BufWriter::new(temporary_beside(path)?);
                fill(&mut out)?;
                let file = out.into_inner().map_err(|e| error(path)(e.into_error()))?;
                file.persist(path).map_err(|e| error(path)(e.error))?;
                Ok(())
            }
        }
    }
}

/// A file in the directory of `path` that is removed unless it is renamed.
fn temporary_beside(path: &Path) -> Result<NamedTempFile, FileError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    tempfile::Builder::new()
        .prefix(".brazier-")
        // Like any file a user makes: the umask decides who may read it.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .map_err(|error| FileError::Write { path: path.to_owned(), source: why_not(directory, error) })
}

/// The kernel's own answer. The library adds the name of its temporary file, which means nothing to the user.
fn why_not(directory: &Path, error: io::Error) -> io::Error {
    match fs::metadata(directory) {
        Err(error) => return error,
        Ok(metadata) if !metadata.is_dir() => return io::Error::from_raw_os_error(libc::ENOTDIR),
        Ok(_) => {}
    }
    let Ok(path) = CString::new(directory.as_os_str().as_bytes()) else { return error };
    // SAFETY: a string that outlives the call.
    match unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) } {
        0 => error,
        _ => io::Error::last_os_error(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Destination, FileError};
    use std::{fs, path::Path};

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("x.svg");
        fs::write(&path, "old").expect("written");
        let destination = Destination::check(&path).expect("writable");
        let failed = destination.write::<FileError>(|out| {
            out.write_all(b"half").expect("written");
            Err(FileError::IsDirectory { path: "x".into() })
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).expect("read"), "old");
        destination
            .write::<FileError>(|out| {
                out.write_all(b"new").expect("written");
                Ok(())
            })
            .expect("written");
        assert_eq!(fs::read_to_string(&path).expect("read"), "new");
        let names: Vec<_> = fs::read_dir(folder.path())
            .expect("listed")
            .map(|entry| entry.expect("entry").file_name())
            .collect();
        assert_eq!(names, ["x.svg"]);
    }

    #[test]
    fn a_link_stays_a_link_and_what_it_points_at_is_replaced() {
        let folder = tempfile::tempdir().expect("a directory");
        let (file, link) = (folder.path().join("x.svg"), folder.path().join("link.svg"));
        fs::write(&file, "old").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        let destination = Destination::check(&link).expect("writable");
        assert_eq!(destination, Destination::File(file.canonicalize().expect("there")));
        assert_eq!(
            Destination::check(Path::new("/dev/null")).expect("writable"),
            Destination::Stream("/dev/null".into())
        );
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        assert!(matches!(Destination::check(&socket), Err(FileError::NotRegular { .. })));
    }

    #[test]
    fn a_directory_and_a_missing_directory_are_refused_before_anything_is_recorded() {
        let folder = tempfile::tempdir().expect("a directory");
        assert!(matches!(Destination::check(folder.path()), Err(FileError::IsDirectory { .. })));
        let missing = folder.path().join("no/x.svg");
        assert!(matches!(Destination::check(&missing), Err(FileError::Write { .. })));
    }
}
