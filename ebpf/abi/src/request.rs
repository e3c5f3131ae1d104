//! Requests: what crosses of their messages, and what the kernel side keeps of a connection meanwhile.
//!
//! A message is a request or a response of HTTP/1. Of its head there cross the method, the path without its query, the
//! status and classes of a few headers; of its body, how many bytes it had.

/// Words of a path that cross, at most.
pub const PATH_WORDS: usize = 16;
/// The same in bytes.
pub const MAX_PATH_BYTES: usize = PATH_WORDS * 8;

/// Bit of [`Message::flags`]: the connection begins.
pub const MESSAGE_OPENED: u32 = 1 << 0;
/// The connection is over.
pub const MESSAGE_CLOSED: u32 = 1 << 1;
/// The path of a request whose head is not over yet.
pub const MESSAGE_PATH: u32 = 1 << 2;
/// The head of a message is over.
pub const MESSAGE_HEAD: u32 = 1 << 3;
/// A message is over.
pub const MESSAGE_END: u32 = 1 << 4;
/// It is a response.
pub const MESSAGE_RESPONSE: u32 = 1 << 5;
/// The connection was opened by the target: what it asks, it asks of others.
pub const MESSAGE_UPSTREAM: u32 = 1 << 6;
/// The path is longer than what crosses of it, or not known whole.
pub const MESSAGE_PATH_CUT: u32 = 1 << 7;
/// The connection speaks something else, from here on: [`Message::status`] says what.
pub const MESSAGE_FOREIGN: u32 = 1 << 8;
/// The target has switched off that small writes wait for an answer (`TCP_NODELAY`).
pub const MESSAGE_NO_DELAY: u32 = 1 << 9;
/// The other end or the target closed in the middle of the message.
pub const MESSAGE_CUT: u32 = 1 << 10;
/// It went through TLS, and was read before or behind it.
pub const MESSAGE_TLS: u32 = 1 << 11;
/// With that: which descriptor it goes over is not known. The connection is the library's.
pub const MESSAGE_APART: u32 = 1 << 12;
/// A frame of HTTP/2 that opens or ends a stream, whose number stands in place of the hash of a path. Bytes and calls are those of
/// the connection in this direction, and frames are counted in place of calls.
pub const MESSAGE_FRAMES: u32 = 1 << 13;

/// In place of a status: TLS.
pub const FOREIGN_TLS: u16 = 1;
/// HTTP/2 in clear.
pub const FOREIGN_HTTP2: u16 = 2;
/// Neither.
pub const FOREIGN_OTHER: u16 = 3;
/// It was HTTP/1 and has become something else: a tunnel, a web socket.
pub const FOREIGN_UPGRADED: u16 = 4;

/// Methods, by number; 0 for any that is not here.
pub const METHODS: [&str; 10] =
    ["other", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"];
/// `HEAD`: its response has no body.
pub const METHOD_HEAD: u8 = 2;
/// `CONNECT`: what follows the response is a tunnel.
pub const METHOD_CONNECT: u8 = 8;

/// Bit of [`Head::content`]: its type is one that compresses well.
pub const CONTENT_COMPRESSIBLE: u8 = 1 << 0;
/// Its type is another.
pub const CONTENT_INCOMPRESSIBLE: u8 = 1 << 1;
/// It is compressed.
pub const CONTENT_COMPRESSED: u8 = 1 << 2;

/// Bit of [`Head::flags`]: the first line has been read.
pub const HEAD_STARTED: u32 = 1 << 0;
/// It is a response.
pub const HEAD_RESPONSE: u32 = 1 << 1;
/// Its length is said.
pub const HEAD_LENGTH: u32 = 1 << 2;
/// Its body comes in chunks.
pub const HEAD_CHUNKED: u32 = 1 << 3;
/// The first line came in pieces, and not all of it was kept.
pub const HEAD_CUT: u32 = 1 << 4;

/// What is known of the head of a message.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Bytes of the body, with [`HEAD_LENGTH`].
    pub length: u64,
    /// Of the whole path, without its query.
    pub path_hash: u64,
    /// `HEAD_*` bits.
    pub flags: u32,
    /// Of a response.
    pub status: u16,
    /// Of a request: index into [`METHODS`].
    pub method: u8,
    /// `CONTENT_*` bits.
    pub content: u8,
}

/// Nothing is under way: what comes next is a head.
pub const FLOW_IDLE: u32 = 0;
/// A head has begun and is not over.
pub const FLOW_HEAD: u32 = 1;
/// A body of [`Flow::left`] bytes more.
pub const FLOW_BODY: u32 = 2;
/// A body in chunks.
pub const FLOW_CHUNKED: u32 = 3;
/// A body to the end of the connection.
pub const FLOW_TO_CLOSE: u32 = 4;
/// Not HTTP/1, or not any more.
pub const FLOW_FOREIGN: u32 = 5;
/// Frames of HTTP/2, of which the present has [`Flow::left`] bytes more.
pub const FLOW_FRAMES: u32 = 6;

/// Words of a line that has not ended, kept until it does.
pub const CARRY_WORDS: usize = 6;
/// The same in bytes: more than the headers that are looked at have.
pub const CARRY_BYTES: usize = CARRY_WORDS * 8;

/// One direction of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes of the body that have not come.
    pub left: u64,
    /// Bytes of the present message.
    pub n_bytes: u64,
    /// When its last bytes came.
    pub last_ns: u64,
    /// The last eight bytes of a body in chunks, the latest lowest.
    pub tail: u64,
    /// Calls that it took.
    pub n_calls: u32,
    /// Of them, those that sent less than [`crate::limits::SMALL_WRITE_BYTES`].
    pub n_small: u32,
    /// `FLOW_*`.
    pub state: u32,
    /// Bytes of [`Self::carry`].
    pub n_carry: u32,
    /// Of a head under way.
    pub head: Head,
    /// The beginning of a line that has not ended.
    pub carry: [u64; CARRY_WORDS],
}

/// Nobody knows yet who opened the connection.
pub const ROLE_UNKNOWN: u32 = 0;
/// It was accepted: requests come in.
pub const ROLE_SERVER: u32 = 1;
/// It was opened by the target: requests go out.
pub const ROLE_CLIENT: u32 = 2;

/// What comes in.
pub const INCOMING: usize = 0;
/// What goes out.
pub const OUTGOING: usize = 1;

/// Value of the map of connections, keyed by process ID and descriptor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Never reused.
    pub id: u64,
    /// Whether each request that has no response yet is a `HEAD`: the oldest is the highest of [`Self::n_pending`] bits.
    pub heads: u64,
    /// Requests without response.
    pub n_pending: u32,
    /// `ROLE_*`.
    pub role: u32,
    /// [`MESSAGE_NO_DELAY`], [`MESSAGE_TLS`], [`MESSAGE_APART`].
    pub flags: u32,
    /// Explicit padding.
    pub reserved: u32,
    /// By [`INCOMING`] and [`OUTGOING`].
    pub flows: [Flow; 2],
}

/// Something became of a message. Bytes of its path follow, in whole words.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// [`crate::sample::KIND_MESSAGE`].
    pub kind: u32,
    /// `MESSAGE_*` bits.
    pub flags: u32,
    /// When: the end of the call that read or wrote the bytes.
    pub time_ns: u64,
    /// Which connection.
    pub connection: u64,
    /// Process that read or wrote.
    pub tgid: u32,
    /// Its thread.
    pub tid: u32,
    /// Bytes of the message so far, head included.
    pub n_bytes: u64,
    /// Of the whole path.
    pub path_hash: u64,
    /// Calls that it took so far.
    pub n_calls: u32,
    /// Of them, small writes.
    pub n_small: u32,
    /// Of a response.
    pub status: u16,
    /// Of a request: index into [`METHODS`].
    pub method: u8,
    /// `CONTENT_*` bits.
    pub content: u8,
    /// Bytes of path that follow, without what fills up the last word.
    pub n_path: u32,
}

impl Message {
    /// Reads a message and the path behind it; `None` if it is cut short.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_ne_bytes(*word));
        let mut word = || words.next();
        let mut long = || Some(u64::from(word()?) | u64::from(word()?) << 32);
        let (first, time_ns, connection, process) = (long()?, long()?, long()?, long()?);
        let (n_bytes, path_hash, calls, last) = (long()?, long()?, long()?, long()?);
        let message = Self {
            kind: first as u32,
            flags: (first >> 32) as u32,
            time_ns,
            connection,
            tgid: process as u32,
            tid: (process >> 32) as u32,
            n_bytes,
            path_hash,
            n_calls: calls as u32,
            n_small: (calls >> 32) as u32,
            status: last as u16,
            method: (last >> 16) as u8,
            content: (last >> 24) as u8,
            n_path: (last >> 32) as u32,
        };
        let path = bytes.get(size_of::<Self>()..)?;
        Some((message, path.get(..message.n_path as usize)?))
    }
}

/// A message as the kernel side builds it: in one piece with its path.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageWithPath {
    /// What became of it.
    pub message: Message,
    /// The beginning of its path.
    pub path: [u64; PATH_WORDS],
}

const _: () = assert!(size_of::<Head>() == 24);
const _: () = assert!(size_of::<Flow>() == 120);
const _: () = assert!(size_of::<Connection>() == 272);
const _: () = assert!(size_of::<Message>() == 64);
const _: () = assert!(size_of::<MessageWithPath>() == 64 + MAX_PATH_BYTES);

// SAFETY: repr(C), integers only, no padding (pinned above).
#[cfg(feature = "user")]
unsafe impl aya::Pod for Connection {}
