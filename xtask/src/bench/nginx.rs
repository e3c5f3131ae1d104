//! A real nginx with its own configuration in a directory of its own.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{child::ends_with_us, load::Load};
use crate::{
    process::Running,
    shell::{find_program, output},
};

/// A loopback address that no service listens on by default.
const ADDRESS: &str = "127.0.0.2:18080";
/// One worker, so that a CPU profile of it is a profile of the server.
const WORKERS: u32 = 1;
/// What proxies mostly send: small and larger answers, compressed.
const FILES: [(&str, usize); 3] = [("small.txt", 1024), ("large.txt", 16 * 1024), ("page.txt", 24 * 1024)];
/// Where they are kept apart.
const SERVER_CPU: u32 = 0;
const LOAD_CPU: u32 = 1;
const START_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs until dropped.
pub(crate) struct Nginx {
    // Before the directory: the server goes first, then what it writes into.
    running: Running,
    _prefix: tempfile::TempDir,
    page: &'static str,
    load_cpu: Option<u32>,
}

impl Nginx {
    /// Load is for the larger file: most of the time goes into compression.
    pub(crate) fn start() -> Result<Self> {
        Self::start_with("large.txt")
    }

    /// Load is for the smaller file: as many requests as can be.
    pub(crate) fn start_small() -> Result<Self> {
        Self::start_with("small.txt")
    }

    /// Load is for the largest file.
    pub(crate) fn start_page() -> Result<Self> {
        Self::start_with("page.txt")
    }

    fn start_with(page: &'static str) -> Result<Self> {
        let nginx = find_program("nginx").context("no nginx: install Debian's nginx-light")?;
        if TcpStream::connect(ADDRESS).is_ok() {
            bail!("something else listens on {ADDRESS}");
        }
        let prefix = tempfile::tempdir().context("cannot create a directory for nginx")?;
        write_files(prefix.path()).context("cannot write the files of nginx")?;
        let mut command = Command::new(nginx);
        command.arg("-p").arg(prefix.path()).args(["-c", "nginx.conf", "-e", "error.log"]);
        ends_with_us(command.stdin(Stdio::null()), libc::SIGTERM);
        let mut running = Running::start("nginx", &mut command)?;
        let start = Instant::now();
        while TcpStream::connect(ADDRESS).is_err() {
            if running.has_ended() || start.elapsed() > START_TIMEOUT {
                let log = fs::read_to_string(prefix.path().join("error.log")).unwrap_or_default();
                bail!("nginx does not listen on {ADDRESS}: {}", log.trim());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { running, _prefix: prefix, page, load_cpu: None })
    }

    /// The master; its worker is its only child.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Keeps it busy.
    pub(crate) fn load(&self, run_time: Duration) -> Result<Load> {
        Load::start(&format!("http://{ADDRESS}/{}", self.page), run_time, self.load_cpu)
    }

    /// Keeps its worker to one CPU and its load to another: where they meet is not left to the scheduler, which is most of
    /// what runs of a second differ by.
    pub(super) fn keep_apart(&mut self) -> Result<()> {
        let worker = self.worker_pid()?.to_string();
        output(Command::new("taskset").args(["-pc", &SERVER_CPU.to_string(), &worker]))?;
        self.load_cpu = Some(LOAD_CPU);
        Ok(())
    }

    pub(crate) fn worker_pid(&self) -> Result<u32> {
        let path = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        let first = children.split_whitespace().next().context("nginx has no worker")?;
        first.parse().with_context(|| format!("`{first}` is no process id"))
    }
}

fn write_files(prefix: &Path) -> std::io::Result<()> {
    fs::create_dir(prefix.join("html"))?;
    for (name, size_bytes) in FILES {
        // Text that compresses about as well as a page of a site.
        let words = (0u32..)
            .flat_map(|n| format!("<p>{:x} caf\u{e9} </p>\n", n.wrapping_mul(2_654_435_761)).into_bytes());
        fs::write(prefix.join("html").join(name), words.take(size_bytes).collect::<Vec<u8>>())?;
    }
    // Started by root, a worker takes another user; it still has to read the files.
    let user = if crate::shell::is_root() { "user root;" } else { "" };
    let config = format!(
        "{user}\ndaemon off;\nworker_processes {WORKERS};\npid nginx.pid;\nerror_log error.log warn;\n\
         events {{ worker_connections 256; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000;\n  gzip on;\n  gzip_types text/plain;\n\
         \x20 default_type text/plain;\n  client_body_temp_path body;\n  proxy_temp_path proxy;\n\
         \x20 fastcgi_temp_path fastcgi;\n  uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n\
         \x20 server {{ listen {ADDRESS}; root html; }}\n}}\n"
    );
    fs::write(prefix.join("nginx.conf"), config)
}

/// Version of nginx, for the line under a table.
pub(crate) fn version() -> Result<String> {
    let nginx = find_program("nginx").context("no nginx")?;
    output(Command::new("sh").args(["-c", "\"$1\" -v 2>&1", "sh"]).arg(nginx)).map(|it| it.trim().to_owned())
}
