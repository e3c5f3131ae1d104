//! A small proxy of Pingora, built from tests/programs/pingora without frame pointers, as rustc does by default.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    packages,
    shell::{Workspace, run},
};

const SOURCES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "src/main.rs"];
const PROGRAM: &str = "pingora-proxy-target";

/// Builds it where one of its files is newer than it; that takes two minutes.
pub(crate) fn find(workspace: &Workspace) -> Result<PathBuf> {
    let source = workspace.root.join("tests/programs/pingora");
    let dir = workspace.cache.join("pingora");
    let kept = dir.join(PROGRAM);
    if holds(&source, &dir)? && kept.is_file() {
        return Ok(kept);
    }
    packages::install(&packages::PINGORA)?;
    let target = dir.join("target");
    run(workspace
        .cargo()
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(source.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        // Whoever sets other flags for the project does not change this program.
        .env("RUSTFLAGS", "-Cforce-frame-pointers=no")
        .env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    fs::rename(target.join("release").join(PROGRAM), &kept).context("cannot keep the built proxy")?;
    for file in SOURCES {
        let text = fs::read(source.join(file)).with_context(|| format!("cannot read `{file}`"))?;
        fs::write(dir.join(kept_name(file)), text).with_context(|| format!("cannot keep `{file}`"))?;
    }
    Ok(kept)
}

/// Whether what was built was built from these very files: a checkout gives every file a new time.
fn holds(source: &Path, dir: &Path) -> Result<bool> {
    for file in SOURCES {
        let now = fs::read(source.join(file)).with_context(|| format!("cannot read `{file}`"))?;
        if fs::read(dir.join(kept_name(file))).ok().as_ref() != Some(&now) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn kept_name(file: &str) -> String {
    format!("built-from.{}", file.replace('/', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_holds_until_one_of_its_sources_changes() {
        let (source, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(source.path().join("src")).unwrap();
        for file in SOURCES {
            fs::write(source.path().join(file), file).unwrap();
        }
        assert!(!holds(source.path(), dir.path()).unwrap(), "nothing was built");
        for file in SOURCES {
            fs::write(dir.path().join(kept_name(file)), file).unwrap();
        }
        assert!(holds(source.path(), dir.path()).unwrap());
        fs::write(source.path().join("src/main.rs"), "changed").unwrap();
        assert!(!holds(source.path(), dir.path()).unwrap(), "a source has changed");
    }
}
