//! workerd with one JavaScript worker: compiled C++ below code that V8 makes at run time.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Server, free_address};
use crate::{paths, process::Running};

/// Starts it.
///
/// # Errors
/// If it does not listen.
pub fn start(program: &Path) -> Result<Server> {
    let dir = tempfile::tempdir().context("cannot create a directory for workerd")?;
    let address = free_address()?;
    let source = paths::program_source("workerd")?;
    for file in ["config.capnp", "worker.js"] {
        fs::copy(source.join(file), dir.path().join(file))
            .with_context(|| format!("cannot copy `{file}`"))?;
    }
    let mut command = Command::new(program);
    command.args(["serve", "config.capnp"]).arg(format!("--socket-addr=http={address}"));
    command.current_dir(dir.path());
    Server::new(Running::start(&mut command)?, address, dir)
}
