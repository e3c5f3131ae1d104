//! Frame names as the folded form and the flamegraph made from it can hold them.

use crate::{
    frames::{Frame, FrameKind},
    model::Profile,
    strings::UNKNOWN,
};

/// What a part of a folded line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Process,
    Reason,
    Jit,
    Inlined,
    Native,
    Kernel,
}

impl Part {
    pub(super) fn of(frame: &Frame) -> Self {
        match frame.kind {
            FrameKind::Kernel => Self::Kernel,
            _ if frame.inlined => Self::Inlined,
            FrameKind::Native => Self::Native,
            FrameKind::Jit => Self::Jit,
            FrameKind::Reason => Self::Reason,
        }
    }
}

/// The name of a frame with the ending by which flamegraph tools tell kernel and inlined frames.
pub(super) fn frame_text(profile: &Profile, frame: &Frame) -> String {
    let mut text = folded_text(&profile.frame_name(frame));
    match Part::of(frame) {
        Part::Kernel => text.push_str("_[k]"),
        Part::Inlined => text.push_str("_[i]"),
        _ => {}
    }
    text
}

/// `text` on one line, without what XML cannot hold.
pub(super) fn plain_text(text: &str) -> String {
    let is_plain =
        |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect()
}

/// `name` without what the folded form gives a meaning to: the semicolon, the end of the line, the `# ` of a
/// comment, and a number after a blank, which readers take for a second count.
pub(super) fn folded_text(name: &str) -> String {
    let safe = plain_text(name).replace(';', ":");
    let safe = safe.trim();
    if safe.is_empty() {
        return UNKNOWN.into();
    }
    let mut text = match safe.strip_prefix("# ") {
        Some(rest) => format!("#_{rest}"),
        None => safe.to_owned(),
    };
    if let Some(last_blank) = text.rfind(' ') {
        let is_number = |word: &str| word.chars().all(|c| c.is_ascii_digit() || c == '.');
        if text.get(last_blank + 1..).is_some_and(is_number) {
            text.replace_range(last_blank..=last_blank, "_");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_folded_form_gives_a_meaning_to_is_replaced() {
        let cases = [
            ("ngx_http_parse", "ngx_http_parse"),
            ("<[u8; 8] as Debug>::fmt", "<[u8: 8] as Debug>::fmt"),
            ("two\nlines\r\tand tab", "two lines  and tab"),
            ("worker 12", "worker_12"),
            ("worker 1.5", "worker_1.5"),
            ("a 1 2", "a 1_2"),
            ("12", "12"),
            ("# comment", "#_comment"),
            (" \n ", "[unknown]"),
            ("", "[unknown]"),
            ("\u{1b}[31mred", "[31mred"),
            ("größe", "größe"),
        ];
        for (name, expected) in cases {
            assert_eq!(folded_text(name), expected, "{name:?}");
        }
    }
}
