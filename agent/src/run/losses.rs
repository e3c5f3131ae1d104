//! What was lost on the agent's side of the ring.

/// One counter for each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Process events that the kernel had no room for. The processes are then looked up again in /proc.
    pub process_events: u64,
    /// Samples of a process that nothing is known of.
    pub unknown_process: u64,
    /// Records that could not be read.
    pub undecoded: u64,
    /// Changes of the kernel's tables that failed, for whatever reason but want of room for unwind tables.
    pub table_writes: u64,
    /// Files that could not be opened: their code has no names and no unwind table.
    pub files_unopened: u64,
    /// Files for whose unwind table there was no room, at least for a time.
    pub tables_without_room: u64,
    /// Those of them whose table alone is above the limit.
    pub tables_too_large: u64,
    /// Unwind tables of files that had to make room for others.
    pub tables_evicted: u64,
    /// Files whose unwind information is past a limit or cannot be read.
    pub tables_refused: u64,
    /// Stacks that crossed unwalked and whose samples did not come, or not in time.
    pub captures_dropped: u64,
    /// Mappings of processes that have more than a process can have: code there is not known.
    pub mappings_refused: u64,
    /// Threads that were there at the start and that there was no room to follow.
    pub threads_full: u64,
    /// Samples that the kernel side counted and that neither came nor were counted as lost.
    pub unexplained: u64,
}
