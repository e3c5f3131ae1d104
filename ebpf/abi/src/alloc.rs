//! What a probe on an allocator tells the program: which arguments make the size. It crosses as the cookie of the
//! attachment.

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

/// Where the number of a probe stands in its cookie: the index of its hits.
pub const PROBE_SHIFT: u32 = 16;
/// Probes whose hits are counted one by one; the last number is for all that are beyond.
pub const MAX_PROBES: u32 = 256;

/// Nothing larger can be allocated: the request will fail.
pub const MAX_REQUEST_BYTES: u64 = 1 << 47;
