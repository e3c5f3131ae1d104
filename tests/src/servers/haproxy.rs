//! HAProxy: one thread, which answers every request itself.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};

use super::{Server, free_address};
use crate::{paths, process::Running};

/// Starts it; the process is the one that answers.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start() -> Result<Server> {
    let haproxy = paths::find("haproxy", "haproxy")?;
    let dir = tempfile::tempdir().context("cannot create a directory for HAProxy")?;
    let address = free_address()?;
    let config = format!(
        "global\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
         frontend f\n  bind {address}\n  http-request return status 200 content-type text/plain string haproxy\n"
    );
    fs::write(dir.path().join("haproxy.cfg"), config).context("cannot write haproxy.cfg")?;
    let mut command = Command::new(haproxy);
    command.arg("-db").arg("-f").arg(dir.path().join("haproxy.cfg"));
    Server::new(Running::start(&mut command)?, address, dir)
}
