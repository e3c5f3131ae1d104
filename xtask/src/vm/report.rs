//! Reads the verdicts off the console. A case that the machine did not come to has failed.

use std::fmt;

pub(crate) struct Report {
    cases: Vec<Verdict>,
    /// Shown when a case got no verdict: a panic or a hang leaves its trace there.
    console_end: String,
}

struct Verdict {
    name: String,
    failure: Option<String>,
    evidence: Vec<String>,
}

/// Lines of the console that are shown when the machine died.
const CONSOLE_END_LINES: usize = 30;

impl Report {
    /// `expected` are the names of the cases that were put into the machine.
    pub(crate) fn read(console: &str, expected: &[&str]) -> Self {
        let lines: Vec<&str> = console.lines().map(|line| line.trim_end_matches('\r')).collect();
        let cases = expected.iter().map(|name| Verdict::read(&lines, name)).collect();
        let tail = lines.len().saturating_sub(CONSOLE_END_LINES);
        Self { cases, console_end: lines.get(tail..).unwrap_or_default().join("\n") }
    }

    pub(crate) fn n_ok(&self) -> u64 {
        self.cases.len() as u64 - self.n_failed()
    }

    pub(crate) fn n_failed(&self) -> u64 {
        self.cases.iter().filter(|case| case.failure.is_some()).count() as u64
    }
}

impl Verdict {
    fn read(lines: &[&str], name: &str) -> Self {
        // Firmware may leave escape codes before the first line, hence the search from the end of the line.
        let start =
            lines.iter().position(|line| line.strip_suffix(name).is_some_and(|it| it.ends_with("START ")));
        let after = start.and_then(|at| lines.get(at + 1..)).unwrap_or_default();
        let evidence = after.iter().map_while(|line| line.strip_prefix("  | ")).map(str::to_owned).collect();
        let verdict =
            after.iter().find_map(|line| line.strip_prefix("CASE ")?.strip_prefix(name)?.strip_prefix(' '));
        let failure = match verdict {
            Some("ok") => None,
            Some(other) => Some(other.strip_prefix("FAILED ").unwrap_or(other).to_owned()),
            None if start.is_some() => Some("started, but the machine ended without a verdict".to_owned()),
            None => Some("the machine did not come to it".to_owned()),
        };
        Self { name: name.to_owned(), failure, evidence }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut died = false;
        for case in &self.cases {
            match &case.failure {
                None => writeln!(f, "CASE {} ok", case.name)?,
                Some(reason) => {
                    died |= reason.contains("the machine");
                    writeln!(f, "CASE {} FAILED {reason}", case.name)?;
                }
            }
            for line in &case.evidence {
                writeln!(f, "  | {line}")?;
            }
        }
        if died {
            writeln!(f, "end of the console:\n{}", self.console_end)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "\u{1b}[2JVM kernel 6.1.0\r\nSTART doctor\r\n  | all well\r\nCASE doctor ok\r\n\
                           START record\r\n  | lost 3\r\n  | CASE late ok\r\nCASE record FAILED exit status 1\r\n\
                           START late\r\nKernel panic\r\n";

    #[test]
    fn verdicts_and_evidence_are_read_and_a_case_cannot_forge_another_verdict() {
        let report = Report::read(CONSOLE, &["doctor", "record", "late", "never"]);
        assert_eq!((report.n_ok(), report.n_failed()), (1, 3), "{report}");
        let text = report.to_string();
        for expected in [
            "CASE doctor ok\n  | all well",
            "CASE record FAILED exit status 1\n  | lost 3",
            "CASE late FAILED started, but the machine ended without a verdict",
            "CASE never FAILED the machine did not come to it",
            "Kernel panic",
        ] {
            assert!(text.contains(expected), "no {expected:?} in {text}");
        }
    }
}
