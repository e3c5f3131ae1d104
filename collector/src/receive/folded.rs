//! Folded stacks: a line for each, `root;...;leaf COUNT`.

use proto::log;

use crate::{
    limits::MAX_STACK_FRAMES,
    model::{Builder, FrameText, Room},
    refusal::{Reason, Refusal},
};

/// The samples of a text; `scale` is what a count of one stands for.
///
/// # Errors
/// If a line has no count at its end, or the text is too much.
pub(super) fn samples(
    text: &[u8],
    scale: i64,
    builder: &mut Builder<'_>,
    room: &mut Room,
) -> Result<Vec<log::Sample>, Refusal> {
    let text = String::from_utf8_lossy(text);
    let mut samples = Vec::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let malformed = || Refusal::new(Reason::Malformed, format!("line {number} has no count at its end"));
        let (stack, count) = line.rsplit_once(char::is_whitespace).ok_or_else(malformed)?;
        let count: i64 = count.parse().map_err(|_| malformed())?;
        room.take_rows(1)?;
        // The leaf is the last, and one more than is kept shows that it is too deep.
        let names = stack.rsplit(';').take(MAX_STACK_FRAMES.saturating_add(1));
        let frames: Vec<u32> = names
            .map(|name| builder.frame(&FrameText { function: name.trim(), ..FrameText::default() }))
            .collect();
        let stack = builder.stack(frames, room)?;
        if count != 0 {
            samples.push(log::Sample { stack, labels: 0, value: count.saturating_mul(scale) });
        }
    }
    Ok(samples)
}
