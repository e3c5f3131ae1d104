//! What a run takes place in: nginx under load, two receivers, a disk that can be full, and the agent, with its receivers
//! in a network that can be cut.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::{
    audit::{Evidence, Life},
    fault::{At, Fault},
};
use crate::{
    bpf::Objects,
    daemon::{Daemon, DaemonConfig},
    disk::Disk,
    ledger::Ledger,
    paths,
    process::{Finished, Running},
    prometheus::Metrics,
    servers::{self, Load, OtlpReceiver, ReceiverPlace, Server},
    spooled::Spooled,
};

/// Between two looks at spool and figures.
const LOOK: Duration = Duration::from_millis(250);
/// For what waits to arrive; receivers that failed for long are asked again after a minute.
const SETTLE: Duration = Duration::from_secs(180);
/// For the agent to end.
const END: Duration = Duration::from_secs(60);
/// As a service manager waits before it starts an agent again.
const RESTART: Duration = Duration::from_secs(1);
const DISK_SIZE: &str = "64m";
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// Of each connection to nginx, before each request.
const REST: Duration = Duration::from_millis(4);

/// Guards go in this order.
pub(super) struct World {
    agent: Option<Daemon>,
    receivers: BTreeMap<At, Receiver>,
    _load: Load,
    _server: Server,
    _grower: Running,
    disk: Disk,
    before: Objects,
    config: PathBuf,
    spooled: Spooled,
    lives: Vec<Life>,
    told: Option<Metrics>,
    told_unix_ns: u64,
    is_cut: bool,
    is_full: bool,
    pub(super) violations: Vec<String>,
    pub(super) notes: Vec<String>,
    dir: TempDir,
}

struct Receiver {
    place: ReceiverPlace,
    running: Option<OtlpReceiver>,
}

impl World {
    /// Everything runs. None without what a receiver is made of. The thread is in a network of its own from now on.
    pub(super) fn new(run_time: Duration, window: &str) -> Result<Option<Self>> {
        let dir = tempfile::tempdir().context("cannot create a directory")?;
        let server = servers::nginx()?;
        let load = Load::with_rests(&server, REST, run_time + SETTLE + END)?;
        // nginx under even load takes no memory.
        let grower = paths::program("grower")?;
        let targets = format!("[[target]]\nexe = \"/usr/sbin/nginx\"\n[[target]]\nexe = {grower:?}");
        let grower = Running::start(Command::new(grower).args(["sawtooth", "4096", "3"]))?;
        let before = Objects::all()?;
        own_network()?;
        let mut receivers = BTreeMap::new();
        for (at, port) in [(At::Grpc, 4000), (At::Http, 5000)] {
            let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let file = |what: &str| dir.path().join(format!("{at}.{what}"));
            let (grpc, http) = (address(port), address(port + 1));
            let place = ReceiverPlace { grpc, http, ledger: file("ledger"), mode: file("mode") };
            let Some(running) = OtlpReceiver::at(&place)? else { return Ok(None) };
            receivers.insert(at, Receiver { place, running: Some(running) });
        }
        let disk = Disk::mount(&dir.path().join("disk"), DISK_SIZE)?;
        let spool_dir = dir.path().join("disk/spool");
        let config = config(dir.path(), &spool_dir, &receivers, window, targets).write()?;
        let mut world = Self {
            agent: None,
            receivers,
            _load: load,
            _server: server,
            _grower: grower,
            disk,
            before,
            config,
            spooled: Spooled::in_dir(&spool_dir),
            lives: Vec::new(),
            told: None,
            told_unix_ns: 0,
            is_cut: false,
            is_full: false,
            violations: Vec::new(),
            notes: Vec::new(),
            dir,
        };
        world.start_agent()?;
        Ok(Some(world))
    }

    pub(super) fn begin(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Killed(at) => {
                let running = self.receiver(at)?.running.take().context("a receiver that is not there")?;
                // The guard waits for it.
                running.running().signal(libc::SIGKILL)
            }
            Fault::Stopped(at) => self.signal(at, libc::SIGSTOP),
            Fault::Answers(at, mode) => self.receiver(at)?.answer(mode),
            Fault::Cut => {
                self.is_cut = true;
                loopback("down")
            }
            Fault::DiskFull => {
                self.is_full = true;
                self.disk.fill()
            }
            Fault::AgentKilled => self.kill_agent(),
        }
    }

    pub(super) fn mend(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Killed(at) => {
                let receiver = self.receiver(at)?;
                receiver.running = OtlpReceiver::at(&receiver.place)?;
                Ok(())
            }
            Fault::Stopped(at) => self.signal(at, libc::SIGCONT),
            Fault::Answers(at, _) => self.receiver(at)?.answer("ok"),
            Fault::Cut => {
                self.is_cut = false;
                loopback("up")
            }
            Fault::DiskFull => {
                self.is_full = false;
                self.disk.free()
            }
            Fault::AgentKilled => self.start_agent(),
        }
    }

    /// Kills the agent and starts it again, whatever else is wrong.
    pub(super) fn restart_agent(&mut self) -> Result<()> {
        self.kill_agent()?;
        self.start_agent()
    }

    /// Lets time pass, and looks.
    pub(super) fn rest(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.look()?;
            thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        self.spooled.look()?;
        self.ask();
        if self.agent.as_ref().is_some_and(|agent| agent.running().has_ended()) {
            let finished = self.agent.take().context("no agent")?.kill()?;
            let text = format!("the agent ended by itself ({}): {}", finished.status, tail(&finished.stderr));
            let said = if self.is_full { &mut self.notes } else { &mut self.violations };
            said.push(text);
            self.life(&finished);
            thread::sleep(RESTART);
            self.start_agent()?;
        }
        Ok(())
    }

    fn ask(&mut self) {
        if self.is_cut {
            return;
        }
        if let Some(metrics) = self.agent.as_ref().and_then(|agent| agent.metrics().ok()) {
            self.told = Some(metrics);
            self.told_unix_ns = unix_ns();
        }
    }

    fn start_agent(&mut self) -> Result<()> {
        self.spooled.restart();
        self.told = None;
        self.told_unix_ns = unix_ns();
        let agent = Daemon::start(&self.config, LISTEN)?;
        // What is wrong may keep it from coming up; then it is looked after while time passes.
        if !self.is_cut && !self.is_full {
            agent.wait_until_up()?;
        }
        self.agent = Some(agent);
        Ok(())
    }

    fn kill_agent(&mut self) -> Result<()> {
        self.look()?;
        let finished = self.agent.take().context("no agent to kill")?.kill()?;
        self.life(&finished);
        Ok(())
    }

    /// A life is over.
    fn life(&mut self, finished: &Finished) {
        self.lives.push(Life {
            last_told: self.told.take(),
            told_unix_ns: self.told_unix_ns,
            ended_unix_ns: unix_ns(),
        });
        if finished.stderr.contains("panicked") {
            self.violations.push(format!("the agent panicked: {}", tail(&finished.stderr)));
        }
        if let Err(error) = self.before.nothing_left_since() {
            self.violations.push(format!("{error:#}"));
        }
    }

    /// Waits until all has arrived, ends the agent in order, and collects what there is to see.
    pub(super) fn finish(mut self) -> Result<(Evidence, Vec<String>, Vec<String>)> {
        let (begin_unix_ns, end) = (unix_ns(), Instant::now() + SETTLE);
        while self.told.is_none() || self.told_unix_ns < begin_unix_ns || self.n_waiting() > 0 {
            if Instant::now() > end {
                self.violations.push(format!("{} batches still wait after {SETTLE:?}", self.n_waiting()));
                break;
            }
            self.rest(LOOK)?;
        }
        self.look()?;
        let agent = self.agent.take().context("no agent to end")?;
        let finished = agent.terminate(END)?;
        self.life(&finished);
        if !finished.status.success() {
            self.violations.push(format!(
                "the agent ended with {}: {}",
                finished.status,
                tail(&finished.stderr)
            ));
        }
        for (ending, what) in [(".batch", "left in the spool"), (".refused", "refused by the spool")] {
            let files = self.spooled.files(ending);
            if !files.is_empty() {
                self.violations.push(format!("{} files {what} at the end: {files:?}", files.len()));
            }
        }
        let ledger =
            |(at, receiver): (&At, &Receiver)| Ok((at.to_string(), Ledger::read(&receiver.place.ledger)?));
        let evidence = Evidence {
            ledgers: self.receivers.iter().map(ledger).collect::<Result<_>>()?,
            files: file_keys(&self.dir.path().join("files"))?,
            spooled: self.spooled.keys().map(str::to_owned).collect(),
            spooled_profiles: self.spooled.profiles().map(str::to_owned).collect(),
            lives: std::mem::take(&mut self.lives),
        };
        Ok((evidence, std::mem::take(&mut self.violations), std::mem::take(&mut self.notes)))
    }

    fn n_waiting(&self) -> u64 {
        self.told.as_ref().map_or(0, |told| told.count("brazier_sink_waiting", &[]))
    }

    fn receiver(&mut self, at: At) -> Result<&mut Receiver> {
        self.receivers.get_mut(&at).context("no such receiver")
    }

    fn signal(&mut self, at: At, signal: i32) -> Result<()> {
        let running = self.receiver(at)?.running.as_ref().context("a receiver that is not there")?;
        running.running().signal(signal)
    }
}

impl Receiver {
    /// Whole or not at all, as it is read at any time.
    fn answer(&self, mode: &str) -> Result<()> {
        let new = self.place.mode.with_extension("new");
        fs::write(&new, mode).and_then(|()| fs::rename(&new, &self.place.mode)).context("cannot write a mode")
    }
}

fn config(
    dir: &Path,
    spool_dir: &Path,
    receivers: &BTreeMap<At, Receiver>,
    window: &str,
    targets: String,
) -> DaemonConfig {
    let otlp = |(at, receiver): (&At, &Receiver)| {
        let (kind, address) = match at {
            At::Grpc => ("otlp-grpc", receiver.place.grpc),
            At::Http => ("otlp-http", receiver.place.http),
        };
        let table = format!(
            "kind = {kind:?}\naddress = \"http://{address}\"\ncompression = \"gzip\"\nproxy = \"none\"\ntimeout = \"3s\""
        );
        (at.to_string(), table)
    };
    let mut sinks: Vec<_> = receivers.iter().map(otlp).collect();
    sinks.push(("files".to_owned(), format!("kind = \"directory\"\ndir = {:?}", dir.join("files"))));
    DaemonConfig {
        dir: dir.to_owned(),
        window: window.to_owned(),
        frequency_hz: 199,
        top: String::new(),
        budget_percent: 50.0,
        targets,
        listen: LISTEN,
        spool_dir: spool_dir.to_owned(),
        spool_size: "32MiB".to_owned(),
        sinks,
    }
}

/// Keys in the names of files: `brazier-SECONDS-KEY.pb.gz`.
fn file_keys(dir: &Path) -> Result<std::collections::BTreeSet<String>> {
    let entries = fs::read_dir(dir).context("the sink of a directory made none")?;
    let key = |entry: io::Result<fs::DirEntry>| -> Option<String> {
        let name = entry.ok()?.file_name();
        Some(name.to_str()?.strip_suffix(".pb.gz")?.rsplit_once('-')?.1.to_owned())
    };
    Ok(entries.filter_map(key).collect())
}

/// From now on this thread, and what it starts, has a network that nobody else is in.
fn own_network() -> Result<()> {
    // SAFETY: takes no pointer.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(io::Error::last_os_error()).context("cannot have a network of its own");
    }
    loopback("up")
}

fn loopback(state: &str) -> Result<()> {
    let status = Command::new(paths::find("ip", "iproute2")?).args(["link", "set", "lo", state]).status();
    ensure!(status.context("cannot start ip")?.success(), "cannot set lo {state}");
    Ok(())
}

fn unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The end of what somebody said.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
}

/// The run takes place on a thread of its own, as that changes networks.
pub(super) fn on_own_thread<T: Send>(run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| match scope.spawn(run).join() {
        Ok(result) => result,
        Err(_) => bail!("the run panicked"),
    })
}
