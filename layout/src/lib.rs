//! The store's files: what they are called, and which columns they have. Whoever writes them and whoever reads them have it from here;
//! `docs/storage.md` says it for people.

pub mod path;
pub mod schema;

pub use path::{FilePath, Period, Table};
pub use schema::schema;
