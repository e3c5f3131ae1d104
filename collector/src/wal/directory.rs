//! The files of the log: which there are, made so that they are there after a crash, and taken away.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::format;
use crate::model::Key;

const SEGMENT: &str = "log";
const KEYS: &str = "keys";
const DAMAGED: &str = "damaged";
const UNFINISHED: &str = "unfinished";
const LOCK: &str = "lock";
const RESERVE: &str = "reserve";
/// Keys of 16,000 batches: more than a segment has as a rule.
const RESERVE_BYTES: usize = 256 << 10;
/// Segments that are kept for somebody to look at.
const MAX_DAMAGED: usize = 16;
/// A segment is not read beyond; none is made so large.
pub(super) const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// Why there is no log.
#[derive(Debug, Error)]
pub enum LogError {
    /// A file or the directory cannot be used.
    #[error("cannot {what} {path}")]
    File {
        /// What was to be done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another collector uses it.
    #[error("{path} is in use by another collector; end it, or give this one another --data")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It holds what another version of this program wrote.
    #[error("cannot read {path}")]
    Version {
        /// Which file.
        path: PathBuf,
        /// Which version.
        source: format::OtherVersion,
    },
    /// No thread could be started.
    #[error("cannot start the thread of the log")]
    Thread(#[source] io::Error),
}

/// The directory, for as long as this is there.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Self, LogError> {
        let error = |what, path: &Path| {
            let path = path.to_owned();
            move |source| LogError::File { what, path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(error("make", path))?;
        // The log is not there after a crash if its directory is not.
        for above in path.ancestors().take(3).filter(|above| !above.as_os_str().is_empty()) {
            File::open(above).and_then(|file| file.sync_all()).map_err(error("sync", above))?;
        }
        let lock_path = path.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(error("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {
                let it = Self { path: path.to_owned(), _lock: lock };
                it.reserve();
                Ok(it)
            }
            Err(fs::TryLockError::WouldBlock) => Err(LogError::InUse { path: path.to_owned() }),
            Err(fs::TryLockError::Error(source)) => Err(error("lock", &lock_path)(source)),
        }
    }

    /// Numbers of segments and of files of keys, each in order. What was not finished is removed.
    pub(super) fn list(&self) -> Result<[Vec<u64>; 2], LogError> {
        let error = |source| LogError::File { what: "list", path: self.path.clone(), source };
        let (mut segments, mut keys) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.path).map_err(error)? {
            let path = entry.map_err(error)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            match (number_of(stem), ending) {
                (Some(number), SEGMENT) => segments.push(number),
                (Some(number), KEYS) => keys.push(number),
                (_, UNFINISHED) => fs::remove_file(&path).map_err(error)?,
                _ => {}
            }
        }
        segments.sort_unstable();
        keys.sort_unstable();
        Ok([segments, keys])
    }

    pub(super) fn segment_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016x}.{SEGMENT}"))
    }

    /// A new segment, that is there after a crash.
    pub(super) fn create_segment(&self, number: u64) -> io::Result<File> {
        let path = self.segment_path(number);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let made = file
            .write_all(&format::segment_header(number))
            .and_then(|()| file.sync_all())
            .and_then(|()| self.sync());
        // A disk that is full shall not be filled with files that are empty.
        made.inspect_err(|_| drop(remove(&path)))?;
        Ok(file)
    }

    /// As much of a segment as there may be.
    pub(super) fn read_segment(&self, number: u64, limit_bytes: u64) -> io::Result<Vec<u8>> {
        read_up_to(&self.segment_path(number), limit_bytes.min(MAX_SEGMENT_BYTES))
    }

    /// Has the disk keep what a segment holds.
    pub(super) fn sync_segment(&self, number: u64) -> io::Result<()> {
        File::open(self.segment_path(number))?.sync_all()?;
        self.sync()
    }

    /// Takes a segment away; it was not there is no error.
    pub(super) fn remove_segment(&self, number: u64) -> io::Result<()> {
        remove(&self.segment_path(number))?;
        self.reserve();
        Ok(())
    }

    /// Has room for keys on the disk. A log that has filled it could not become smaller without: keys are written before their segment is
    /// removed. Where there is no room now, there may be after the next segment.
    fn reserve(&self) {
        let path = self.path.join(RESERVE);
        let bytes = u64::try_from(RESERVE_BYTES).unwrap_or(u64::MAX);
        if fs::metadata(&path).is_ok_and(|found| found.len() == bytes) {
            return;
        }
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        let made =
            made.and_then(|mut file| file.write_all(&[0; RESERVE_BYTES]).and_then(|()| file.sync_all()));
        // Half of it is of no use.
        let _ = made.inspect_err(|_| drop(remove(&path)));
    }

    /// Leaves a segment for somebody to look at. Of many, the last stay.
    pub(super) fn set_aside(&self, number: u64) -> io::Result<()> {
        fs::rename(self.segment_path(number), self.path.join(format!("{number:016x}.{DAMAGED}")))?;
        let mut damaged: Vec<PathBuf> = fs::read_dir(&self.path)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == DAMAGED))
            .collect();
        damaged.sort();
        let n_over = damaged.len().saturating_sub(MAX_DAMAGED);
        damaged.iter().take(n_over).try_for_each(|path| remove(path))
    }

    /// Keeps the keys of a segment, with what is reserved if there is no other room.
    pub(super) fn write_keys(&self, number: u64, keys: &[Key]) -> io::Result<()> {
        let is_full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        match self.try_write_keys(number, keys) {
            Err(error) if is_full(&error) => {
                remove(&self.path.join(RESERVE))?;
                self.try_write_keys(number, keys)
            }
            done => done,
        }
    }

    fn try_write_keys(&self, number: u64, keys: &[Key]) -> io::Result<()> {
        let path = self.path.join(format!("{number:016x}.{KEYS}"));
        let unfinished = self.path.join(format!("{number:016x}.{KEYS}.{UNFINISHED}"));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&format::keys(number, keys))?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        self.sync()
    }

    pub(super) fn read_keys(&self, number: u64) -> Option<Vec<Key>> {
        let path = self.path.join(format!("{number:016x}.{KEYS}"));
        format::read_keys(number, &read_up_to(&path, MAX_SEGMENT_BYTES).ok()?)
    }

    pub(super) fn remove_keys(&self, number: u64) -> io::Result<()> {
        remove(&self.path.join(format!("{number:016x}.{KEYS}")))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read_up_to(path: &Path, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Only the names that we give: lower case, all digits.
fn number_of(text: &str) -> Option<u64> {
    let number = u64::from_str_radix(text, 16).ok()?;
    (format!("{number:016x}") == text && number < u64::MAX).then_some(number)
}
