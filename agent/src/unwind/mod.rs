//! How to get from any instruction of a file to its caller, in the packed form that the kernel side searches.
//!
//! Call frame information goes one way: [`build`] reads the section of an ELF file, [`entries`] finds the
//! descriptions in it, [`rows`] runs them ([`rule`] and [`expression`] turn what DWARF says into a rule of eight
//! bytes). Go has a table of its own instead, which [`go`] reads. [`gathered`] takes in the rows of all functions,
//! [`order`] makes one list of them, [`assembly`] adds the functions without a description that it can follow, and
//! [`compact`] packs it. [`lookup`] reads the packed form back. [`key`] names what a table is made from, and
//! [`stored`] is a table as bytes. Everything from the bytes on is pure, and total: a file is hostile until it has
//! been read.

mod assembly;
pub mod build;
pub mod compact;
mod dictionary;
mod entries;
mod entry_point;
pub mod error;
mod expression;
mod functions;
mod gathered;
mod go;
mod key;
pub mod lookup;
mod order;
pub mod rows;
pub mod rule;
pub mod stored;
#[cfg(test)]
mod tests;
pub mod text;

pub use build::{build, build_or};
pub use compact::{Table, pack};
pub use error::UnwindError;
pub use functions::Functions;
pub use key::TableKey;
pub use lookup::lookup;
pub use rows::{CodeSegment, FrameSection, Losses, Row, Rows, SectionKind, unwind_rows};
pub use rule::Unsupported;
