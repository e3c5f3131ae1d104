//! Opening the file behind a mapping of a process, in its mount namespace, deleted or replaced though it be.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::build_id::BuildId;
use super::elf::Elf;
use crate::procfs::root;

/// Largest file opened: more than any executable, less than a disk image that someone mapped.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// What tells one content of one file from another, as far as the file system says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size.
    pub size_bytes: u64,
    /// Last change of content, in nanoseconds since 1970.
    pub modified_ns: i128,
}

impl FileIdentity {
    /// Takes the identity out of what the kernel says of a file.
    pub fn of(metadata: &Metadata) -> Self {
        let seconds = i128::from(metadata.mtime());
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified_ns: seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(i128::from(metadata.mtime_nsec())),
        }
    }
}

/// An open file with code in it.
#[derive(Debug)]
pub struct ObjectFile {
    /// Open for reading.
    pub file: File,
    /// Its path as the target sees it: a label, not something to open.
    pub path: PathBuf,
    /// Its build ID, where it is an ELF file that has one.
    pub build_id: Option<BuildId>,
    /// Its size when it was opened.
    pub size_bytes: u64,
    /// Which content of which file it was when it was opened.
    pub identity: FileIdentity,
    /// A handle (`O_PATH`) of the root directory in which `path` was mapped, where that is not the agent's own.
    pub root: Option<Arc<File>>,
}

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No way to it worked; this is the last one's answer.
    #[error("cannot open {path}")]
    Open {
        /// The path as the target sees it.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// A device, pipe, socket or directory.
    #[error("{path} is not a regular file")]
    NotRegular {
        /// The path as the target sees it.
        path: PathBuf,
    },
    /// Above [`MAX_FILE_BYTES`].
    #[error("{path} has {size_bytes} bytes, the limit is {MAX_FILE_BYTES}")]
    TooLarge {
        /// The path as the target sees it.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
    /// Another file has taken its place.
    #[error("{path} is another file now: mapped inode {mapped_inode}, found {found_inode}")]
    Replaced {
        /// The path as the target sees it.
        path: PathBuf,
        /// The inode that is mapped.
        mapped_inode: u64,
        /// The inode that the path leads to.
        found_inode: u64,
    },
}

/// Opens the file that a process has mapped at `start..end`.
///
/// First through the mapping itself, which is exact even when the file is deleted, replaced or in another mount
/// namespace; then by path inside the process's root; then by path in the agent's own, for a process that has
/// already gone. A path counts only if it leads to the mapped inode.
///
/// Does not wait for a pipe or touch a device. A file system served by a program of the target's user (FUSE)
/// can still keep the caller waiting.
pub fn open_mapped(pid: u32, start: u64, end: u64, path: &Path, inode: u64) -> Result<ObjectFile, OpenError> {
    let mapping = PathBuf::from(format!("/proc/{pid}/map_files/{start:x}-{end:x}"));
    let handle = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(mapping);
    let first = match open_checked(handle, path, None) {
        Ok(object) => return Ok(object),
        Err(error) => error,
    };
    if !path.is_absolute() {
        return Err(first);
    }
    let by_path = |root: io::Result<File>| {
        let handle = root.and_then(|root| root::open_handle(&root, path, root::FOLLOW_LAST));
        open_checked(handle, path, Some(inode))
    };
    by_path(root::of_process(pid)).or_else(|in_root| {
        by_path(root::own()).map_err(|in_own| match in_root {
            // The process's own root knows more about its files than ours.
            OpenError::Open { .. } => in_own,
            known => known,
        })
    })
}

impl ObjectFile {
    /// Opens a file of the agent's own mount namespace.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let handle = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path);
        open_checked(handle, path, None)
    }

    /// Opens a file inside a root directory, without being led out of it.
    pub fn open_inside(root: &File, path: &Path) -> Result<Self, OpenError> {
        open_checked(root::open_handle(root, path, root::FOLLOW_LAST), path, None)
    }

    /// Takes a file that is already open for reading.
    pub fn from_file(file: File, path: PathBuf) -> Result<Self, OpenError> {
        let metadata = match file.metadata() {
            Ok(metadata) => metadata,
            Err(source) => return Err(OpenError::Open { path, source }),
        };
        check(&metadata, &path, None)?;
        let build_id = Elf::parse(&file).ok().and_then(|elf| BuildId::of(&elf));
        let identity = FileIdentity::of(&metadata);
        Ok(Self { file, path, build_id, size_bytes: metadata.len(), identity, root: None })
    }
}

/// Looks at what a handle stands for before anything of it is opened.
fn open_checked(
    handle: io::Result<File>,
    path: &Path,
    mapped_inode: Option<u64>,
) -> Result<ObjectFile, OpenError> {
    let open_error = |source| OpenError::Open { path: path.to_path_buf(), source };
    let handle = handle.map_err(open_error)?;
    check(&handle.metadata().map_err(open_error)?, path, mapped_inode)?;
    let file = root::reopen_for_reading(&handle).map_err(open_error)?;
    ObjectFile::from_file(file, path.to_path_buf())
}

fn check(metadata: &Metadata, path: &Path, mapped_inode: Option<u64>) -> Result<(), OpenError> {
    let path = || path.to_path_buf();
    if !metadata.is_file() {
        return Err(OpenError::NotRegular { path: path() });
    }
    if let Some(mapped_inode) = mapped_inode.filter(|&inode| inode != metadata.ino()) {
        return Err(OpenError::Replaced { path: path(), mapped_inode, found_inode: metadata.ino() });
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(OpenError::TooLarge { path: path(), size_bytes: metadata.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procfs::maps;

    #[test]
    fn the_executable_of_this_process_is_opened_by_its_mapping() {
        let own = std::env::current_exe().expect("own path");
        let maps = maps::read_executable(std::process::id()).expect("own maps");
        let entry = maps
            .iter()
            .find(|entry| entry.path.as_ref() == Some(&own))
            .unwrap_or_else(|| panic!("{own:?} in {maps:#?}"));
        let object =
            open_mapped(std::process::id(), entry.start, entry.end, &own, entry.inode).expect("opens");
        let size = std::fs::metadata(&own).expect("own file").len();
        assert_eq!((object.size_bytes, object.identity.inode), (size, entry.inode), "{object:?}");
        assert_eq!(object.path, own);
    }

    #[test]
    fn a_process_that_is_gone_is_read_by_path_if_the_inode_is_the_same() {
        let own = std::env::current_exe().expect("own path");
        let inode = std::fs::metadata(&own).expect("own file").ino();
        let gone = u32::MAX;
        let object = open_mapped(gone, 0x1000, 0x2000, &own, inode).expect("opens by path");
        assert_eq!(object.identity.inode, inode);
        let seen = open_mapped(gone, 0x1000, 0x2000, &own, inode.wrapping_add(1));
        assert!(matches!(seen, Err(OpenError::Replaced { .. })), "{seen:?}");
        let seen = open_mapped(gone, 0x1000, 0x2000, Path::new("/nowhere/at/all"), 1);
        assert!(matches!(seen, Err(OpenError::Open { .. })), "{seen:?}");
    }

    #[test]
    fn pipes_devices_and_directories_are_refused_at_once() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success(), "{made:?}");
        for path in [pipe.as_path(), Path::new("/dev/zero"), directory.path()] {
            let inode = std::fs::metadata(path).expect("exists").ino();
            let seen = open_mapped(u32::MAX, 0x1000, 0x2000, path, inode);
            assert!(matches!(seen, Err(OpenError::NotRegular { .. })), "{path:?}: {seen:?}");
        }
    }

    #[test]
    fn a_file_above_the_limit_is_refused() {
        let sparse = tempfile::NamedTempFile::new().expect("temporary file");
        sparse.as_file().set_len(MAX_FILE_BYTES + 1).expect("sparse file");
        let seen = ObjectFile::open(sparse.path());
        assert!(matches!(seen, Err(OpenError::TooLarge { .. })), "{seen:?}");
    }
}
