//! One file for each subcommand: from arguments to stages and back to what the user sees.

pub mod analyze;
mod cache;
pub mod ctl;
pub mod daemon;
pub mod diff;
pub mod doctor;
pub mod memory;
mod memory_live;
mod memory_stacks;
pub mod record;
pub mod requests;
mod say;
mod shown;
pub mod top;
pub mod unwind;

use std::fmt::Write as _;

/// Longest text of one cause: a verifier's log has a hundred thousand lines, and its end says what is wrong.
const MAX_CAUSE_BYTES: usize = 2000;

/// One line for a failure: what was wrong, and why, as far as it is known. The end of a verifier's log keeps its
/// lines.
#[must_use]
pub fn error_line(error: &anyhow::Error) -> String {
    format!("agent: {}\n", causes(error))
}

/// The same without what stands around it in a line of its own.
fn causes(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    let mut last = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        // Many libraries repeat the cause in their own text.
        if !last.contains(&text) {
            let _ = write!(line, ": {}", tail(&text));
        }
        last = text;
    }
    line
}

fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(MAX_CAUSE_BYTES);
    text.get(text.ceil_char_boundary(start)..).unwrap_or(text)
}
