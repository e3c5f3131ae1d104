//! What a probe on an allocator tells the program: which arguments make the size. It crosses as the cookie of the
//! attachment. And what is kept of an allocation until it is freed.

/// The first argument is the size. Arguments count from 0.
pub const SIZE_IS_0: u64 = 0;
/// The second argument is the size.
pub const SIZE_IS_1: u64 = 1;
/// The third argument is the size.
pub const SIZE_IS_2: u64 = 2;
/// The fourth argument is the size.
pub const SIZE_IS_3: u64 = 3;
/// As in `calloc`.
pub const SIZE_IS_0_TIMES_1: u64 = 4;
/// As in `reallocarray`.
pub const SIZE_IS_1_TIMES_2: u64 = 5;
/// As in `calloc`, with the first argument in the register of results by now.
pub const SIZE_IS_A_TIMES_1: u64 = 6;
/// With the seven bits below: the size is the 32-bit number so many steps behind where the first argument points.
pub const SIZE_AT_0: u64 = 0x80;
/// Bytes of a step.
pub const SIZE_AT_0_STEP: u64 = 4;
/// The bits of the above.
pub const SIZE_MASK: u64 = 0xff;

/// With a null pointer as its first argument the function calls another that has a probe of its own.
pub const SKIP_NULL: u64 = 1 << 8;

/// The first argument is given back: the function frees, and allocates nothing.
pub const FREES: u64 = 1 << 9;
/// The first argument is given back, if it is not null, and what was asked for may be at another place: `realloc`.
pub const RESIZES: u64 = 1 << 10;
/// The function returns 0 when it could, and what it allocated stands where its first argument points:
/// `posix_memalign`.
pub const GIVES_THROUGH_0: u64 = 1 << 11;
/// A pool of the target: what it hands out, it has already taken from an allocator.
pub const IS_POOL: u64 = 1 << 12;

/// The return of the function is probed, too: what it gives is followed.
pub const HAS_RETURN: u64 = 1 << 13;

/// Where the number of a probe stands in its cookie: the index of its hits.
pub const PROBE_SHIFT: u32 = 16;
/// Probes whose hits are counted one by one; the last number is for all that are beyond.
pub const MAX_PROBES: u32 = 256;

/// Spans of time in which probes count: one is set while the other may not be over.
pub const N_GATES: u32 = 2;

/// A span of time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// From this moment on, by the monotonic clock.
    pub from_ns: u64,
    /// Before this one.
    pub until_ns: u64,
}

const _: () = assert!(size_of::<Gate>() == 16);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Gate {}

/// Nothing larger can be allocated: the request will fail.
pub const MAX_REQUEST_BYTES: u64 = 1 << 47;

/// A call of an allocator that has not returned: key of the map of pending calls.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// Process ID and thread ID, as the kernel packs them.
    pub pid_tgid: u64,
    /// Stack pointer at the function's first instruction. A thread is in no two calls with the same.
    pub sp: u64,
}

/// What is known of a call that has not returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it began.
    pub entered_ns: u64,
    /// ID of the user stack, or [`NOT_SAMPLED`].
    pub user_stack: u64,
    /// Bytes asked for.
    pub n_bytes: u64,
    /// Where the address will stand; 0 if the function returns it.
    pub out: u64,
    /// The live object that it was given to resize, or 0.
    pub resized: u64,
    /// [`Live::since_ns`] of that object.
    pub resized_since_ns: u64,
    /// `PENDING_*` bits.
    pub flags: u64,
}

/// In place of a stack: the call was not sampled.
pub const NOT_SAMPLED: u64 = u64::MAX;

/// It was asked for no bytes: what it was given to resize is freed, though it gives nothing.
pub const PENDING_TO_NOTHING: u64 = 1 << 0;

/// A sampled allocation that has not been freed: key of the map of live objects.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LiveKey {
    /// Where it is.
    pub address: u64,
    /// Whose.
    pub tgid: u32,
    /// Explicit padding.
    pub reserved: u32,
}

/// Value of that map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// When it was allocated: the time of its sample, which tells it from what was there before.
    pub since_ns: u64,
}

const _: () = assert!(size_of::<Call>() == 16);
const _: () = assert!(size_of::<Pending>() == 56);
const _: () = assert!(size_of::<LiveKey>() == 16);
const _: () = assert!(size_of::<Live>() == 8);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Call {}
// SAFETY: as above.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Pending {}
// SAFETY: as above.
#[cfg(feature = "user")]
unsafe impl aya::Pod for LiveKey {}
// SAFETY: as above.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Live {}
