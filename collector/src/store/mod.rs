//! Parquet files, in a directory or a bucket: `docs/storage.md` says what is in them, and where.
//!
//! `path`, `rows`, `tables`, `file` and [`files_of`] are pure: a segment of the log in, named files out. [`Store`] puts them where they
//! belong.

mod file;
mod flush;
mod object;
pub mod path;
mod rows;
mod tables;

pub use file::FileError;
pub use flush::{FlushError, Flushed, KnownStacks, NamedFile, files_of};
pub use object::{Store, StoreError};
