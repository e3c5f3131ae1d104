//! What the engine counts.

use std::sync::atomic::AtomicU64;

/// Counters, for `/metrics`.
#[derive(Debug, Default)]
pub struct Figures {
    /// Questions that were answered.
    pub answered: AtomicU64,
    /// That were not.
    pub failed: AtomicU64,
    /// Nanoseconds that all of them took.
    pub taken_ns: AtomicU64,
    /// Files that were left out, as they cannot be read.
    pub files_left_out: AtomicU64,
}
