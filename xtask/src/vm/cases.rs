//! What is run inside the virtual machine: shell snippets whose exit status is the verdict.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

/// One case.
pub(crate) struct Case {
    /// File name without its ending.
    pub(crate) name: String,
    pub(crate) script: Vec<u8>,
}

/// The files of tests/vm, in the order of their names.
pub(crate) fn read(root: &Path) -> Result<Vec<Case>> {
    let dir = root.join("tests/vm");
    let failed = || format!("cannot read `{}`", dir.display());
    let mut cases = Vec::new();
    for entry in fs::read_dir(&dir).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        if path.extension().is_some_and(|it| it == "sh") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            cases.push(Case { name, script: fs::read(&path).with_context(failed)? });
        }
    }
    if cases.is_empty() {
        bail!("no case in `{}`", dir.display());
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}

/// A command typed by the user, as a case of its own.
pub(crate) fn one(command: &[String]) -> Case {
    let words: Vec<String> = command.iter().map(|word| quote(word)).collect();
    Case { name: "command".into(), script: format!("{}\n", words.join(" ")).into_bytes() }
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_as_they_were_typed() {
        let case = one(&["echo".into(), "it's $HOME".into()]);
        assert_eq!(String::from_utf8(case.script).unwrap(), "'echo' 'it'\\''s $HOME'\n");
    }
}
