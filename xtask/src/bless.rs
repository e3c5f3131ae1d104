//! `cargo xtask bless`: the only writer of golden files.

use anyhow::Result;

use crate::shell::{self, Workspace};

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let args = ["test", "--workspace", "--no-fail-fast"];
    shell::run(workspace.cargo().args(args).env("BLESS", "1"))?;
    println!("golden files rewritten where they differed; `git diff` shows what changed");
    Ok(())
}
