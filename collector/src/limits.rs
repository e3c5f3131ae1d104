//! What a tenant may send, and what nobody may.

use serde::Deserialize;

/// Frames of a stack; what lies beyond, towards the root, is one frame that says so.
pub const MAX_STACK_FRAMES: usize = 1_024;
/// Frames of all stacks of a request together, each as often as it stands in one. A few bytes may name a stack of many.
pub const MAX_FRAMES: usize = 8 << 20;
/// Batches of one request.
pub const MAX_BATCHES: usize = 256;
/// Samples or points of one request.
pub const MAX_ROWS: usize = 1 << 20;
/// Text of a frame: names of C++ are long. What lies beyond is cut.
pub const MAX_NAME_BYTES: usize = 4 << 10;
/// Bytes of a record of the log, decompressed: what a request of the largest size becomes, and some.
pub const MAX_RECORD_BYTES: usize = 512 << 20;
/// No limit of a message may be larger.
pub const MAX_MESSAGE_BYTES: u64 = 256 << 20;

/// What a tenant may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Of the body of a request, as it comes.
    pub body_bytes: u64,
    /// Of the same, decompressed.
    pub message_bytes: u64,
    /// Decompressed, in the long run; ten seconds of it at once.
    pub bytes_per_second: u64,
    /// Service, host, labels, type and unit that differ, in an hour or two.
    pub series: usize,
    /// Attributes of a resource, or of a sample.
    pub labels: usize,
    /// Of the name or the value of an attribute.
    pub label_bytes: usize,
    /// How long ago something may have been measured, and for how long.
    pub max_age_seconds: u64,
    /// How far a sender's clock may be ahead.
    pub max_future_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 << 20,
            message_bytes: 64 << 20,
            bytes_per_second: 32 << 20,
            series: 100_000,
            labels: 64,
            label_bytes: 2_048,
            // The agent's spool keeps what it could not send for a day.
            max_age_seconds: 7 * 86_400,
            max_future_seconds: 600,
        }
    }
}
