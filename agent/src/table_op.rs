//! The one arrow that goes back to the kernel: changes to its tables, as data.

use abi::{mapping::MappingTable, target::Target};

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
    /// Forgets a process that has ended.
    Forget {
        /// Process ID.
        pid: u32,
    },
}
