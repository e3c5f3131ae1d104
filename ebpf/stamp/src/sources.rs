//! The hash of everything the eBPF object is built from.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{StampError, hex, lock};

/// Where the kernel sources are, and the part of it that is not among them: this crate.
const SOURCE_DIR: &str = "ebpf";
const NOT_SOURCES: &str = "ebpf/stamp";
/// The package that becomes the object, and the members it is made of.
const PACKAGE: &str = "ebpf";
const MEMBERS: [(&str, &str); 2] = [(PACKAGE, "ebpf/Cargo.toml"), ("abi", "ebpf/abi/Cargo.toml")];

/// Hash of the kernel sources, their manifests, and the locked packages they are built from.
pub fn source_hash(workspace_root: &Path) -> Result<String, StampError> {
    let mut files = Vec::new();
    collect(workspace_root, Path::new(SOURCE_DIR), &mut files)?;
    files.sort();

    let mut hasher = Sha256::new();
    for path in &files {
        add(&mut hasher, path.as_os_str().as_encoded_bytes());
        let content = fs::read(workspace_root.join(path))
            .map_err(|source| StampError::Read { path: path.clone(), source })?;
        add(&mut hasher, &content);
    }

    let lock = read(workspace_root, "Cargo.lock")?;
    let mut manifests = BTreeMap::new();
    for (name, path) in MEMBERS {
        manifests.insert(name.to_owned(), read(workspace_root, path)?);
    }
    for package in lock::closure(&lock, PACKAGE, &manifests)? {
        add(&mut hasher, package.fingerprint().as_bytes());
    }
    Ok(hex(hasher))
}

/// Length first, so that no two different lists of inputs give the same bytes.
fn add(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn read(root: &Path, path: &str) -> Result<String, StampError> {
    fs::read_to_string(root.join(path)).map_err(|source| StampError::Read { path: path.into(), source })
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), StampError> {
    let failed = |source| StampError::Read { path: dir.to_owned(), source };
    for entry in fs::read_dir(root.join(dir)).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = dir.join(entry.file_name());
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if path != Path::new(NOT_SOURCES) {
                collect(root, &path, files)?;
            }
        } else if path.extension().is_some_and(|it| it == "rs") || path.ends_with("Cargo.toml") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL_LOCK: &str = "[[package]]\nname = \"ebpf\"\nversion = \"0.1.0\"\ndependencies = [\n \"aya-ebpf\",\n]\n\n\
                               [[package]]\nname = \"aya-ebpf\"\nversion = \"0.2.1\"\nchecksum = \"aa\"\n\n";
    const OTHER_LOCK: &str = "[[package]]\nname = \"other\"\nversion = \"1.0.0\"\n\n";

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            write(dir.path(), path, text);
        }
        dir
    }

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn files() -> Vec<(&'static str, &'static str)> {
        vec![
            ("Cargo.lock", KERNEL_LOCK),
            ("ebpf/Cargo.toml", "[dependencies]\naya-ebpf.workspace = true\n"),
            ("ebpf/abi/Cargo.toml", "[package]\n"),
            ("ebpf/abi/src/lib.rs", "pub struct A;"),
            ("ebpf/src/main.rs", "fn main() {}"),
            ("ebpf/src/walk.rs", "fn walk() {}"),
        ]
    }

    fn hash_after(path: &str, text: &str) -> (String, String) {
        let dir = tree(&files());
        let before = source_hash(dir.path()).unwrap();
        write(dir.path(), path, text);
        (before, source_hash(dir.path()).unwrap())
    }

    #[test]
    fn a_changed_added_or_renamed_source_changes_the_hash() {
        for path in ["ebpf/src/walk.rs", "ebpf/abi/src/lib.rs", "ebpf/src/new/mod.rs"] {
            let (before, after) = hash_after(path, "fn other() {}");
            assert_ne!(before, after, "after a change of {path}");
        }
        let dir = tree(&files());
        let before = source_hash(dir.path()).unwrap();
        fs::rename(dir.path().join("ebpf/src/walk.rs"), dir.path().join("ebpf/src/step.rs")).unwrap();
        assert_ne!(before, source_hash(dir.path()).unwrap(), "after a rename");
    }

    #[test]
    fn a_file_that_is_no_source_does_not_change_the_hash() {
        for path in ["ebpf/stamp/src/lib.rs", "ebpf/README.md", "ebpf/brazier.bpf.o", "agent/src/lib.rs"] {
            let (before, after) = hash_after(path, "something new");
            assert_eq!(before, after, "after a change of {path}");
        }
    }

    #[test]
    fn the_order_in_which_files_were_created_does_not_matter() {
        let mut reversed = files();
        reversed.reverse();
        let (one, two) = (tree(&files()), tree(&reversed));
        assert_eq!(source_hash(one.path()).unwrap(), source_hash(two.path()).unwrap());
    }

    #[test]
    fn the_lock_counts_only_where_the_kernel_side_depends_on_it() {
        let unrelated = format!("{KERNEL_LOCK}{OTHER_LOCK}");
        let (before, after) = hash_after("Cargo.lock", &unrelated);
        assert_eq!(before, after, "after an unrelated package was locked");

        let reordered = {
            let (first, second) = KERNEL_LOCK.split_once("\n\n").unwrap();
            format!("{second}{first}\n")
        };
        let (before, after) = hash_after("Cargo.lock", &reordered);
        assert_eq!(before, after, "after the stanzas were reordered");

        let (before, after) = hash_after("Cargo.lock", &KERNEL_LOCK.replace("\"aa\"", "\"ab\""));
        assert_ne!(before, after, "after a dependency of the kernel side changed");
    }

    #[test]
    fn a_missing_lock_is_an_error_that_names_it() {
        let dir = tree(&files()[1..]);
        assert_eq!(source_hash(dir.path()).unwrap_err().to_string(), "cannot read `Cargo.lock`");
    }
}
