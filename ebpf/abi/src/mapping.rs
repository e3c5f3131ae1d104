//! The executable mappings of one process, sorted, in one map value: found once a sample, searched in place.
//!
//! A map's values have one size, and few processes have many mappings: there are two kinds of table in two maps, and a
//! process has its table in one of them.

use crate::limits::{FEW_MAPPINGS, MAX_MAPPINGS};

/// Not every executable mapping fitted: an address outside all of them may still be code.
pub const TABLE_INCOMPLETE: u32 = 1 << 0;

/// File ID of anonymous executable memory: frames there keep their absolute address.
pub const FILE_ANONYMOUS: u32 = 0;

/// What belongs to the start address of the same index.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappingEntry {
    /// Start address minus file offset: an address minus this is its offset in the file. Wraps.
    pub bias: u64,
    /// Length; a page has 4,096 bytes.
    pub n_pages: u32,
    /// [`FILE_ANONYMOUS`], or the file's ID, below [`crate::frame::MAX_FILE_ID`].
    pub file_id: u32,
}

/// What stands before the mappings in either kind of table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappingHeader {
    /// Every exec before this moment is reflected in the table (CLOCK_MONOTONIC).
    pub as_of_ns: u64,
    /// Whose mappings these are, to notice a value replaced under a running walk.
    pub tgid: u32,
    /// `TABLE_*` bits.
    pub flags: u32,
}

/// Value of a map of mappings, keyed by tgid.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MappingTable<const N: usize> {
    /// Of when, and whose.
    pub header: MappingHeader,
    /// Start addresses, ascending; unused ones at the end are `u64::MAX`, so that a search needs no length.
    pub starts: [u64; N],
    /// Parallel to `starts`.
    pub entries: [MappingEntry; N],
}

/// The small kind.
pub type SmallTable = MappingTable<FEW_MAPPINGS>;
/// The large kind.
pub type LargeTable = MappingTable<MAX_MAPPINGS>;

impl<const N: usize> MappingTable<N> {
    /// A table without mappings.
    pub const EMPTY: Self = Self {
        header: MappingHeader { as_of_ns: 0, tgid: 0, flags: 0 },
        starts: [u64::MAX; N],
        entries: [MappingEntry { bias: 0, n_pages: 0, file_id: FILE_ANONYMOUS }; N],
    };
}

const _: () = assert!(size_of::<MappingEntry>() == 16);
const _: () = assert!(size_of::<MappingHeader>() == 16);
const _: () = assert!(size_of::<SmallTable>() == 16 + 24 * FEW_MAPPINGS);
const _: () = assert!(size_of::<LargeTable>() == 16 + 24 * MAX_MAPPINGS);
const _: () = assert!(FEW_MAPPINGS.is_power_of_two() && MAX_MAPPINGS.is_power_of_two());

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl<const N: usize> aya::Pod for MappingTable<N> {}
