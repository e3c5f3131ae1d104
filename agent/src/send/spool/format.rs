//! The files of the spool: 64 bytes of header, then one message. Pure.
//!
//! | bytes | hold |
//! |---|---|
//! | 0-7 | `BRZSPOOL` |
//! | 8-11 | version, 1 |
//! | 12-15 | what follows: 1 a batch, 2 positions |
//! | 16-23 | when it was written, in nanoseconds since the Unix epoch |
//! | 24-31 | bytes of the message |
//! | 32-63 | BLAKE3 of all that stands before it and of the message |
//!
//! Numbers are little-endian. The message is one of `proto/spool.proto`.

use prost::Message;
use thiserror::Error;

/// Bytes before the message.
pub const HEADER_BYTES: usize = 64;
const MAGIC: &[u8; 8] = b"BRZSPOOL";
/// Goes up when an older program could not read what is written.
const VERSION: u32 = 1;
/// Bytes of the header that the hash covers.
const HASHED_BYTES: usize = 32;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Content {
    /// What waits for delivery.
    Batch = 1,
    /// How far each sink has got.
    Positions = 2,
}

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// When it was written.
    pub written_unix_ns: u64,
    /// Of the message.
    pub message_bytes: u64,
}

/// Why a file is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Refusal {
    /// Gone, larger than the spool, somebody else's, or on a disk that fails.
    #[error("it cannot be read")]
    Unreadable,
    /// Shorter than it says, or without a whole header.
    #[error("it ends in the middle")]
    Torn,
    /// Another program's.
    #[error("it is no file of a spool")]
    NotOurs,
    /// Of another version of this program.
    #[error(
        "it is of version {version}, and this program knows version {VERSION}; deliver it with the program that wrote it"
    )]
    Version {
        /// As it says.
        version: u32,
    },
    /// Changed after it was written, or with more behind its end.
    #[error("it was changed after it was written")]
    Damaged,
    /// Whole, and yet without sense.
    #[error("it holds no batch")]
    NoBatch,
}

/// The whole file of an encoded message.
#[must_use]
pub fn encode(content: Content, written_unix_ns: u64, message: &[u8]) -> Vec<u8> {
    let message_bytes = message.len();
    let mut file = Vec::with_capacity(HEADER_BYTES.saturating_add(message_bytes));
    file.extend_from_slice(MAGIC);
    file.extend_from_slice(&VERSION.to_le_bytes());
    file.extend_from_slice(&(content as u32).to_le_bytes());
    file.extend_from_slice(&written_unix_ns.to_le_bytes());
    file.extend_from_slice(&u64::try_from(message_bytes).unwrap_or(u64::MAX).to_le_bytes());
    file.resize(HEADER_BYTES, 0);
    file.extend_from_slice(message);
    let hash = hash(&file);
    if let Some(place) = file.get_mut(HASHED_BYTES..HEADER_BYTES) {
        place.copy_from_slice(hash.as_bytes());
    }
    file
}

/// What the beginning of a file of `file_bytes` says.
///
/// # Errors
/// If it is no file of ours, or not a whole one.
pub fn header(content: Content, start: &[u8], file_bytes: u64) -> Result<Header, Refusal> {
    // A few bytes of the right ones are a file that was begun; others are somebody else's.
    let magic = start.get(..MAGIC.len().min(start.len())).unwrap_or_default();
    if !MAGIC.starts_with(magic) {
        return Err(Refusal::NotOurs);
    }
    let version = u32::from_le_bytes(field(start, 8)?);
    if version != VERSION {
        return Err(Refusal::Version { version });
    }
    if u32::from_le_bytes(field(start, 12)?) != content as u32 {
        return Err(Refusal::NotOurs);
    }
    let written_unix_ns = u64::from_le_bytes(field(start, 16)?);
    let message_bytes = u64::from_le_bytes(field(start, 24)?);
    let header_bytes = u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
    match message_bytes.checked_add(header_bytes) {
        Some(said) if said == file_bytes => Ok(Header { written_unix_ns, message_bytes }),
        Some(said) if said < file_bytes => Err(Refusal::Damaged),
        _ => Err(Refusal::Torn),
    }
}

/// The message of a whole file.
///
/// # Errors
/// If the file is not what was written.
pub fn decode<M: Message + Default>(content: Content, file: &[u8]) -> Result<M, Refusal> {
    header(content, file, u64::try_from(file.len()).unwrap_or(u64::MAX))?;
    let written = file.get(HASHED_BYTES..HEADER_BYTES).ok_or(Refusal::Torn)?;
    if hash(file).as_bytes() != written {
        return Err(Refusal::Damaged);
    }
    M::decode(file.get(HEADER_BYTES..).ok_or(Refusal::Torn)?).map_err(|_| Refusal::NoBatch)
}

fn hash(file: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(file.get(..HASHED_BYTES).unwrap_or_default());
    hasher.update(file.get(HEADER_BYTES..).unwrap_or_default());
    hasher.finalize()
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Refusal> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(Refusal::Torn)
}
