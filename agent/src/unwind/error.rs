//! Why a file has no unwind table.

use crate::object::{ElfError, ReadError};

/// Why a file has no unwind table. What is wrong with one function is not an error: see
/// [`Losses`](super::Losses).
#[derive(Debug, thiserror::Error)]
pub enum UnwindError {
    /// The headers are not readable.
    #[error("cannot read ELF headers for unwinding")]
    Elf {
        /// Why.
        #[source]
        source: ElfError,
    },
    /// Registers have other numbers there.
    #[error("cannot unwind code for ELF machine {machine}")]
    Machine {
        /// `EM_*`.
        machine: u16,
    },
    /// It has neither `.eh_frame` nor `.debug_frame` with a function in it.
    #[error("no call frame information in the file")]
    Absent,
    /// The section could not be read.
    #[error("cannot read section {section}")]
    Section {
        /// Its name.
        section: &'static str,
        /// Why.
        #[source]
        source: ReadError,
    },
    /// More functions than a table can be made of.
    #[error("call frame information of more than {limit} functions")]
    TooManyFunctions {
        /// How many are allowed.
        limit: usize,
    },
    /// More rows than a table can hold.
    #[error("call frame information of more than {limit} rows")]
    TooManyRows {
        /// How many are allowed.
        limit: usize,
    },
    /// What its functions share is so long that running it for each of them would never end.
    #[error("call frame information takes more than {limit_bytes} bytes of entries to run")]
    TooMuchWork {
        /// How many are allowed.
        limit_bytes: usize,
    },
    /// First and last function are too far apart.
    #[error("unwind table would span {n_pages} pages, the limit is {limit}")]
    TooWide {
        /// How many it would take.
        n_pages: usize,
        /// How many are allowed.
        limit: usize,
    },
}

impl UnwindError {
    /// Whether there is unwind information, and it was refused: a user who sees its stacks cut should know.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Elf { .. } | Self::Machine { .. } | Self::Absent => false,
            Self::Section { .. }
            | Self::TooManyFunctions { .. }
            | Self::TooManyRows { .. }
            | Self::TooMuchWork { .. }
            | Self::TooWide { .. } => true,
        }
    }
}
