//! The tests of the page's modules, by the runner that Node.js has, and the counts in its output.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{
    libtest::{self, Counts},
    tally::Outcome,
};
use crate::shell::find_program;

pub(crate) fn run(root: &Path) -> Result<Outcome> {
    let Some(node) = find_program("node") else {
        return Ok(Outcome::Skipped("no Node.js (`nodejs` in Debian)".into()));
    };
    let dir = root.join("collector/web/tests");
    let mut files = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot list `{}`", dir.display()))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".test.js") {
            files.push(path);
        }
    }
    files.sort();
    libtest::run_counted_by(Command::new(node).args(["--test", "--test-reporter=tap"]).args(files), parse)
}

/// `# pass 65`, at the end.
fn parse(line: &str) -> Option<Counts> {
    let (what, number) = line.strip_prefix("# ")?.split_once(' ')?;
    let n = number.parse().ok()?;
    let none = Counts::default();
    Some(match what {
        "pass" => Counts { passed: n, ..none },
        "fail" | "cancelled" => Counts { failed: n, ..none },
        "skipped" | "todo" => Counts { skipped: n, ..none },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_at_the_end_are_counted_and_no_others() {
        let output = "# Subtest: 3 pass\nok 1 - x\n# tests 5\n# pass 3\n# fail 1\n# cancelled 0\n# skipped 1\n# duration_ms 7";
        let mut counts = Counts::default();
        output.lines().filter_map(parse).for_each(|found| counts += found);
        assert_eq!(counts, Counts { passed: 3, failed: 1, skipped: 1 });
    }
}
