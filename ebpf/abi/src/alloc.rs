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
/// The bits of the above.
pub const SIZE_MASK: u64 = 0xff;

/// With a null pointer as its first argument the function calls another that has a probe of its own.
pub const SKIP_NULL: u64 = 1 << 8;

/// Nothing larger can be allocated: the request will fail.
pub const MAX_REQUEST_BYTES: u64 = 1 << 47;
