//! Who allocated what, and what of it lives: estimates with their errors, ages, and whether it grows without end.

use serde::Serialize;

use crate::trend::Verdict;

/// Allocations by stack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Allocations {
    /// What lives; None if it was not followed, or not all frees were seen.
    pub live: Option<Live>,
    /// Distinct stacks, as `stacks` holds the first 100.
    pub n_stacks: usize,
    /// Those that hold the most first, then those that allocated the most.
    pub stacks: Vec<AllocationStack>,
}

/// How many stacks a report names.
pub const MAX_ALLOCATION_STACKS: usize = 100;

/// Allocations of one stack.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AllocationStack {
    /// Root first.
    pub frames: Vec<String>,
    /// Allocations, estimated.
    pub alloc_objects: u64,
    /// Bytes asked for, estimated.
    pub alloc_bytes: u64,
    /// Standard error of that estimate.
    pub alloc_bytes_error: u64,
    /// What of them lives.
    pub live: Option<Live>,
}

/// What was allocated during the run and not freed at its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Live {
    /// Objects, estimated.
    pub objects: u64,
    /// Their bytes, estimated.
    pub bytes: u64,
    /// Standard error of that estimate.
    pub bytes_error: u64,
    /// How long they have lived, in bytes.
    pub ages: LiveAges,
    /// By how much their bytes grew from the first reading to the last.
    pub growth_bytes: i64,
    /// The same for the second half of the run: what is no start-up.
    pub late_growth_bytes: i64,
    /// `growth_bytes` of what all stacks that grew have grown by.
    pub growth_percent: f64,
    /// Whether they grow without end.
    pub verdict: Verdict,
}

/// Bytes by how long they have lived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LiveAges {
    pub under_1s: u64,
    pub under_10s: u64,
    pub under_1min: u64,
    pub under_10min: u64,
    pub longer: u64,
}

impl LiveAges {
    /// Classes and what is in them, youngest first.
    #[must_use]
    pub fn classes(&self) -> [(&'static str, u64); 5] {
        [
            ("under 1 s", self.under_1s),
            ("under 10 s", self.under_10s),
            ("under 1 min", self.under_1min),
            ("under 10 min", self.under_10min),
            ("longer", self.longer),
        ]
    }
}
