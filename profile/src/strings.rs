//! Every name of a profile, held once and bounded in length.

use std::borrow::Cow;

use crate::table::{Table, handle};

/// The longest text a profile holds, in bytes. Demangled C++ names of tens of kilobytes exist and a hostile
/// symbol table can hold worse; a stack has hundreds of names, so they must be bounded somewhere.
pub const MAX_TEXT_BYTES: usize = 4096;

/// What is kept of the end of a text that is too long: the end of a C++ name tells more than its middle.
const TAIL_BYTES: usize = 1024;

/// Stands between the two kept parts of a text that was too long.
const ELLIPSIS: &str = "…";

/// What readers show for a handle that this profile did not give out.
pub(crate) const UNKNOWN: &str = "[unknown]";

handle! {
    /// A text of the profile.
    StrId
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Strings {
    texts: Table<std::sync::Arc<str>>,
}

impl Strings {
    pub(crate) fn intern(&mut self, text: &str) -> StrId {
        StrId(self.texts.intern(bounded(text).as_ref().into()))
    }

    pub(crate) fn text(&self, id: StrId) -> &str {
        self.texts.get(id.0).map_or(UNKNOWN, |text| text)
    }
}

/// `text` itself, or its beginning and its end when it is longer than [`MAX_TEXT_BYTES`].
fn bounded(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT_BYTES {
        return text.into();
    }
    let head = text.floor_char_boundary(MAX_TEXT_BYTES - TAIL_BYTES - ELLIPSIS.len());
    let tail = text.ceil_char_boundary(text.len() - TAIL_BYTES);
    let (head, tail) = (text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default());
    format!("{head}{ELLIPSIS}{tail}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gets_one_handle_however_often_it_is_interned() {
        let mut strings = Strings::default();
        let ids = ["nginx", "libc", "nginx"].map(|text| strings.intern(text));
        assert_eq!(ids, [StrId(0), StrId(1), StrId(0)]);
        assert_eq!(strings.text(ids[2]), "nginx");
    }

    #[test]
    fn a_handle_of_another_profile_reads_as_unknown() {
        assert_eq!(Strings::default().text(StrId(7)), UNKNOWN);
    }

    #[test]
    fn a_text_that_is_too_long_keeps_its_beginning_and_its_end() {
        for filler in ["x", "é", "🦀"] {
            let text = format!("std::begin{}end", filler.repeat(10_000));
            let kept = bounded(&text);
            assert!(kept.len() <= MAX_TEXT_BYTES, "{} bytes kept of {filler}", kept.len());
            assert!(kept.starts_with("std::begin") && kept.ends_with("end"), "{kept}");
        }
    }
}
