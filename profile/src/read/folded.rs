//! Folded text: a line for each stack, `process;root;...;leaf COUNT`, as [`crate::encode::folded`] and other tools write it.

use super::{MAX_STACK_FRAMES, ReadError, TOO_DEEP, room};
use crate::{
    frames::{Frame, FrameHandle, FrameKind, KERNEL_MAPPING, Mapping, MappingHandle},
    meta::Meta,
    model::Profile,
    samples::ValueType,
};

/// The form does not say what it counts.
const COUNTED: ValueType = ValueType::fixed("samples", "count");

pub(super) fn read(text: &[u8]) -> Result<Profile, ReadError> {
    let text = String::from_utf8_lossy(text);
    let mut profile = Profile::new([COUNTED], Meta::default());
    let path = profile.intern(KERNEL_MAPPING);
    let kernel = profile.mapping(Mapping::file(path, None));
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with("# ") {
            continue;
        }
        let no_count = ReadError::NoCount { line: number };
        let (stack, count) = line.rsplit_once(char::is_whitespace).ok_or_else(|| no_count.clone())?;
        // Counts with a fraction are written by tools that weigh.
        let count = count.parse::<f64>().ok().filter(|count| count.is_finite() && *count >= 0.0);
        let count = count.ok_or(no_count)?.round() as i64;
        add(&mut profile, kernel, stack.trim(), count)?;
    }
    Ok(profile)
}

/// The first part is the process, where there are others.
fn add(profile: &mut Profile, kernel: MappingHandle, stack: &str, count: i64) -> Result<(), ReadError> {
    room(profile)?;
    let (process, frames) = stack.split_once(';').unwrap_or(("", stack));
    let mut leaf_first: Vec<FrameHandle> = Vec::new();
    for name in frames.rsplit(';') {
        if leaf_first.len() == MAX_STACK_FRAMES {
            let reason = profile.reason(TOO_DEEP);
            leaf_first.push(reason);
            break;
        }
        let frame = frame(profile, kernel, name);
        leaf_first.push(frame);
    }
    let stack = profile.stack(leaf_first.into_iter().rev());
    let process = profile.process(0, process);
    let thread = profile.thread(process, 0, "");
    profile.add(stack, thread, &[count]).map_err(|_| ReadError::NoType)
}

fn frame(profile: &mut Profile, kernel: MappingHandle, text: &str) -> FrameHandle {
    let bare = |kind| Frame { kind, mapping: None, ..Frame::jit(0) };
    let is_reason = text.starts_with("[truncated") || text == "[no frames]";
    let (name, frame) = if let Some(name) = text.strip_suffix("_[k]") {
        (name, Frame::kernel(kernel, 0))
    } else if let Some(name) = text.strip_suffix("_[i]") {
        (name, bare(FrameKind::Native).inlined())
    } else if is_reason {
        (text, bare(FrameKind::Reason))
    } else {
        (text, bare(FrameKind::Native))
    };
    let name = profile.intern(name);
    profile.frame(frame.named(name))
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::{ReadError, encode};

    #[test]
    fn what_is_written_folded_is_read_back_and_written_the_same() {
        let text = "nginx;main;ngx_read;do_read_[k] 12\nnginx;main;parse;line_[i] 3\nnode;[truncated: no table];run 1\n";
        let profile = read(text.as_bytes()).expect("reads");
        let mut again = Vec::new();
        encode::folded::write(&profile, &mut again).expect("writes");
        assert_eq!(String::from_utf8_lossy(&again), text);
        assert_eq!(profile.total(0), 16);
    }

    #[test]
    fn a_line_without_a_count_is_named() {
        for (text, line) in [("a;b 1\na;b\n", 2), ("a;b -1\n", 1), ("a b c\n", 1), ("a NaN\n", 1)] {
            assert_eq!(read(text.as_bytes()).err(), Some(ReadError::NoCount { line }), "{text:?}");
        }
    }
}
