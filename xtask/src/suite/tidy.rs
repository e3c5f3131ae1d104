//! House rules that no compiler checks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// A file above this hides a second thing.
const MAX_LINES: usize = 600;
/// Nothing under these names is ours.
const SKIPPED_DIRS: [&str; 3] = ["target", ".git", "node_modules"];

pub(crate) fn check(root: &Path) -> Result<()> {
    let mut files = Vec::new();
    collect(root, &mut files)?;
    if files.is_empty() {
        bail!("no Rust file under `{}`", root.display());
    }
    let mut complaints = Vec::new();
    for path in &files {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let shown = path.strip_prefix(root).unwrap_or(path).display();
        complaints.extend(inspect(&text).into_iter().map(|complaint| format!("{shown}: {complaint}")));
    }
    if !complaints.is_empty() {
        bail!("{} broken rules\n{}", complaints.len(), complaints.join("\n"));
    }
    println!("{} files hold to the rules", files.len());
    Ok(())
}

/// What is wrong with one file.
fn inspect(text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    // A generated file carries its generator's form; the tool that made it is what gets reviewed.
    if text.lines().take(3).any(|line| line.contains("@generated")) {
        return complaints;
    }
    if !text.starts_with("//!") {
        complaints.push("does not start with `//!` and what it is for".to_owned());
    }
    let n_lines = text.lines().count();
    if n_lines > MAX_LINES {
        complaints.push(format!("{n_lines} lines; split it by the second thing it does"));
    }
    // Written in two parts so that this file does not hold what it looks for.
    for (start, end) in [("#[all", "ow("), ("#![all", "ow("), ("tod", "o!("), ("#[ign", "ore")] {
        let banned = format!("{start}{end}");
        for (index, _) in text.lines().enumerate().filter(|(_, line)| line.contains(&banned)) {
            complaints.push(format!("line {}: `{banned}`", index + 1));
        }
    }
    complaints
}

/// All Rust files, build scripts and target programs included.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || format!("cannot list `{}`", dir.display());
    for entry in fs::read_dir(dir).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let path = entry.path();
        if entry.file_type().with_context(failed)?.is_dir() {
            if !SKIPPED_DIRS.iter().any(|skipped| path.ends_with(skipped)) {
                collect(&path, files)?;
            }
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_finds_its_offence_and_a_clean_file_has_none() {
        let long = format!("//! x\n{}", "\n".repeat(MAX_LINES + 1));
        let lint = format!("//! x\n#[{}(dead_code)]\n", "allow");
        let later = format!("//! x\nfn f() {{ {}!() }}\n", "todo");
        let cases: [(&str, &str); 4] = [
            ("fn f() {}", "does not start with"),
            (&long, "split it"),
            (&lint, "line 2: `#[all"),
            (&later, "line 2: `tod"),
        ];
        for (text, expected) in cases {
            let found = inspect(text);
            assert!(found.len() == 1 && found[0].contains(expected), "wanted {expected:?}, got {found:?}");
        }
        assert_eq!(inspect("//! x\nfn f() {}\n"), Vec::<String>::new());
    }

    #[test]
    fn a_directory_without_rust_files_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check(dir.path()).is_err());
    }
}
