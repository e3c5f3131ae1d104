//! Load on a server, while its guard is held.

use std::process::Command;

use anyhow::Result;

use super::Server;
use crate::{paths, process::Running};

/// More than any recording; the guard ends it before.
const AT_MOST_S: u32 = 30;

/// wrk with a few connections.
pub struct Load {
    running: Running,
}

impl Load {
    /// Starts it.
    ///
    /// # Errors
    /// If wrk is missing.
    pub fn start(server: &Server) -> Result<Self> {
        let mut command = Command::new(paths::find("wrk", "wrk")?);
        command.args(["-t", "1", "-c", "8", "-d"]).arg(format!("{AT_MOST_S}s")).arg(server.url());
        Ok(Self { running: Running::start(&mut command)? })
    }

    /// Whether it still runs: a load that gave up explains a profile with nothing in it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.running.has_ended()
    }
}
