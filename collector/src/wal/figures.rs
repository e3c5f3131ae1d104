//! What the log counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts, for as long as the collector runs.
#[derive(Debug, Default)]
pub struct LogFigures {
    /// Batches that were written and acknowledged.
    pub appended: AtomicU64,
    /// Batches that were there already.
    pub known: AtomicU64,
    /// Bytes of records.
    pub bytes: AtomicU64,
    /// Writes, of one batch or many.
    pub writes: AtomicU64,
    /// Writes that failed.
    pub failed: AtomicU64,
    /// Batches of the last start that were in segments.
    pub replayed: AtomicU64,
    /// Bytes at the ends of segments that were no whole record.
    pub torn_bytes: AtomicU64,
    /// Places in segments where no record was, though one came behind them, and records that could not be read.
    pub damaged: AtomicU64,
    /// Segments set aside.
    pub set_aside: AtomicU64,
    /// Files of keys that could not be read or written.
    pub keys_failed: AtomicU64,
    /// Keys that are known.
    pub keys: AtomicU64,
}

/// Counts.
pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
}
