//! Programs that Debian does not have: fetched or built once, into the cache that all checkouts share.

pub(crate) mod chdb;
pub(crate) mod envoy;
pub(crate) mod headers;
pub(crate) mod otlp;
pub(crate) mod pingora;
pub(crate) mod playwright;
pub(crate) mod probee;
pub(crate) mod prometheus;
pub(crate) mod workerd;

use std::{path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::shell::{Workspace, find_program, run};

/// Has packages of Python in a directory of the cache; `part` is a file that tells that they are there.
fn python_packages(workspace: &Workspace, requirements: &[&str], dir: &str, part: &str) -> Result<PathBuf> {
    let dir = workspace.cache.join(dir);
    let part = dir.join(part);
    if part.is_file() {
        return Ok(part);
    }
    let python = find_program("python3").context("no python3 for packages of Python")?;
    run(Command::new(python)
        .args(["-m", "pip", "install", "--quiet", "--target"])
        .arg(&dir)
        .args(requirements))?;
    if !part.is_file() {
        bail!("the packages hold no `{}`", part.display());
    }
    Ok(part)
}
