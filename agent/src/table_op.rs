//! The one arrow that goes back to the kernel: changes to its tables, as data.

use std::sync::Arc;

use abi::{mapping::MappingTable, target::Target};

use crate::{process::FileId, unwind};

/// A change to a table of the kernel side. [`crate::process::plan`] decides them, [`crate::kernel`] carries
/// them out.
#[derive(Clone, Debug)]
pub enum TableOp {
    /// Replaces the mappings of a process.
    SetMappings {
        /// Process ID.
        pid: u32,
        /// All of them.
        table: Box<MappingTable>,
    },
    /// Makes a process a target, or changes what is known of it.
    SetTarget {
        /// Process ID.
        pid: u32,
        /// How it is a target.
        target: Target,
    },
    /// Gives a file its unwind table, or says that it has none.
    SetUnwindTable {
        /// Which file.
        file: FileId,
        /// Its table.
        table: Option<Arc<unwind::Table>>,
    },
    /// Forgets a process that has ended.
    Forget {
        /// Process ID.
        pid: u32,
    },
}
