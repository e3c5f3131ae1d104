//! Caddy: a proxy written in Go.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{Certificates, Server, free_address};
use crate::{paths, process::Running};

/// Starts it.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start() -> Result<Server> {
    start_with(|dir| format!("encode gzip\n\troot * {}\n\tfile_server", dir.display()))
}

/// Starts one that passes on what it is asked.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_proxy(backend: SocketAddr) -> Result<Server> {
    start_with(|_| format!("reverse_proxy {backend}"))
}

/// The same for clients that speak TLS.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_tls_proxy(backend: SocketAddr, certificates: &Certificates) -> Result<Server> {
    let dir = certificates.dir().display();
    start_listening("https", |_| format!("tls {dir}/server.pem {dir}/server.key\n\treverse_proxy {backend}"))
}

fn start_with(directives: impl FnOnce(&Path) -> String) -> Result<Server> {
    start_listening("http", directives)
}

fn start_listening(scheme: &str, directives: impl FnOnce(&Path) -> String) -> Result<Server> {
    let caddy = paths::find("caddy", "caddy")?;
    let dir = tempfile::tempdir().context("cannot create a directory for Caddy")?;
    let address = free_address()?;
    let directives = directives(dir.path());
    // In clear, whatever host is asked for: a site with a name answers others with nothing.
    let (ip, port) = (address.ip(), address.port());
    let host = if scheme == "http" { String::new() } else { ip.to_string() };
    let config = format!(
        "{{\n\tadmin off\n\tauto_https disable_redirects\n}}\n{scheme}://{host}:{port} {{\n\tbind {ip}\n\t{directives}\n}}\n"
    );
    fs::write(dir.path().join("index.html"), "<p>caddy</p>\n".repeat(512)).context("cannot write a file")?;
    fs::write(dir.path().join("Caddyfile"), config).context("cannot write the Caddyfile")?;
    let mut command = Command::new(caddy);
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(dir.path().join("Caddyfile"));
    command.current_dir(dir.path()).env("HOME", dir.path());
    command.env("XDG_DATA_HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path());
    Server::new(Running::start(&mut command)?, address, dir)
}
