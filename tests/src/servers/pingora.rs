//! A proxy of Pingora, without frame pointers: one thread, and a future inside a future for every layer.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Server, free_address};
use crate::process::Running;

/// Starts it in front of another server.
///
/// # Errors
/// If it does not listen.
pub fn start(program: &Path, upstream: &Server) -> Result<Server> {
    let dir = tempfile::tempdir().context("cannot create a directory for Pingora")?;
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args([address.to_string(), upstream.address().to_string()]).current_dir(dir.path());
    Server::new(Running::start(&mut command)?, address, dir)
}
