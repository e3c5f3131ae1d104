//! The proxies that are measured: each with a configuration of its own in a directory of its own, on a free port of
//! loopback, ended when dropped.

mod native;
mod runtimes;

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{child::ends_with_us, load::Load};
use crate::{
    process::Running,
    shell::{Workspace, find_program},
};

/// Varnish compiles its configuration first.
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// One kind of server.
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Where its program is, fetched if it has to be.
    find: fn(&Workspace) -> Result<PathBuf>,
    /// Writes its configuration and says how it is started; it must stay in the foreground.
    command: fn(&Path, &Setting<'_>) -> Result<Command>,
    /// It works in a child of the process that is started.
    works_in_child: bool,
    /// How much of a stack perf has to copy.
    pub(super) perf_copy_bytes: u32,
}

/// For most stacks.
const SHALLOW_BYTES: u32 = 16_384;
/// The largest copy that there is.
const DEEP_BYTES: u32 = 65_528;

/// What a configuration is made of.
struct Setting<'a> {
    listen: SocketAddr,
    /// Answers every request with a page of one KiB.
    upstream: SocketAddr,
    /// Of its own.
    dir: &'a Path,
    /// The checkout.
    root: &'a Path,
}

/// Answers what proxies ask.
static UPSTREAM: Kind = native::UPSTREAM;

pub(super) static ALL: [Kind; 12] = [
    native::NGINX,
    native::HAPROXY,
    native::VARNISH,
    native::SQUID,
    native::H2O,
    native::NGHTTPX,
    runtimes::PINGORA,
    runtimes::CADDY,
    runtimes::NODE_WITH_MAP,
    runtimes::NODE,
    runtimes::WORKERD,
    native::ENVOY,
];

pub(super) fn kind(name: &str) -> Result<&'static Kind> {
    ALL.iter().find(|kind| kind.name == name).with_context(|| format!("no server named `{name}`"))
}

/// Runs until dropped.
pub(super) struct Server {
    // Before the directory: the server goes first, then what it writes into.
    running: Running,
    address: SocketAddr,
    works_in_child: bool,
    _dir: tempfile::TempDir,
}

impl Kind {
    pub(super) fn start(&self, workspace: &Workspace, upstream: &Server) -> Result<Server> {
        self.start_before(workspace, upstream.address)
    }

    fn start_before(&self, workspace: &Workspace, upstream: SocketAddr) -> Result<Server> {
        let program = (self.find)(workspace)?;
        let dir = tempfile::tempdir().context("cannot create a directory for a server")?;
        // Some give root away before they read it.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777))
            .context("cannot open the directory of a server")?;
        let listen = free_address()?;
        let setting = Setting { listen, upstream, dir: dir.path(), root: &workspace.root };
        let mut command = (self.command)(&program, &setting)
            .with_context(|| format!("cannot write the configuration of {}", self.name))?;
        let log = |name| fs::File::create(dir.path().join(name)).context("cannot create a log");
        command.current_dir(dir.path()).stdin(Stdio::null()).stdout(log("stdout")?).stderr(log("stderr")?);
        command.env("HOME", dir.path());
        ends_with_us(&mut command, libc::SIGTERM);
        let mut running = Running::start(self.name, &mut command)?;
        let start = Instant::now();
        while TcpStream::connect(listen).is_err() {
            if running.has_ended() || start.elapsed() > START_TIMEOUT {
                let read = |name| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
                bail!("{} does not listen on {listen}: {}{}", self.name, read("stdout"), read("stderr"));
            }
            thread::sleep(POLL);
        }
        Ok(Server { running, address: listen, works_in_child: self.works_in_child, _dir: dir })
    }
}

/// The server that all others forward to.
pub(super) fn upstream(workspace: &Workspace) -> Result<Server> {
    // It forwards to nobody: no address is asked for.
    UPSTREAM.start_before(workspace, free_address()?)
}

impl Server {
    /// The process that was started.
    pub(super) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The process that does the work.
    pub(super) fn worker_pid(&self) -> Result<u32> {
        let pid = self.pid();
        if !self.works_in_child {
            return Ok(pid);
        }
        let path = format!("/proc/{pid}/task/{pid}/children");
        let children = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
        let last = children.split_whitespace().last().context("a server without its worker")?;
        last.parse().with_context(|| format!("`{last}` is no process id"))
    }

    pub(super) fn load(&self, run_time: Duration) -> Result<Load> {
        Load::start(&format!("http://{}/", self.address), run_time, None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What V8 may have written; if it has not there is nothing to remove.
        drop(fs::remove_file(format!("/tmp/perf-{}.map", self.pid())));
    }
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    listener.local_addr().context("a listener without an address")
}

fn installed(name: &str) -> Result<PathBuf> {
    find_program(name).with_context(|| format!("no {name} on this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_has_a_name_of_its_own() {
        for server in &ALL {
            assert_eq!(ALL.iter().filter(|it| it.name == server.name).count(), 1, "{}", server.name);
            assert!(kind(server.name).is_ok(), "{}", server.name);
        }
        assert!(kind("no such server").is_err());
    }
}
