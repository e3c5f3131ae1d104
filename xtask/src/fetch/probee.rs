//! profile-bee, the other profiler that unwinds by `.eh_frame` in the kernel: built from its package.

use std::path::PathBuf;

use anyhow::Result;

use crate::shell::{Workspace, run};

/// The version that measurements were written against.
const VERSION: &str = "0.3.13";

/// Builds it once for all checkouts; that takes some minutes.
pub(crate) fn find(workspace: &Workspace) -> Result<PathBuf> {
    let root = workspace.cache.join("probee").join(VERSION);
    let program = root.join("bin/probee");
    if !program.is_file() {
        let mut command = workspace.cargo();
        command.args([
            "install",
            "--locked",
            "profile-bee",
            "--bin",
            "probee",
            "--version",
            VERSION,
            "--root",
        ]);
        run(command.arg(&root))?;
    }
    Ok(program)
}
