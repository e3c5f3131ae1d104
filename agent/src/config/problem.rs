//! What is wrong in a file, where, and what to write instead.

use std::{
    cell::{Cell, RefCell},
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

/// More are not told: who has so many will read them again after the next attempt.
const MAX_PROBLEMS: usize = 100;
/// Of what stands in the file, in a message.
const MAX_QUOTED_CHARS: usize = 60;

/// Where in a file; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// In characters.
    pub column: usize,
}

/// Something that cannot stay as it is, or, as a warning, better should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as given.
    pub file: PathBuf,
    /// Where in it; none if it is about the file as a whole.
    pub place: Option<Place>,
    /// What is wrong.
    pub wrong: String,
    /// What to write or do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(Place { line, column }) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}; {}", self.wrong, self.remedy)
    }
}

/// What is wrong with a value, wherever it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Goes on after the name of the key.
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Wrong {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// A text as it may stand in a message: a terminal obeys control characters, and nobody reads a megabyte.
pub(super) fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(MAX_QUOTED_CHARS).flat_map(char::escape_debug).collect();
    let rest = if chars.next().is_some() { "…" } else { "" };
    format!("`{start}{rest}`")
}

/// A file that is read, and what was found in it so far.
pub(super) struct Sheet<'text> {
    file: &'text Path,
    text: &'text str,
    line_starts: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    n_untold: Cell<usize>,
}

impl<'text> Sheet<'text> {
    pub(super) fn new(file: &'text Path, text: &'text str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            file,
            text,
            line_starts: std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
            n_untold: Cell::default(),
        }
    }

    /// Where the bytes of a span begin.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let at = span.start.min(self.text.len());
        let line = self.line_starts.partition_point(|&start| start <= at);
        let start = line.checked_sub(1).and_then(|idx| self.line_starts.get(idx)).copied().unwrap_or(0);
        // Within a character, should a span ever begin there: its line is right all the same.
        let n_before = self.text.get(start..at).map_or(0, |before| before.chars().count());
        Place { line, column: n_before + 1 }
    }

    pub(super) fn problem(&self, place: Option<Place>, wrong: String, remedy: impl Into<String>) {
        self.add(&self.problems, place, wrong, remedy.into());
    }

    pub(super) fn warning(&self, place: Option<Place>, wrong: String, remedy: impl Into<String>) {
        self.add(&self.warnings, place, wrong, remedy.into());
    }

    fn add(&self, to: &RefCell<Vec<Problem>>, place: Option<Place>, wrong: String, remedy: String) {
        let mut to = to.borrow_mut();
        if to.len() >= MAX_PROBLEMS {
            self.n_untold.set(self.n_untold.get() + 1);
        } else {
            to.push(Problem { file: self.file.to_owned(), place, wrong, remedy });
        }
    }

    /// Problems and warnings, from the top of the file to its end; what is about all of it comes last.
    pub(super) fn into_found(self) -> (Vec<Problem>, Vec<Problem>) {
        let by_place = |problem: &Problem| (problem.place.is_none(), problem.place);
        let (mut problems, mut warnings) = (self.problems.into_inner(), self.warnings.into_inner());
        problems.sort_by_key(by_place);
        warnings.sort_by_key(by_place);
        if self.n_untold.get() > 0 {
            let untold = Problem {
                file: self.file.to_owned(),
                place: None,
                wrong: format!("{} more are not told", self.n_untold.get()),
                remedy: "mend these first".to_owned(),
            };
            if problems.is_empty() { &mut warnings } else { &mut problems }.push(untold);
        }
        (problems, warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_from_one() {
        let sheet = Sheet::new(Path::new("a.toml"), "é = 1\n\nzü = 2");
        let seen = [0, 3, 7, 8, 11, 14, 999].map(|at| {
            let Place { line, column } = sheet.place(&(at..at));
            (line, column)
        });
        assert_eq!(seen, [(1, 1), (1, 3), (2, 1), (3, 1), (3, 3), (3, 6), (3, 7)]);
    }

    #[test]
    fn what_is_quoted_moves_no_cursor_and_is_short() {
        assert_eq!(quoted("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), MAX_QUOTED_CHARS + 3);
    }
}
