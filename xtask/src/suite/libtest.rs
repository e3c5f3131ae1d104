//! Runs a test command, shows its output as it comes, and adds up the `test result:` lines in it.

use std::{
    fmt,
    io::{BufRead, BufReader},
    ops::AddAssign,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::suite::tally::Outcome;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

pub(crate) fn run(command: &mut Command) -> Result<Outcome> {
    run_counted_by(command, parse)
}

/// The same for a runner whose lines `parse` reads.
pub(super) fn run_counted_by(
    command: &mut Command,
    parse: impl Fn(&str) -> Option<Counts>,
) -> Result<Outcome> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the tests")?;
    let stdout = child.stdout.take().context("the tests have no output")?;
    let mut counts = Counts::default();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read the output of the tests")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(found) = parse(&line) {
            counts += found;
        }
    }
    let status = child.wait().context("cannot wait for the tests")?;
    Ok(Outcome::Ran { counts, succeeded: status.success() })
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s`
fn parse(line: &str) -> Option<Counts> {
    let (_, parts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for part in parts.split("; ") {
        let Some((number, what)) = part.split_once(' ') else { continue };
        match what.trim() {
            "passed" => counts.passed = number.parse().ok()?,
            "failed" => counts.failed = number.parse().ok()?,
            "ignored" => counts.skipped = number.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_gives_its_three_counts() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s";
        assert_eq!(parse(line), Some(Counts { passed: 12, failed: 3, skipped: 1 }));
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in ["test a ... ok", "  test result: ok. 1 passed", "test result: ok", ""] {
            assert_eq!(parse(line), None, "line {line:?}");
        }
    }

    #[test]
    fn skipped_shows_only_when_there_is_any() {
        assert_eq!(Counts { passed: 2, failed: 0, skipped: 0 }.to_string(), "2 passed, 0 failed");
        assert_eq!(Counts { passed: 2, failed: 0, skipped: 4 }.to_string(), "2 passed, 0 failed, 4 skipped");
    }
}
