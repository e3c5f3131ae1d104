//! HAProxy: one thread, which answers every request itself, or two that pass on what they are asked.

use std::{fs, net::SocketAddr, process::Command};

use anyhow::{Context as _, Result};

use super::{Certificates, Server, free_address};
use crate::{paths, process::Running};

/// Starts it; the process is the one that answers.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start() -> Result<Server> {
    start_with("nbthread 1", |address| {
        format!(
            "frontend f\n  bind {address}\n  http-request return status 200 content-type text/plain string haproxy\n"
        )
    })
}

/// Starts one with two threads that passes on what it is asked.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_proxy(backend: SocketAddr) -> Result<Server> {
    start_with("nbthread 2", |address| {
        format!(
            "frontend f\n  bind {address}\n  default_backend b\nbackend b\n  http-reuse always\n  server s {backend}\n"
        )
    })
}

/// The same for clients that speak TLS.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_tls_proxy(backend: SocketAddr, certificates: &Certificates) -> Result<Server> {
    // Both in one file.
    let both = certificates.dir().join("server.both");
    let read = |name: &str| fs::read_to_string(certificates.dir().join(name)).context("no certificate");
    fs::write(&both, read("server.pem")? + &read("server.key")?).context("cannot write a certificate")?;
    start_with("nbthread 2", |address| {
        format!(
            "frontend f\n  bind {address} ssl crt {}\n  default_backend b\nbackend b\n  http-reuse always\n\
             \x20 server s {backend}\n",
            both.display()
        )
    })
}

fn start_with(global: &str, sections: impl FnOnce(SocketAddr) -> String) -> Result<Server> {
    let haproxy = paths::find("haproxy", "haproxy")?;
    let dir = tempfile::tempdir().context("cannot create a directory for HAProxy")?;
    let address = free_address()?;
    let sections = sections(address);
    let config = format!(
        "global\n  {global}\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\n\
         {sections}"
    );
    fs::write(dir.path().join("haproxy.cfg"), config).context("cannot write haproxy.cfg")?;
    let mut command = Command::new(haproxy);
    command.arg("-db").arg("-f").arg(dir.path().join("haproxy.cfg"));
    Server::new(Running::start(&mut command)?, address, dir)
}
