//! What watches the host and sends what it sees: how each is started, seen at work, and ended.

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::shipping::Shipping;
use crate::{
    bench::{
        Plan,
        child::{self, ends_with_us},
        held::{self, Runs},
    },
    fetch,
    process::Running,
    shell::{Workspace, output},
};

const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Names are looked up at the end, and what there is is sent.
const END_TIMEOUT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// One kind.
pub(super) struct Kind {
    pub(super) name: &'static str,
    find: fn(&Workspace, &Plan) -> Result<PathBuf>,
    /// In a directory of its own, sending to an address.
    command: fn(&Path, &Path, Shipping, SocketAddr) -> Result<Command>,
    /// What has it send what it has, and end.
    end: libc::c_int,
}

pub(super) static KINDS: [&Kind; 2] = [&DAEMON, &PROBEE];

pub(super) static DAEMON: Kind = Kind {
    name: "agent daemon",
    find: |_, plan| Ok(plan.agent.clone()),
    command: |program, dir, shipping, sink| {
        let config = dir.join("agent.toml");
        fs::write(&config, shipping.config(dir, sink)).context("cannot write a configuration")?;
        let mut command = Command::new(program);
        command.arg("daemon").arg("--config").arg(config);
        Ok(command)
    },
    end: libc::SIGTERM,
};

/// The other one that unwinds by `.eh_frame` in the kernel. It does not compress what it sends.
static PROBEE: Kind = Kind {
    name: "profile-bee --dwarf",
    find: |workspace, _| fetch::probee::find(workspace),
    command: |program, _, shipping, sink| {
        let mut command = Command::new(program);
        command
            .args(["--dwarf", "--skip-idle", "--frequency", &shipping.frequency_hz.to_string()])
            .args(["--otlp-endpoint", &sink.to_string()])
            .args(["--flush-interval", &shipping.window.as_millis().to_string()]);
        Ok(command)
    },
    end: libc::SIGINT,
};

/// One that is on this machine.
pub(super) struct Installed {
    pub(super) kind: &'static Kind,
    program: PathBuf,
    pub(super) version: String,
}

impl Kind {
    pub(super) fn find(&'static self, workspace: &Workspace, plan: &Plan) -> Result<Installed> {
        let program = (self.find)(workspace, plan)?;
        let version = output(Command::new(&program).arg("--version"))?.trim().to_owned();
        Ok(Installed { kind: self, program, version })
    }
}

/// Ends when dropped.
pub(super) struct Watcher {
    // Before the directory: it goes first, then what it writes into.
    running: Running,
    kind: &'static Kind,
    dir: tempfile::TempDir,
}

const LOG: &str = "log";

impl Watcher {
    pub(super) fn start(installed: &Installed, shipping: Shipping, sink: SocketAddr) -> Result<Self> {
        let dir = tempfile::tempdir().context("cannot create a directory for a profiler's files")?;
        let kind = installed.kind;
        let mut command = (kind.command)(&installed.program, dir.path(), shipping, sink)?;
        let log = fs::File::create(dir.path().join(LOG)).context("cannot create a log")?;
        command.stdin(Stdio::null()).current_dir(dir.path());
        command.stdout(log.try_clone().context("cannot open a log")?).stderr(log);
        ends_with_us(&mut command, libc::SIGKILL);
        Ok(Self { running: Running::start(kind.name, &mut command)?, kind, dir })
    }

    pub(super) fn wait_until_sampling(&mut self) -> Result<()> {
        let start = Instant::now();
        while self.checked(n_ticks)? == 0 {
            if start.elapsed() > START_TIMEOUT {
                bail!("{} has not begun after {} s", self.kind.name, START_TIMEOUT.as_secs());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Reads something of its process, which has to be there still.
    pub(super) fn checked<T>(&mut self, read: impl FnOnce(u32) -> Result<T>) -> Result<T> {
        let value = read(self.running.pid());
        if self.running.has_ended() {
            bail!("{} ended before it was told to: {}", self.kind.name, self.log());
        }
        value
    }

    pub(super) fn finish(mut self) -> Result<()> {
        child::signal(self.running.pid(), self.kind.end)?;
        let status = self.running.wait(END_TIMEOUT)?;
        // Some end by the signal that they are told to end with.
        if !(status.success() || status.signal() == Some(self.kind.end)) {
            bail!("{} failed ({status}): {}", self.kind.name, self.log());
        }
        Ok(())
    }

    pub(super) fn log(&self) -> String {
        let bytes = fs::read(self.dir.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

/// How often its programs have run at ticks of a clock.
fn n_ticks(pid: u32) -> Result<u64> {
    Ok(Runs::of(held::by(pid)?.programs.iter().filter(|program| program.is_sampler())).count)
}
