//! Profiles that were written to files, back in the model: pprof, OTLP and folded text, whoever made them.
//!
//! A file is as hostile as any other input. What it unpacks to, the parts of its message, the depth of its stacks and the
//! nodes of all of them together are bounded, before memory is taken for them; an index that leads nowhere is an error.

mod folded;
mod otlp;
mod pprof;
pub mod weigh;

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use crate::model::Profile;

/// What a file may unpack to.
pub const MAX_UNPACKED_BYTES: u64 = 256 << 20;
/// Deeper stacks keep their innermost frames. The kernel side walks 512, and other tools stop at 1,024.
const MAX_STACK_FRAMES: usize = 2048;
/// What the stacks of a file may take together: a node is some 40 bytes.
const MAX_STACK_NODES: usize = 4 << 20;
/// What is walked of the stacks of a file, all together: a location of few bytes may stand for many frames.
const MAX_FRAMES: usize = 16 << 20;
/// What a sample may count. Heap profiles have four.
const MAX_TYPES: usize = 64;
/// Stands where a stack that is too deep was cut.
const TOO_DEEP: &str = "[truncated: more frames than are read]";

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// The compressed form is broken.
    #[error("cannot be unpacked: {0}")]
    Unpack(String),
    /// It holds more than is read.
    #[error("holds too much: {0}")]
    TooLarge(String),
    /// It is none of the forms that can be read back.
    #[error(
        "is no profile that can be read back: {0}; pprof (.pb.gz), OTLP (.otlp) and folded text (.folded) can be"
    )]
    Unknown(&'static str),
    /// The message refers to what is not there.
    #[error("is broken: there is no {what} {index}")]
    Dangling {
        /// What is missing.
        what: &'static str,
        /// By which it was asked for.
        index: i64,
    },
    /// A line of folded text has no count.
    #[error("is broken: line {line} has no count at its end")]
    NoCount {
        /// From 1.
        line: usize,
    },
    /// It says nothing of what it counts.
    #[error("does not say what it counts")]
    NoType,
}

/// The profile that `file` holds, in whichever form; gzip or not.
///
/// # Errors
/// If it is none, or more than is read.
pub fn profile(file: &[u8]) -> Result<Profile, ReadError> {
    let unpacked;
    let content = if file.starts_with(&[0x1f, 0x8b]) {
        unpacked = unpack(file)?;
        unpacked.as_slice()
    } else {
        file
    };
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > MAX_UNPACKED_BYTES {
        return Err(too_large());
    }
    match content.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(ReadError::Empty),
        Some(b'{') => Err(ReadError::Unknown(
            "JSON has the functions that took most, or the form of a viewer, not all stacks",
        )),
        Some(b'<') => Err(ReadError::Unknown("a drawing has no stacks")),
        Some(_) if is_text(content) => folded::read(content),
        // A message of one kind is not one of the other: the first field is a pair of numbers there, a message here.
        Some(_) => match pprof::read(content) {
            Err(ReadError::Unknown(_)) => otlp::read(content),
            answer => answer,
        },
    }
}

fn unpack(file: &[u8]) -> Result<Vec<u8>, ReadError> {
    let mut content = Vec::new();
    MultiGzDecoder::new(file)
        .take(MAX_UNPACKED_BYTES.saturating_add(1))
        .read_to_end(&mut content)
        .map_err(|error| ReadError::Unpack(error.to_string()))?;
    Ok(content)
}

fn too_large() -> ReadError {
    ReadError::TooLarge(format!("more than {MAX_UNPACKED_BYTES} bytes"))
}

/// A message has control characters in its first bytes: the tags of its fields.
fn is_text(content: &[u8]) -> bool {
    let start = content.get(..content.len().min(512)).unwrap_or_default();
    start.iter().all(|&byte| byte >= 0x20 || byte == b'\n' || byte == b'\t' || byte == b'\r')
        && content.contains(&b' ')
}

fn weighed(content: &[u8], shape: &weigh::Shape) -> Result<(), ReadError> {
    weigh::weigh(content, shape).map_err(|error| match error {
        weigh::WeighError::Malformed => ReadError::Unknown("it is no protobuf message"),
        weigh::WeighError::TooMany => ReadError::TooLarge(error.to_string()),
    })
}

/// Whether a stack may be added: the nodes of all stacks are bounded.
fn room(profile: &Profile) -> Result<(), ReadError> {
    match profile.n_stack_nodes() > MAX_STACK_NODES {
        true => Err(ReadError::TooLarge(format!(
            "more than {MAX_STACK_NODES} different frames in all its stacks"
        ))),
        false => Ok(()),
    }
}
