//! What a sample is a sample of.

/// A kind of event, as it stands in a sample.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Event(pub u16);

impl Event {
    /// A tick of CPU time. Weight: 1.
    pub const CPU: Self = Self(0);
    /// More pages of files in memory. Weight of this and the next three: bytes, before they are scaled by how
    /// likely a change of this size is to be sampled.
    pub const RESIDENT_FILE: Self = Self(1);
    /// More anonymous pages in memory.
    pub const RESIDENT_ANONYMOUS: Self = Self(2);
    /// More shared memory.
    pub const RESIDENT_SHARED: Self = Self(3);
    /// Pages of any kind given back.
    pub const RELEASED: Self = Self(4);
    /// An allocation. Weight: the bytes asked for, before they are scaled.
    pub const ALLOCATED: Self = Self(5);
    /// What was allocated is given back. Weight: 0; `context` is its address, and it has no stack.
    pub const FREED: Self = Self(6);
    /// A request to a pool of the target. Weight: the bytes asked for, before they are scaled.
    pub const POOLED: Self = Self(7);
    /// A thread was blocked. Weight of this and the next two: nanoseconds, and the sample is of their end.
    pub const BLOCKED: Self = Self(8);
    /// A thread waited where there was nothing to do.
    pub const IDLE: Self = Self(9);
    /// A thread waited for a CPU.
    pub const RUNNABLE: Self = Self(10);
    /// A thread has ended. Weight of this and the next three: nanoseconds that no sample tells of. On a CPU.
    pub const ENDED_ON_CPU: Self = Self(11);
    /// Blocked.
    pub const ENDED_BLOCKED: Self = Self(12);
    /// Idle.
    pub const ENDED_IDLE: Self = Self(13);
    /// Waiting for a CPU.
    pub const ENDED_RUNNABLE: Self = Self(14);
    /// An iteration of an event loop took long. Weight: nanoseconds; `context` is when it began, and it has no stack.
    pub const STALLED: Self = Self(15);
    /// A thread that waits is woken. The kernel stack and `context`, its process and thread ID, are of whoever wakes it.
    /// Weight: 0.
    pub const WOKEN: Self = Self(16);

    /// Whether it is a change of resident memory. `context` is the mean distance of two samples, in bytes, at that moment.
    #[must_use]
    pub const fn is_of_resident_memory(self) -> bool {
        matches!(
            self,
            Self::RESIDENT_FILE | Self::RESIDENT_ANONYMOUS | Self::RESIDENT_SHARED | Self::RELEASED
        )
    }
}
