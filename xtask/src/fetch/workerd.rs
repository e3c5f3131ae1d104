//! workerd, the runtime of Cloudflare's workers: its own build, from the npm package that carries it.
//!
//! tests/programs/workerd/package-lock.json pins the version and the hash, which npm checks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::shell::{Workspace, find_program, run};

const FILES: [&str; 2] = ["package.json", "package-lock.json"];
const PROGRAM: &str = "node_modules/@cloudflare/workerd-linux-64/bin/workerd";

/// Fetches it once for all checkouts.
pub(crate) fn find(workspace: &Workspace) -> Result<PathBuf> {
    let source = workspace.root.join("tests/programs/workerd");
    let dir = workspace.cache.join("workerd");
    let program = dir.join(PROGRAM);
    if program.is_file() && is_same(&source, &dir)? {
        return Ok(program);
    }
    let npm = find_program("npm").context("no npm to fetch workerd with")?;
    fs::create_dir_all(&dir).context("cannot create a directory for workerd")?;
    for file in FILES {
        fs::copy(source.join(file), dir.join(file)).with_context(|| format!("cannot copy `{file}`"))?;
    }
    // No script of the package runs.
    run(Command::new(npm)
        .args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&dir))?;
    if !program.is_file() {
        bail!("the package of workerd holds no `{PROGRAM}`");
    }
    Ok(program)
}

fn is_same(source: &Path, dir: &Path) -> Result<bool> {
    for file in FILES {
        let wanted = fs::read(source.join(file)).with_context(|| format!("cannot read `{file}`"))?;
        if fs::read(dir.join(file)).ok().as_ref() != Some(&wanted) {
            return Ok(false);
        }
    }
    Ok(true)
}
