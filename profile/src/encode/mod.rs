//! The forms a profile is written in. Each only reads the model and writes to what it is given.
//!
//! The same profile gives the same bytes. Names come from other people's binaries, so every form makes them
//! safe for itself.

pub mod folded;
pub mod json;
pub mod memory_metrics;
pub mod otlp;
pub mod otlp_metrics;
pub mod pprof;
pub mod speedscope;
pub mod svg;

mod address_layout;
mod frame_text;
mod otlp_tables;
mod otlp_value;
mod pprof_tables;

use std::io;

/// Why a profile could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The writer failed.
    #[error("write profile as {format}")]
    Write {
        /// The form that was being written.
        format: &'static str,
        /// What the writer said.
        source: io::Error,
    },
    /// The writer failed, or a value has no JSON form.
    #[error("write profile as {format}")]
    Json {
        /// The form that was being written.
        format: &'static str,
        /// What the serializer said.
        source: serde_json::Error,
    },
    /// The drawing would take more memory than an encoder may use.
    #[error("write profile as {format}: stacks take more than {limit_bytes} bytes as text")]
    TooLarge {
        /// The form that was being written.
        format: &'static str,
        /// What the form may use.
        limit_bytes: usize,
    },
    /// The sum of all values does not fit the numbers of the form.
    #[error("write profile as {format}: sum of all values exceeds {limit}")]
    SumTooLarge {
        /// The form that was being written.
        format: &'static str,
        /// The largest sum it can hold.
        limit: u64,
    },
}

/// Names the form in the errors of a writer.
fn writing(format: &'static str) -> impl Fn(io::Error) -> EncodeError {
    move |source| EncodeError::Write { format, source }
}
