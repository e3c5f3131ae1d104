//! The directory of the spool. Names are numbers, so that their order is that of the batches.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use prost::Message as _;
use proto::spool::Positions;

use super::{
    Entry, SpoolError, SpoolFigures,
    format::{self, Content, HEADER_BYTES, Refusal},
};
use crate::private_dir::{PrivateDir, read_up_to};

const BATCH: &str = "batch";
/// Of files that are being written.
const UNFINISHED: &str = "unfinished";
const REFUSED: &str = "refused";
const PLACES: &str = "places";
const LOCK: &str = "lock";
/// Refused files that are kept for somebody to look at.
const MAX_REFUSED: usize = 16;
/// Larger ones are not kept.
const MAX_REFUSED_BYTES: u64 = 4 << 20;
/// A hundred sinks with long names.
const MAX_PLACES_BYTES: u64 = 64 << 10;
/// Numbers above are nobody's: counting one by one, nobody gets there.
const MAX_NUMBER: u64 = u64::MAX >> 1;
const BLOCK_BYTES: u64 = 4096;

/// What a file of this size takes on disk.
pub(super) fn on_disk(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(BLOCK_BYTES).unwrap_or(u64::MAX)
}

/// The directory, as long as nobody else has it.
#[derive(Debug)]
pub(super) struct Files {
    dir: PrivateDir,
    path: PathBuf,
    /// Held: who has it writes.
    _lock: File,
    /// From the oldest.
    refused: Vec<String>,
}

impl Files {
    pub(super) fn open(path: &Path) -> Result<Self, SpoolError> {
        let dir = PrivateDir::open(path)
            .map_err(|source| SpoolError::Directory { path: path.to_owned(), source })?;
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(dir.path().join(LOCK));
        let lock = lock.map_err(|source| SpoolError::Write { path: path.to_owned(), source })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SpoolError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => {
                return Err(SpoolError::Write { path: path.to_owned(), source });
            }
        }
        Ok(Self { dir, path: path.to_owned(), _lock: lock, refused: Vec::new() })
    }

    /// All batches whose header is what it should be. What is not is set aside, what was begun is removed; files with
    /// names that are not ours stay as they are.
    pub(super) fn list(&mut self, figures: &mut SpoolFigures) -> Result<BTreeMap<u64, Entry>, SpoolError> {
        let listed = fs::read_dir(self.dir.path()).map_err(|source| self.write_error(source))?;
        let names = listed.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut numbers = Vec::new();
        for name in names {
            match name.rsplit_once('.') {
                Some((number, BATCH)) => numbers.extend(number_of(number)),
                Some((of, UNFINISHED)) => {
                    // Places that were not written whole are no loss.
                    let is_batch = u64::from(of != PLACES);
                    figures.unfinished = figures.unfinished.saturating_add(is_batch);
                    self.remove_name(&name, figures);
                }
                Some((_, REFUSED)) => self.refused.push(name),
                _ => {}
            }
        }
        self.refused.sort();
        self.trim_refused(figures);
        let mut entries = BTreeMap::new();
        for number in numbers {
            match self.entry(number) {
                Ok(entry) => {
                    entries.insert(number, entry);
                }
                Err(refusal) => self.set_aside(number, refusal, figures),
            }
        }
        Ok(entries)
    }

    fn entry(&self, number: u64) -> Result<Entry, Refusal> {
        if number > MAX_NUMBER {
            return Err(Refusal::NotOurs);
        }
        let file = self.dir.open_file(&name_of(number, BATCH)).ok_or(Refusal::Unreadable)?;
        let file_bytes = file.metadata().map_err(|_| Refusal::Unreadable)?.len();
        let mut start = Vec::with_capacity(HEADER_BYTES);
        let header_bytes = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
        (&file).take(header_bytes).read_to_end(&mut start).map_err(|_| Refusal::Unreadable)?;
        let header = format::header(Content::Batch, &start, file_bytes)?;
        Ok(Entry { written_unix_ns: header.written_unix_ns, bytes: on_disk(file_bytes) })
    }

    /// A whole file, if it is there and not larger than any may be.
    pub(super) fn read(&self, number: u64, limit_bytes: u64) -> Result<Vec<u8>, Refusal> {
        let file = self.dir.open_file(&name_of(number, BATCH)).ok_or(Refusal::Unreadable)?;
        read_up_to(&file, limit_bytes).ok_or(Refusal::Unreadable)
    }

    /// Writes a batch: on disk, under its name, or not at all.
    pub(super) fn write(&self, number: u64, bytes: &[u8]) -> Result<(), SpoolError> {
        let name = name_of(number, BATCH);
        let written = self.write_whole(&name, bytes, true);
        written.map_err(|source| {
            // Under whichever of its names: a batch that is reported as not spooled shall not turn up later.
            let _ = fs::remove_file(self.dir.path().join(&name));
            self.write_error(source)
        })
    }

    fn write_whole(&self, name: &str, bytes: &[u8], is_durable: bool) -> io::Result<()> {
        let unfinished = self.dir.path().join(format!("{name}.{UNFINISHED}"));
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            file.write_all(bytes)?;
            if is_durable {
                file.sync_all()?;
            }
            fs::rename(&unfinished, self.dir.path().join(name))?;
            if is_durable { self.dir.sync() } else { Ok(()) }
        };
        write().inspect_err(|_| {
            let _ = fs::remove_file(&unfinished);
        })
    }

    pub(super) fn remove(&self, number: u64, figures: &mut SpoolFigures) {
        self.remove_name(&name_of(number, BATCH), figures);
    }

    /// Takes a file out of the row, but leaves it for somebody to look at.
    pub(super) fn set_aside(&mut self, number: u64, refusal: Refusal, figures: &mut SpoolFigures) {
        figures.add_refused(refusal);
        let (from, to) = (name_of(number, BATCH), name_of(number, REFUSED));
        let dir = self.dir.path();
        let is_small = fs::symlink_metadata(dir.join(&from)).is_ok_and(|it| it.len() <= MAX_REFUSED_BYTES);
        if !is_small || fs::rename(dir.join(&from), dir.join(&to)).is_err() {
            figures.refused_removed = figures.refused_removed.saturating_add(1);
            return self.remove_name(&from, figures);
        }
        self.refused.push(to);
        self.trim_refused(figures);
    }

    fn trim_refused(&mut self, figures: &mut SpoolFigures) {
        let n_over = self.refused.len().saturating_sub(MAX_REFUSED);
        for name in self.refused.drain(..n_over).collect::<Vec<_>>() {
            figures.refused_removed = figures.refused_removed.saturating_add(1);
            self.remove_name(&name, figures);
        }
    }

    fn remove_name(&self, name: &str, figures: &mut SpoolFigures) {
        match fs::remove_file(self.dir.path().join(name)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => figures.unremoved = figures.unremoved.saturating_add(1),
        }
    }

    /// Where each sink was; nothing is known of a sink that is not there.
    pub(super) fn read_places(&self, figures: &mut SpoolFigures) -> BTreeMap<String, u64> {
        let Some(file) = self.dir.open_file(PLACES) else { return BTreeMap::new() };
        let bytes = read_up_to(&file, MAX_PLACES_BYTES).ok_or(Refusal::Unreadable);
        let read = bytes.and_then(|bytes| format::decode::<Positions>(Content::Positions, &bytes));
        let places = match read {
            Ok(places) => places.positions,
            Err(refusal) => {
                figures.add_refused(refusal);
                Vec::new()
            }
        };
        let is_possible = |next: &u64| *next <= MAX_NUMBER;
        places.into_iter().map(|it| (it.sink, it.next)).filter(|(_, next)| is_possible(next)).collect()
    }

    pub(super) fn write_places(&self, places: &Positions) -> io::Result<()> {
        // Not waited for: a crash sends batches again, and that is allowed for.
        self.write_whole(PLACES, &format::encode(Content::Positions, 0, &places.encode_to_vec()), false)
    }

    fn write_error(&self, source: io::Error) -> SpoolError {
        SpoolError::Write { path: self.path.clone(), source }
    }
}

fn name_of(number: u64, ending: &str) -> String {
    format!("{number:016x}.{ending}")
}

/// Only the names that we give: lower case, all digits.
fn number_of(text: &str) -> Option<u64> {
    let number = u64::from_str_radix(text, 16).ok()?;
    (format!("{number:016x}") == text).then_some(number)
}
