//! Folded stacks, read back: `process;frame;...;frame_[k] count`.

use std::fmt;

use anyhow::{Context as _, Result};

/// How many lines a failed test shows.
const SHOWN_LINES: usize = 25;
/// How much of a line it shows: a function of C++ can fill a page.
const SHOWN_BYTES: usize = 600;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The process name.
    pub process: String,
    /// Root first, reasons for what is missing included.
    pub frames: Vec<String>,
    /// Samples.
    pub count: u64,
}

impl Stack {
    /// Whether a frame has this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.frames.iter().any(|frame| frame == name)
    }

    /// Frames of user code, without reasons.
    pub fn user(&self) -> impl Iterator<Item = &str> {
        let frames = self.frames.iter().map(String::as_str);
        frames.filter(|frame| !frame.ends_with("_[k]") && !frame.starts_with("[truncated"))
    }

    /// Frames of the kernel, their mark taken off.
    pub fn kernel(&self) -> impl Iterator<Item = &str> {
        self.frames.iter().filter_map(|frame| frame.strip_suffix("_[k]"))
    }
}

/// A profile in this form.
#[derive(Clone, Debug, Default)]
pub struct Folded {
    /// Its lines.
    pub stacks: Vec<Stack>,
}

impl Folded {
    /// Reads the form.
    ///
    /// # Errors
    /// If a line does not have it.
    pub fn parse(text: &str) -> Result<Self> {
        let stacks =
            text.lines().map(|line| parse_line(line).with_context(|| format!("folded line {line:?}")));
        Ok(Self { stacks: stacks.collect::<Result<_>>()? })
    }

    /// Samples.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.count(|_| true)
    }

    /// Samples of the stacks that are asked for.
    pub fn count(&self, wanted: impl Fn(&Stack) -> bool) -> u64 {
        self.stacks.iter().filter(|stack| wanted(stack)).map(|stack| stack.count).sum()
    }

    /// The share of `wanted` in `of`, both in samples; 0 if there is none.
    pub fn share(&self, of: impl Fn(&Stack) -> bool, wanted: impl Fn(&Stack) -> bool) -> f64 {
        let all = self.count(&of);
        let found = self.count(|stack| of(stack) && wanted(stack));
        if all == 0 { 0.0 } else { found as f64 / all as f64 }
    }
}

/// The heaviest lines.
impl fmt::Display for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_count: Vec<&Stack> = self.stacks.iter().collect();
        by_count.sort_by_key(|stack| std::cmp::Reverse(stack.count));
        writeln!(f, "{} stacks, {} samples; the heaviest:", self.stacks.len(), self.total())?;
        for Stack { process, frames, count } in by_count.iter().take(SHOWN_LINES) {
            let line = format!("{process};{}", frames.join(";"));
            // The leaf is what tells stacks apart.
            let start = line.ceil_char_boundary(line.len().saturating_sub(SHOWN_BYTES));
            writeln!(
                f,
                "{}{} {count}",
                if start > 0 { "..." } else { "" },
                line.get(start..).unwrap_or_default()
            )?;
        }
        Ok(())
    }
}

fn parse_line(line: &str) -> Result<Stack> {
    let (path, count) = line.rsplit_once(' ').context("no count")?;
    let mut parts = path.split(';').map(str::to_owned);
    let process = parts.next().context("no process")?;
    Ok(Stack { process, frames: parts.collect(), count: count.parse().context("the count is no number")? })
}

#[cfg(test)]
mod tests {
    use super::Folded;

    #[test]
    fn halves_are_told_apart_and_shares_are_of_samples() {
        let text = "p;[truncated: x];main;write;vfs_write_[k] 3\np;main 1\n";
        let folded = Folded::parse(text).expect("parses");
        assert_eq!(folded.total(), 4);
        assert_eq!(folded.stacks[0].user().collect::<Vec<_>>(), ["main", "write"]);
        assert_eq!(folded.stacks[0].kernel().collect::<Vec<_>>(), ["vfs_write"]);
        assert!((folded.share(|_| true, |stack| stack.has("write")) - 0.75).abs() < 1e-9, "{folded}");
    }

    #[test]
    fn a_line_without_a_count_is_an_error() {
        assert!(Folded::parse("main").is_err() && Folded::parse("main x").is_err());
    }
}
