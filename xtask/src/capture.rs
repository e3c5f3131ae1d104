//! `cargo xtask capture`: a stack of a running program, for the walk tests.

use std::ffi::OsString;

use anyhow::Result;

use crate::shell::{self, Workspace};

/// The recorder is a program of its own: it needs the agent, and xtask must not.
pub(crate) fn run(workspace: &Workspace, args: &[OsString]) -> Result<()> {
    let mut command = workspace.cargo();
    command.args(["run", "--quiet", "--package", "captures", "--", "--dir", "tests/captures/data"]);
    shell::run(command.args(args))
}
