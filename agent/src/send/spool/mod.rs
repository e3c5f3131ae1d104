//! Batches on disk, from the moment they are made until every sink has them: bounded in bytes and in age, one file for
//! each batch.
//!
//! A batch is spooled once its file is whole on disk under its name; what a crash leaves before that has another name,
//! and is removed and counted by the next start. Each sink has a place of its own in the row. The places are on disk,
//! too, but not waited for: a crash can move one back, and then batches are sent again, under the same key.

mod figures;
mod files;
pub mod format;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use prost::Message as _;
use proto::spool::{Batch as BatchMessage, Position, Positions};
use thiserror::Error;

use super::batch::{Batch, Key};
use crate::private_dir::PrivateDirError;
pub use figures::{Dropped, SpoolFigures};
use files::Files;
use format::{Content, Refusal};

/// Bytes on disk when nothing says otherwise.
pub const DEFAULT_MAX_BYTES: u64 = 512 << 20;
/// Age of a batch when nothing says otherwise.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// The list of files is in memory: some 40 bytes for each.
const MAX_BATCHES: usize = 65_536;

/// How much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// On disk, in whole blocks, at most.
    pub max_bytes: u64,
    /// A batch that has waited for longer is dropped.
    pub max_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: DEFAULT_MAX_BYTES, max_age: DEFAULT_MAX_AGE }
    }
}

/// Why the spool cannot be used, or a batch is not in it.
#[derive(Debug, Error)]
pub enum SpoolError {
    /// The directory is not ours alone.
    #[error("cannot use {path} as a spool")]
    Directory {
        /// As given.
        path: PathBuf,
        /// What is wrong with it.
        source: PrivateDirError,
    },
    /// Another process writes there.
    #[error("cannot use {path} as a spool: another agent does; give each a directory of its own")]
    InUse {
        /// As given.
        path: PathBuf,
    },
    /// A file cannot be read or written: disk full, or worse.
    #[error("cannot write to the spool {path}")]
    Write {
        /// The directory.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// More than the spool may hold.
    #[error("a batch of {bytes} bytes does not fit into a spool of {limit_bytes}; make the spool larger")]
    TooLarge {
        /// Of the batch.
        bytes: u64,
        /// Of the spool.
        limit_bytes: u64,
    },
}

/// A batch on disk.
#[derive(Clone, Copy, Debug)]
struct Entry {
    written_unix_ns: u64,
    /// In whole blocks.
    bytes: u64,
}

/// The spool.
#[derive(Debug)]
pub struct Spool {
    files: Files,
    limits: Limits,
    entries: BTreeMap<u64, Entry>,
    bytes: u64,
    /// Of the next batch. It never falls, so that no place of a sink is ever ahead of a batch that it has not seen.
    next: u64,
    /// Of each sink: the first batch that it has neither got nor given up.
    places: BTreeMap<String, u64>,
    figures: SpoolFigures,
}

impl Spool {
    /// Opens a directory, which is made if it is not there, for these sinks. A sink that is new begins with the oldest
    /// batch; nothing waits any more for one that is not named.
    ///
    /// # Errors
    /// If the directory cannot be used.
    pub fn open(path: &Path, limits: Limits, sinks: &[String], now_unix_ns: u64) -> Result<Self, SpoolError> {
        let mut files = Files::open(path)?;
        let mut figures = SpoolFigures::default();
        let listed = files.list(&mut figures)?;
        let known = files.read_places(&mut figures);
        let mut spool = Self {
            bytes: listed.values().fold(0, |sum: u64, entry| sum.saturating_add(entry.bytes)),
            next: 1,
            places: sinks.iter().map(|sink| (sink.clone(), known.get(sink).copied().unwrap_or(0))).collect(),
            entries: listed,
            files,
            limits,
            figures,
        };
        let after_last = spool.entries.last_key_value().map_or(1, |(number, _)| number.saturating_add(1));
        spool.next = known.values().copied().max().unwrap_or(1).max(after_last);
        spool.remove_finished();
        spool.make_room(0, now_unix_ns);
        Ok(spool)
    }

    /// Writes a batch; it is on disk when this returns. Where there is no room, the oldest batches go.
    ///
    /// # Errors
    /// If it cannot be written. Nothing of it is left then.
    pub fn append(&mut self, batch: Batch, now_unix_ns: u64) -> Result<Key, SpoolError> {
        let key = batch.key;
        let file = format::encode(Content::Batch, now_unix_ns, &batch.into_message().encode_to_vec());
        let bytes = files::on_disk(u64::try_from(file.len()).unwrap_or(u64::MAX));
        let appended = self.append_file(&file, bytes, now_unix_ns);
        if appended.is_err() {
            self.figures.unspooled = self.figures.unspooled.saturating_add(1);
        }
        appended.map(|()| key)
    }

    fn append_file(&mut self, file: &[u8], bytes: u64, now_unix_ns: u64) -> Result<(), SpoolError> {
        if bytes > self.limits.max_bytes {
            return Err(SpoolError::TooLarge { bytes, limit_bytes: self.limits.max_bytes });
        }
        self.make_room(bytes, now_unix_ns);
        let number = self.next;
        // Also after a failure: whatever is left of it is not written over.
        self.next = self.next.saturating_add(1);
        self.files.write(number, file)?;
        self.entries.insert(number, Entry { written_unix_ns: now_unix_ns, bytes });
        self.bytes = self.bytes.saturating_add(bytes);
        self.figures.spooled = self.figures.spooled.saturating_add(1);
        Ok(())
    }

    /// The first batch that a sink has neither got nor given up, and its number. What cannot be read is set aside and
    /// counted, and the next one follows.
    pub fn next(&mut self, sink: &str, now_unix_ns: u64) -> Option<(u64, Batch)> {
        self.make_room(0, now_unix_ns);
        loop {
            let place = *self.places.get(sink)?;
            let (&number, _) = self.entries.range(place..).next()?;
            match self.read(number) {
                Ok(batch) => return Some((number, batch)),
                Err(refusal) => {
                    self.files.set_aside(number, refusal, &mut self.figures);
                    self.forget(number);
                }
            }
        }
    }

    fn read(&self, number: u64) -> Result<Batch, Refusal> {
        let file = self.files.read(number, self.limits.max_bytes)?;
        let message: BatchMessage = format::decode(Content::Batch, &file)?;
        Batch::of_message(message).ok_or(Refusal::NoBatch)
    }

    /// A sink has got this batch or has given it up. It leaves the disk when the last one has.
    pub fn done(&mut self, sink: &str, number: u64) {
        let Some(place) = self.places.get_mut(sink) else { return };
        *place = number.saturating_add(1).max(*place);
        self.remove_finished();
        let positions =
            self.places.iter().map(|(sink, &next)| Position { sink: sink.clone(), next }).collect();
        if self.files.write_places(&Positions { positions }).is_err() {
            self.figures.places_unwritten = self.figures.places_unwritten.saturating_add(1);
        }
    }

    /// Batches that a sink has neither got nor given up.
    #[must_use]
    pub fn n_waiting(&self, sink: &str) -> usize {
        self.places.get(sink).map_or(0, |&place| self.entries.range(place..).count())
    }

    /// Bytes on disk, in whole blocks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How long the oldest batch has waited.
    #[must_use]
    pub fn oldest_age(&self, now_unix_ns: u64) -> Option<Duration> {
        let (_, oldest) = self.entries.first_key_value()?;
        Some(Duration::from_nanos(now_unix_ns.saturating_sub(oldest.written_unix_ns)))
    }

    /// What was spooled, and what was lost on the way.
    #[must_use]
    pub fn figures(&self) -> &SpoolFigures {
        &self.figures
    }

    /// Drops what is too old, and then as many of the oldest as it takes for `bytes` more.
    fn make_room(&mut self, bytes: u64, now_unix_ns: u64) {
        while let Some((&number, &entry)) = self.entries.first_key_value() {
            let age = Duration::from_nanos(now_unix_ns.saturating_sub(entry.written_unix_ns));
            let is_full = self.bytes.saturating_add(bytes) > self.limits.max_bytes
                || (bytes > 0 && self.entries.len() >= MAX_BATCHES);
            let why = match () {
                () if is_full => Dropped::full as fn(&mut Dropped) -> &mut u64,
                () if age > self.limits.max_age => Dropped::old,
                () => return,
            };
            for (sink, &place) in &self.places {
                if place <= number {
                    let n = why(self.figures.dropped.entry(sink.clone()).or_default());
                    *n = n.saturating_add(1);
                }
            }
            self.files.remove(number, &mut self.figures);
            self.forget(number);
        }
    }

    /// Without sinks nobody has anything, and what is there waits.
    fn remove_finished(&mut self) {
        let Some(&first) = self.places.values().min() else { return };
        while let Some((&number, _)) = self.entries.first_key_value().filter(|&(&number, _)| number < first) {
            self.files.remove(number, &mut self.figures);
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) {
        if let Some(entry) = self.entries.remove(&number) {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
