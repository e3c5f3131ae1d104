//! TLS: what a probe on a function of a library for it tells the program, and what is kept of calls and connections. It
//! crosses as the cookie of the attachment.

/// Bit of a cookie: the function sends what it is given; without it, it gives what was received. The number of a direction.
pub const TLS_SENDS: u64 = 1 << 0;
/// The function returns 1 where it could, and the number of bytes stands where its fourth argument points: `SSL_read_ex`.
pub const TLS_COUNTS_THROUGH_3: u64 = 1 << 1;
/// The function moves nothing of what is said: `SSL_do_handshake`.
pub const TLS_SHAKES_HANDS: u64 = 1 << 2;
/// The first argument is given back: `SSL_free`.
pub const TLS_FREES: u64 = 1 << 3;
/// What is sent comes from a file: `SSL_sendfile`.
pub const TLS_SENDS_FILE: u64 = 1 << 4;

/// In place of a descriptor: none is known.
pub const NO_DESCRIPTOR: u64 = 0xffff_ffff;

/// A call of such a function that has not returned: value of the map that is keyed by process and thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsCall {
    /// First argument: the connection, as the library has it.
    pub connection: u64,
    /// Second argument: where the bytes are.
    pub buffer: u64,
    /// Fourth argument: where their number will be.
    pub count: u64,
    /// `TLS_*` bits.
    pub what: u64,
    /// The descriptor that was read or written meanwhile.
    pub descriptor: u64,
}

/// Bit of what is known of a connection as the library has it, above its descriptor: its handshake was seen, so that what comes
/// first is a beginning.
pub const TLS_IS_NEW: u64 = 1 << 32;

const _: () = assert!(size_of::<TlsCall>() == 40);
