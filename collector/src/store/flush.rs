//! From a segment of the log to files with names. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    io::Read as _,
};

use super::{
    file::{self, FileError},
    path::{FilePath, Period, Table},
    rows::Rows,
    tables,
};
use crate::{
    limits::MAX_RECORD_BYTES,
    model::{Batch, Id, Key},
    wal::{
        Sealed,
        format::{self, OtherVersion, Record},
    },
};

/// Stacks and frames that are remembered as written.
const MAX_WRITTEN: usize = 1 << 20;

/// A file that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// Where.
    pub path: FilePath,
    /// What.
    pub bytes: Vec<u8>,
    /// Rows in it.
    pub n_rows: usize,
}

/// A segment as files, in the order in which they must be put.
#[derive(Debug, Default)]
pub struct Flushed {
    /// Frames before stacks, stacks before samples.
    pub files: Vec<NamedFile>,
    /// Of the batches in them.
    pub keys: Vec<Key>,
    /// Places of the segment that could not be read.
    pub n_damaged: u64,
    /// Stacks and frames in the files, by tenant and day: written once the files are put.
    pub new_ids: Vec<(String, Period, Vec<Id>)>,
}

/// Stacks and frames that this collector has written for a day.
#[derive(Debug, Default)]
pub struct Written {
    by_day: HashMap<(String, Period), HashSet<Id>>,
    n_ids: usize,
}

impl Written {
    fn of_day(&self, tenant: &str, day: Period) -> Option<&HashSet<Id>> {
        // Few tenants and days: to look at each is cheaper than to own a key.
        self.by_day.iter().find(|((name, of), _)| name == tenant && *of == day).map(|(_, ids)| ids)
    }

    /// What was put. When it becomes too much, all is forgotten, and written once more.
    pub fn add(&mut self, new: Vec<(String, Period, Vec<Id>)>) {
        for (tenant, day, ids) in new {
            if self.n_ids.saturating_add(ids.len()) > MAX_WRITTEN {
                *self = Self::default();
            }
            self.n_ids = self.n_ids.saturating_add(ids.len());
            self.by_day.entry((tenant, day)).or_default().extend(ids);
        }
    }

    /// Forgets: the files may be gone.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The files of a segment of this collector.
///
/// # Errors
/// If it is of another version, or no file can be made of it.
pub fn files_of(
    segment: &[u8],
    sealed: &Sealed,
    collector: &str,
    written: &Written,
) -> Result<Flushed, FlushError> {
    let read = format::read(sealed.number, segment)?;
    let mut flushed = Flushed { n_damaged: read.n_damaged, ..Flushed::default() };
    let mut tenants: BTreeMap<String, Rows> = BTreeMap::new();
    for record in read.records.iter().filter(|record| !sealed.skipped.contains(&record.offset)) {
        match batch(record) {
            Some(batch) => {
                let tenant = batch.tables().tenant.clone();
                tenants.entry(tenant).or_default().add(record.key, &batch);
                flushed.keys.push(record.key);
            }
            None => flushed.n_damaged = flushed.n_damaged.saturating_add(1),
        }
    }
    let mut later = Vec::new();
    for (tenant, mut rows) in tenants {
        rows.sort();
        let path = |table, period| FilePath {
            table,
            tenant: tenant.clone(),
            period,
            collector: collector.to_owned(),
            first: sealed.number,
            last: sealed.number,
        };
        for (&day, stacks) in &rows.stacks_of {
            let written = written.of_day(&tenant, day);
            let is_new = |id: &&Id| !written.is_some_and(|written| written.contains(*id));
            let mut new_stacks: Vec<Id> = stacks.iter().filter(is_new).copied().collect();
            if new_stacks.is_empty() {
                continue;
            }
            new_stacks.sort_unstable();
            let of_stacks = new_stacks.iter().filter_map(|stack| rows.stacks.get(stack)).flatten();
            let new_frames: BTreeSet<Id> = of_stacks.filter(is_new).copied().collect();
            let mut new_ids: Vec<Id> = new_frames.into_iter().collect();
            if !new_ids.is_empty() {
                let frames = tables::frames(&tenant, &rows, &new_ids)?;
                flushed.files.push(named(path(Table::Frames, day), &frames)?);
            }
            flushed
                .files
                .push(named(path(Table::Stacks, day), &tables::stacks(&tenant, &rows, &new_stacks)?)?);
            new_ids.extend(new_stacks);
            flushed.new_ids.push((tenant.clone(), day, new_ids));
        }
        for (&hour, samples) in rows.samples.iter().filter(|(_, samples)| !samples.is_empty()) {
            later.push(named(path(Table::Samples, hour), &tables::samples(&tenant, &rows, samples)?)?);
        }
        for (&hour, points) in &rows.points {
            later.push(named(path(Table::Metrics, hour), &tables::metrics(&tenant, &rows, points)?)?);
        }
    }
    flushed.files.extend(later);
    Ok(flushed)
}

fn named(path: FilePath, rows: &arrow_array::RecordBatch) -> Result<NamedFile, FileError> {
    Ok(NamedFile { bytes: file::bytes(path.table, rows)?, n_rows: rows.num_rows(), path })
}

/// The batch of a record, if it is one.
fn batch(record: &Record<'_>) -> Option<Batch> {
    let limit = u64::try_from(MAX_RECORD_BYTES).ok()?;
    let mut bytes = Vec::new();
    zstd::Decoder::with_buffer(record.content).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
    Batch::decode(&bytes).ok()
}

/// Why a segment does not become files.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// Of another version.
    #[error("a segment of the log cannot be read")]
    Version(#[from] OtherVersion),
    /// No file can be made.
    #[error("the rows of a segment cannot be written")]
    File(#[from] FileError),
    /// The columns do not fit together.
    #[error("the rows of a segment cannot be made columns")]
    Columns(#[from] arrow_schema::ArrowError),
}
