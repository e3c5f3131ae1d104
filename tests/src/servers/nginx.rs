//! nginx: one master, one worker, one file.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    net::SocketAddr,
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use super::{Certificates, Server, free_address};
use crate::{paths, process::Running, wait};

/// Starts it; the process is the master.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start() -> Result<Server> {
    start_by(|nginx| nginx)
}

/// Starts it without a parent, as a service has none: only then it takes another binary. Gives the master besides.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_orphaned() -> Result<(Server, u32)> {
    let server = start_by(|nginx| {
        // It remembers its parent, which then goes. The shell stays, so that all are in one group.
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "(\"$@\" & sleep 1); sleep 1000", "sh"])
            .arg(nginx.get_program())
            .args(nginx.get_args());
        shell
    })?;
    let path = server.dir().join("nginx.pid");
    let master = wait::until("nginx has no parent", wait::PATIENCE, || {
        let master = fs::read_to_string(&path).context("no nginx.pid")?;
        let status =
            fs::read_to_string(format!("/proc/{}/status", master.trim())).context("nginx has ended")?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
        // SAFETY: takes no pointer.
        let group = unsafe { libc::getpgid(parent.unwrap_or(0)) };
        Ok((group.unsigned_abs() != server.running().pid()).then_some(master))
    })?;
    let master = master.trim().parse().context("no process ID")?;
    Ok((server, master))
}

/// Starts it with an access log that is a FIFO of one page: it waits for whoever reads there, as it would for a slow disk.
/// Gives the end to read from, too, which does not wait.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_with_slow_log() -> Result<(Server, File)> {
    let dir = tempfile::tempdir().context("cannot create a directory for the log")?;
    let path = dir.path().join("access.fifo");
    let name = CString::new(path.as_os_str().as_bytes()).context("a path with a NUL")?;
    // SAFETY: a string that ends with NUL.
    ensure!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) } == 0, "no FIFO: {}", io::Error::last_os_error());
    // Open for both, or whoever opens one end waits for the other.
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
    let reader = options.open(&path).context("cannot open the FIFO")?;
    // SAFETY: a descriptor of ours and a number.
    let capacity = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) };
    ensure!(capacity == 4096, "a FIFO of {capacity} bytes: {}", io::Error::last_os_error());
    let server = start_with(&format!("access_log {};", path.display()), "", |nginx| nginx)?;
    Ok((server, reader))
}

/// Starts one that passes on what it is asked, keeps what may be kept, and logs each request as JSON, in `access.log`.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_proxy(backend: SocketAddr) -> Result<Server> {
    start_proxy_by(("http", backend), None)
}

/// The same for clients that speak TLS, and with such a backend, if its scheme says so.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_tls_proxy(backend: (&str, SocketAddr), certificates: &Certificates) -> Result<Server> {
    start_proxy_by(backend, Some(certificates))
}

fn start_proxy_by((scheme, backend): (&str, SocketAddr), tls: Option<&Certificates>) -> Result<Server> {
    let fields = [
        ("cache", "upstream_cache_status"),
        ("connection", "connection"),
        ("requests", "connection_requests"),
        ("sent", "bytes_sent"),
        ("received", "request_length"),
        ("status", "status"),
    ];
    let fields = fields.map(|(name, variable)| format!("\"{name}\":\"${variable}\"")).join(",");
    let http = format!(
        "proxy_cache_path cache keys_zone=z:1m;\n  log_format fields escape=json '{{{fields}}}';\n\
         \x20 upstream b {{ server {backend}; keepalive 16; }}\n"
    );
    let server = format!(
        "{}location / {{\n    proxy_pass {scheme}://b;\n    proxy_http_version 1.1;\n\
         \x20   proxy_set_header Connection \"\";\n    proxy_cache z;\n  }}",
        keys(tls)
    );
    let options = if tls.is_some() { " ssl" } else { "" };
    start_listening(&format!("{http}  access_log access.log fields;"), options, &server, |nginx| nginx)
}

/// Starts one that answers by itself to clients that speak HTTP/2, within TLS if there are certificates.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_http2(tls: Option<&Certificates>) -> Result<Server> {
    let server = format!("{}location / {{ return 200 answered; }}", keys(tls));
    let options = if tls.is_some() { " ssl http2" } else { " http2" };
    start_listening("access_log off;", options, &server, |nginx| nginx)
}

fn keys(tls: Option<&Certificates>) -> String {
    let keys = |tls: &Certificates| {
        let dir = tls.dir().display();
        format!("ssl_certificate {dir}/server.pem; ssl_certificate_key {dir}/server.key;\n  ")
    };
    tls.map(keys).unwrap_or_default()
}

/// Starts it with more in the part of its configuration that is about HTTP, and in that about its only server.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_with_config(http: &str, server: &str) -> Result<Server> {
    start_with(&format!("access_log off; {http}"), server, |nginx| nginx)
}

/// The same for clients that speak TLS.
///
/// # Errors
/// If it is not installed or does not listen.
pub fn start_tls_with_config(certificates: &Certificates, http: &str, server: &str) -> Result<Server> {
    let server = format!("{}{server}", keys(Some(certificates)));
    start_listening(&format!("access_log off; {http}"), " ssl", &server, |nginx| nginx)
}

fn start_by(wrap: impl FnOnce(Command) -> Command) -> Result<Server> {
    start_with("access_log off;", "", wrap)
}

fn start_with(http: &str, server: &str, wrap: impl FnOnce(Command) -> Command) -> Result<Server> {
    start_listening(http, "", server, wrap)
}

fn start_listening(
    http: &str,
    options: &str,
    server: &str,
    wrap: impl FnOnce(Command) -> Command,
) -> Result<Server> {
    let nginx = paths::find("nginx", "nginx-light")?;
    let dir = tempfile::tempdir().context("cannot create a directory for nginx")?;
    let address = free_address()?;
    fs::create_dir(dir.path().join("html")).context("cannot create the directory of files")?;
    fs::write(dir.path().join("html/index.html"), "x".repeat(16 * 1024)).context("cannot write a file")?;
    // Small buffers without sendfile: every answer leaves through writev.
    let config = format!(
        "user root;\ndaemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 64; }}\n\
         http {{\n  {http}\n  sendfile off;\n  keepalive_requests 1000000;\n\
         \x20 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n\
         \x20 uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         \x20 server {{ listen {address}{options}; root html; {server} }}\n}}\n"
    );
    fs::write(dir.path().join("nginx.conf"), config).context("cannot write nginx.conf")?;
    let mut command = Command::new(nginx);
    command.arg("-p").arg(dir.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
    Server::new(Running::start(&mut wrap(command))?, address, dir)
}
