//! Parquet files, in a directory or a bucket: `docs/storage.md` says what is in them, and where.
//!
//! `rows`, `tables`, `file`, `merge`, `upkeep` and [`files_of`] are pure: a segment of the log in, named files out; a listing in, a
//! plan out. [`Store`] puts them where they
//! belong.

mod file;
mod flush;
mod merge;
mod object;
mod rows;
mod tables;
pub mod upkeep;

pub use file::FileError;
pub use flush::{FlushError, Flushed, NamedFile, Written, files_of};
pub use layout::path;
pub use merge::merged;
pub use object::{Store, StoreError};
