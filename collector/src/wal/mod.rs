//! The write-ahead log: what is acknowledged stands here first.
//!
//! [`format`] is the layout of a segment and its reader, pure; [`Log`] takes batches, and a thread of its own writes
//! them, so many at once as wait; [`Shelf`] has the segments that are ended, for whoever brings them into the store.

mod directory;
mod figures;
pub mod format;
mod keys;
mod log;
mod shelf;
mod writer;

pub use directory::LogError;
pub use figures::LogFigures;
pub use log::{AppendError, Entry, Log, LogLimits, Taken, collector_id};
pub use shelf::{Sealed, Shelf};
