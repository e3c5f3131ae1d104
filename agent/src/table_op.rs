//! The one arrow that goes back to the kernel: changes to its tables, as data.

use std::sync::Arc;

use abi::{
    mapping::{LargeTable, SmallTable},
    target::Target,
};

use crate::{process::FileId, unwind};

/// How to leave the functions of a file.
#[derive(Clone, Debug, Default)]
pub struct FileUnwinding {
    /// By its rows, if it has any.
    pub table: Option<Arc<unwind::Table>>,
    /// Where there are no rows, by frame pointers, which all its functions keep.
    pub keeps_frame_pointers: bool,
    /// There is unwind information, and it is past a limit or cannot be read.
    pub is_refused: bool,
}

/// The mappings of a process, as a table of the kind that they fit into.
#[derive(Clone, Debug)]
pub enum ProcessTable {
    /// Nearly every process.
    Small(Box<SmallTable>),
    /// A process with many pieces of code.
    Large(Box<LargeTable>),
}

/// A change to a table of the kernel side. [`crate::process::plan`] decides them, [`crate::kernel`] carries
/// them out.
#[derive(Clone, Debug)]
pub enum TableOp {
    /// Replaces the mappings of a process.
    SetMappings {
        /// Process ID.
        pid: u32,
        /// All of them.
        table: ProcessTable,
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
        /// How to leave its functions.
        unwinding: FileUnwinding,
    },
    /// Has every stack sent again, under a new ID.
    ForgetStacks,
    /// Forgets a process that has ended.
    Forget {
        /// Process ID.
        pid: u32,
    },
}
