//! Profiles that a user names: files, directories of them, and patterns; each read within bounds.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use profile::{Profile, read};

/// A month of windows of two minutes is fewer.
const MAX_FILES: usize = 20_000;
/// Forms that can be read back, by the endings of their files. Who names a file may call it as they like.
const ENDINGS: [&str; 6] = [".pb.gz", ".pprof", ".pb", ".otlp", ".folded", ".folded.gz"];
/// What makes a name a pattern.
const PATTERN: [char; 3] = ['*', '?', '['];

/// The files that `paths` stand for, in the order of their names within each.
///
/// # Errors
/// If one stands for none, or they are too many.
pub(crate) fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        let shown = path.display();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let found = if path.is_dir() {
            let found = list(path, |name| ENDINGS.iter().any(|ending| name.ends_with(ending)))?;
            ensure!(
                !found.is_empty(),
                "no profiles in {shown}: no file there ends in {}",
                ENDINGS.join(", ")
            );
            found
        } else if !path.exists() && name.contains(PATTERN) {
            let pattern = globset::Glob::new(&name)
                .with_context(|| format!("{shown} is no pattern"))?
                .compile_matcher();
            let directory = match path.parent() {
                Some(parent) if parent != Path::new("") => parent,
                _ => Path::new("."),
            };
            let found = list(directory, |name| pattern.is_match(name))?;
            ensure!(!found.is_empty(), "no file is called {shown}");
            found
        } else {
            vec![path.clone()]
        };
        files.extend(found);
        if files.len() > MAX_FILES {
            bail!("{shown} and what was named before are more than {MAX_FILES} files");
        }
    }
    Ok(files)
}

/// Files of a directory by their names. What begins with a dot is being written.
fn list(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let context = || format!("cannot list {}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(context)? {
        let entry = entry.with_context(context)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with('.') && is_wanted(&name) && entry.path().is_file() {
            files.push(entry.path());
        }
        ensure!(files.len() <= MAX_FILES, "{} has more than {MAX_FILES} profiles", directory.display());
    }
    files.sort();
    Ok(files)
}

/// Reads one profile.
///
/// # Errors
/// If it cannot be read, or is none.
pub(crate) fn read(path: &Path) -> anyhow::Result<Profile> {
    let shown = path.display();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(read::MAX_UNPACKED_BYTES.saturating_add(1)).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {shown}"))?;
    read::profile(&bytes).with_context(|| format!("{shown} cannot be used"))
}

/// Whether a profile has all of these labels. Those of a whole profile are comments of a pprof file.
pub(crate) fn has_labels(profile: &Profile, labels: &[String]) -> bool {
    labels.iter().all(|label| profile.meta().comments.contains(label))
}

#[cfg(test)]
mod tests {
    use super::{expand, read};
    use std::{fs, path::PathBuf};

    #[test]
    fn a_directory_and_a_pattern_stand_for_the_profiles_in_them() {
        let dir = tempfile::tempdir().expect("temporary directory");
        for name in ["b.pb.gz", "a.pb.gz", "a.folded", ".brazier-1.pb.gz", "notes.txt"] {
            fs::write(dir.path().join(name), "main 1").expect("written");
        }
        let names = |path: PathBuf| -> Result<Vec<String>, String> {
            let files = expand(&[path]).map_err(|error| error.to_string())?;
            Ok(files
                .iter()
                .map(|file| file.file_name().expect("has one").to_string_lossy().into_owned())
                .collect())
        };
        assert_eq!(
            names(dir.path().to_owned()),
            Ok(["a.folded", "a.pb.gz", "b.pb.gz"].map(String::from).to_vec())
        );
        assert_eq!(names(dir.path().join("a.*")), Ok(["a.folded", "a.pb.gz"].map(String::from).to_vec()));
        assert!(names(dir.path().join("c*")).is_err_and(|error| error.contains("no file is called")));
        let text = dir.path().join("notes.txt");
        assert_eq!(names(text.clone()), Ok(vec!["notes.txt".to_owned()]), "what is named is taken");
        assert_eq!(read(&text).expect("is folded").total(0), 1);
        let missing = read(&dir.path().join("missing")).expect_err("is not there");
        assert!(format!("{missing:#}").contains("No such file"), "{missing:#}");
    }
}
