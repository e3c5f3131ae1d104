//! The files behind executable mappings: opened safely, identified, and read in bounded pieces.
//!
//! Nothing here maps a file into memory: whoever owns it could shrink it while it is mapped, and the next read
//! would end the agent with SIGBUS. Every read is a `pread` with a limit, and every parser is total.

pub mod build_id;
pub mod elf;
pub mod file;
pub mod gopclntab;
pub mod memory_file;
mod read;
pub mod segments;
pub mod symbols;
pub mod vdso;

pub use build_id::BuildId;
pub use elf::{Elf, ElfError};
pub use file::{FileIdentity, ObjectFile, OpenError};
pub use gopclntab::GoTable;
pub use read::{ReadError, read_bytes};
pub use segments::Segments;
