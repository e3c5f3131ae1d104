//! Unwind tables on disk, so that a file that was unwound once is not run through again by the next recording.
//!
//! Only the owner may have a say in what is there: the directory and its files are his alone, and what is not is
//! left aside. A file is written whole or not at all, checked whole before it is used, and nothing that is wrong
//! with the cache is an error to a recording: the table is then built.

use std::{
    fs::{self, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use thiserror::Error;

use crate::{
    object::ObjectFile,
    private_dir::{PrivateDir, PrivateDirError, read_up_to},
    unwind::{self, Table, TableKey, UnwindError, stored},
};

/// Bytes in the directory, at most. The tables of a host with hundreds of images have some 100 MiB.
pub const LIMIT_BYTES: u64 = 512 << 20;

/// Largest table that is kept, in bytes.
const MAX_TABLE_BYTES: u64 = 64 << 20;
const ENDING: &str = "table";
/// Of a key, as it is shown.
const KEY_DIGITS: usize = 2 * size_of::<TableKey>();
/// Of files that are being written.
const UNFINISHED: &str = ".unfinished-";

/// Why a directory is not used as a cache.
#[derive(Debug, Error)]
#[error("cannot use {path} as a cache of unwind tables")]
pub struct CacheError {
    /// The directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub source: PrivateDirError,
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Tables that were there.
    pub n_loaded: u64,
    /// Tables that were written.
    pub n_saved: u64,
    /// Files that were not what they should be, and were removed.
    pub n_damaged: u64,
    /// Tables that could not be written.
    pub n_unsaved: u64,
}

/// Where a table came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was on disk.
    Cache,
    /// The file was run through.
    Built,
}

/// The table of a file: out of the cache if it is there, else built, and kept for later.
///
/// # Errors
/// If the file has none.
pub fn load_or_build(
    object: &ObjectFile,
    cache: Option<&TableCache>,
) -> Result<(Table, Source), UnwindError> {
    let mut source = Source::Built;
    let table = unwind::build_or(object, |key| {
        let table = cache?.load(key)?;
        source = Source::Cache;
        Some(table)
    })?;
    // What is in the cache has a name. It was there, and was not all that this file has.
    if table.key.is_none() {
        source = Source::Built;
    }
    if let (Some(cache), Source::Built) = (cache, source) {
        cache.save(&table);
    }
    Ok((table, source))
}

/// A directory of tables.
#[derive(Debug)]
pub struct TableCache {
    dir: PrivateDir,
    limit_bytes: u64,
    /// Bytes in the directory, about: other agents may write there, too.
    n_bytes: AtomicU64,
    n_loaded: AtomicU64,
    n_saved: AtomicU64,
    n_damaged: AtomicU64,
    n_unsaved: AtomicU64,
}

impl TableCache {
    /// Opens a directory, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be used, or others could change what is in it.
    pub fn open(path: &Path, limit_bytes: u64) -> Result<Self, CacheError> {
        let dir = PrivateDir::open(path).map_err(|source| CacheError { path: path.to_owned(), source })?;
        let cache = Self {
            dir,
            limit_bytes,
            n_bytes: AtomicU64::new(0),
            n_loaded: AtomicU64::new(0),
            n_saved: AtomicU64::new(0),
            n_damaged: AtomicU64::new(0),
            n_unsaved: AtomicU64::new(0),
        };
        cache.trim();
        Ok(cache)
    }

    /// The table made from what `key` names, if it is there.
    pub fn load(&self, key: TableKey) -> Option<Table> {
        let bytes = self.read(key)?;
        let Some(table) = stored::from_bytes(&bytes, key) else {
            self.n_damaged.fetch_add(1, Ordering::Relaxed);
            // If it cannot be removed, the table that is built now takes its place.
            let _ = fs::remove_file(self.path(key));
            return None;
        };
        self.n_loaded.fetch_add(1, Ordering::Relaxed);
        Some(table)
    }

    /// Keeps a table for later; if that fails, it is counted.
    pub fn save(&self, table: &Table) {
        let Some(key) = table.key else { return };
        let bytes = stored::to_bytes(table, key);
        match self.write(&self.path(key), &bytes) {
            Ok(()) => {
                self.n_saved.fetch_add(1, Ordering::Relaxed);
                let n_before = self.n_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                if n_before + bytes.len() as u64 > self.limit_bytes {
                    self.trim();
                }
            }
            Err(_) => {
                self.n_unsaved.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// What was done so far.
    pub fn counts(&self) -> CacheCounts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheCounts {
            n_loaded: count(&self.n_loaded),
            n_saved: count(&self.n_saved),
            n_damaged: count(&self.n_damaged),
            n_unsaved: count(&self.n_unsaved),
        }
    }

    fn path(&self, key: TableKey) -> PathBuf {
        self.dir.path().join(name(key))
    }

    /// A file of our own, whole; none for anything else.
    fn read(&self, key: TableKey) -> Option<Vec<u8>> {
        let file = self.dir.open_file(&name(key))?;
        let bytes = read_up_to(&file, MAX_TABLE_BYTES)?;
        // The oldest go first: what is used is not old.
        let _ = file.set_modified(SystemTime::now());
        Some(bytes)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() as u64 > MAX_TABLE_BYTES.min(self.limit_bytes) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(self.dir.path())?;
        file.write_all(bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes the oldest files until the rest has room for some more.
    fn trim(&self) {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(self.dir.path())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| is_ours(&entry.path()))
            .filter_map(|entry| {
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        files.sort();
        let mut n_bytes: u64 = files.iter().map(|(_, n_bytes, _)| n_bytes).sum();
        if n_bytes > self.limit_bytes {
            for (_, size_bytes, path) in files {
                if n_bytes <= self.limit_bytes / 10 * 9 {
                    break;
                }
                if fs::remove_file(path).is_ok() {
                    n_bytes -= size_bytes;
                }
            }
        }
        self.n_bytes.store(n_bytes, Ordering::Relaxed);
    }
}

fn name(key: TableKey) -> String {
    format!("{key}.{ENDING}")
}

/// Whether a file has a name that we give: what else is in the directory is somebody's.
fn is_ours(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let is_key = |stem: &str| {
        stem.len() == KEY_DIGITS && stem.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    name.starts_with(UNFINISHED)
        || name.strip_suffix(ENDING).and_then(|name| name.strip_suffix('.')).is_some_and(is_key)
}

#[cfg(test)]
mod tests;
