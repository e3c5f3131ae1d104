//! The executable mappings of one process, sorted, in one map value: found once a sample, searched in place.

use crate::limits::MAX_MAPPINGS;

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

/// Value of the map of mappings, keyed by tgid.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MappingTable {
    /// Every exec before this moment is reflected in the table (CLOCK_MONOTONIC).
    pub as_of_ns: u64,
    /// Whose mappings these are, to notice a value replaced under a running walk.
    pub tgid: u32,
    /// `TABLE_*` bits.
    pub flags: u32,
    /// Start addresses, ascending; unused ones at the end are `u64::MAX`, so that a search needs no length.
    pub starts: [u64; MAX_MAPPINGS],
    /// Parallel to `starts`.
    pub entries: [MappingEntry; MAX_MAPPINGS],
}

impl MappingTable {
    /// A table without mappings.
    pub const EMPTY: Self = Self {
        as_of_ns: 0,
        tgid: 0,
        flags: 0,
        starts: [u64::MAX; MAX_MAPPINGS],
        entries: [MappingEntry { bias: 0, n_pages: 0, file_id: FILE_ANONYMOUS }; MAX_MAPPINGS],
    };
}

const _: () = assert!(size_of::<MappingEntry>() == 16);
const _: () = assert!(size_of::<MappingTable>() == 16 + 24 * MAX_MAPPINGS);
const _: () = assert!(MAX_MAPPINGS.is_power_of_two());

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for MappingTable {}
