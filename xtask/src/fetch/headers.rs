//! Kernel headers for tools that compile their programs against them. Debian's own, of another kernel than the one that
//! runs: enough for tools that read no structure of the kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::shell::{Workspace, output, run};

/// The package that depends on the newest headers.
const NEWEST: &str = "linux-headers-amd64";
const PARTS: [&str; 2] = ["include", "arch"];

/// One directory with what bcc looks for below `BCC_KERNEL_SOURCE`.
pub(crate) fn find(workspace: &Workspace) -> Result<PathBuf> {
    let package = depended_on(NEWEST)?;
    let dir = workspace.cache.join("headers").join(&package);
    if dir.is_dir() {
        return Ok(dir);
    }
    let parent = workspace.cache.join("headers");
    fs::create_dir_all(&parent).with_context(|| format!("cannot create `{}`", parent.display()))?;
    let unpacked = tempfile::tempdir_in(&parent).context("cannot create a directory to unpack into")?;
    let merged = unpacked.path().join("merged");
    fs::create_dir(&merged).context("cannot create a directory for headers")?;
    // What all flavours share first: the flavour's own files go over it.
    for package in [&depended_on(&package)?, &package] {
        run(Command::new("apt-get")
            .args(["-q", "-o", "APT::Sandbox::User=root", "download", package])
            .current_dir(&unpacked))?;
        let deb = entry(unpacked.path(), package)?;
        run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(unpacked.path()))?;
        let root = unpacked.path().join("usr/src").join(package);
        for part in PARTS {
            run(Command::new("cp").arg("-r").arg(root.join(part)).arg(&merged))?;
        }
    }
    fs::rename(&merged, &dir).with_context(|| format!("cannot keep `{}`", dir.display()))?;
    Ok(dir)
}

/// The first package of headers that a package depends on.
fn depended_on(package: &str) -> Result<String> {
    let text = output(Command::new("apt-cache").args(["depends", package]))?;
    let first = text.lines().find_map(|line| {
        line.trim().strip_prefix("Depends: ").filter(|name| name.starts_with("linux-headers-"))
    });
    Ok(first.with_context(|| format!("`{package}` depends on no headers: run `apt-get update`"))?.to_owned())
}

fn entry(dir: &Path, start: &str) -> Result<PathBuf> {
    fs::read_dir(dir)
        .with_context(|| format!("cannot list `{}`", dir.display()))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start)))
        .with_context(|| format!("no `{start}*` in `{}`", dir.display()))
}
