//! nginx: one master, one worker, one file.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};

use super::{Server, free_address};
use crate::{paths, process::Running};

/// Starts it; the process is the master.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start() -> Result<Server> {
    let nginx = paths::find("nginx", "nginx-light")?;
    let dir = tempfile::tempdir().context("cannot create a directory for nginx")?;
    let address = free_address()?;
    fs::create_dir(dir.path().join("html")).context("cannot create the directory of files")?;
    fs::write(dir.path().join("html/index.html"), "x".repeat(16 * 1024)).context("cannot write a file")?;
    // Small buffers without sendfile: every answer leaves through writev.
    let config = format!(
        "user root;\ndaemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n  access_log off;\n  sendfile off;\n  keepalive_requests 1000000;\n\
         \x20 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
         \x20 uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         \x20 server {{ listen {address}; root html; }}\n}}\n"
    );
    fs::write(dir.path().join("nginx.conf"), config).context("cannot write nginx.conf")?;
    let mut command = Command::new(nginx);
    command.arg("-p").arg(dir.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
    Server::new(Running::start(&mut command)?, address, dir)
}
