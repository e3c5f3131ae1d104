//! A daemon with everything of its own in one directory, which delivers into another.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    bpf::Objects,
    daemon::{Daemon, DaemonConfig},
    delivered::Delivered,
    paths,
    process::{Finished, Running},
    wait::PATIENCE,
};

const POLL: Duration = Duration::from_millis(100);

/// A daemon that runs.
pub struct OwnDaemon {
    // Before the directory: it goes first, then what it writes into.
    daemon: Daemon,
    /// What it was started with.
    pub config: DaemonConfig,
    dir: TempDir,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status and messages.
    pub finished: Finished,
    /// All that it has delivered.
    pub delivered: Vec<Delivered>,
    /// Of its last line: samples, profiles, lost samples.
    pub told: [u64; 3],
}

impl OwnDaemon {
    /// Starts it, and waits until it samples.
    ///
    /// # Errors
    /// If it does not.
    pub fn start(targets: impl Into<String>) -> Result<Self> {
        Self::start_with(targets, |_| Ok(()))
    }

    /// The same with something else in its configuration, or beside it.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_with(
        targets: impl Into<String>,
        change: impl FnOnce(&mut DaemonConfig) -> Result<()>,
    ) -> Result<Self> {
        let dir = tempfile::tempdir().context("cannot create a directory")?;
        let mut config = DaemonConfig::in_dir(dir.path())?;
        config.targets = targets.into();
        change(&mut config)?;
        let daemon = Daemon::start(&config.write()?, config.listen)?;
        let this = Self { daemon, config, dir };
        this.daemon.wait_until_up()?;
        Ok(this)
    }

    /// The daemon.
    #[must_use]
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.running().pid()
    }

    /// Something in its directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What it has delivered so far.
    ///
    /// # Errors
    /// If that is no profile.
    pub fn delivered(&self) -> Result<Vec<Delivered>> {
        Delivered::all_in(&self.config.files_dir())
    }

    /// For the text of a failed assertion: what there is of whom.
    fn told_of_profiles(&self) -> Vec<(String, String, usize)> {
        let mut n = std::collections::BTreeMap::new();
        for it in self.delivered().unwrap_or_default() {
            *n.entry((it.service().to_owned(), it.event)).or_insert(0) += 1;
        }
        n.into_iter().map(|((service, event), n)| (service, event, n)).collect()
    }

    /// What it tells on `/status`.
    ///
    /// # Errors
    /// If it tells nothing.
    pub fn status(&self) -> Result<Value> {
        serde_json::from_str(&self.daemon.ask("status")?).context("no JSON on /status")
    }

    /// What it holds in the kernel.
    #[must_use]
    pub fn objects(&self) -> Objects {
        Objects::held_by(self.pid())
    }

    /// `agent ctl` with these arguments, under way.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_ctl<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Running> {
        let mut command = Command::new(paths::agent()?);
        command.current_dir(self.dir.path()).arg("ctl").arg("--socket");
        Running::start(command.arg(self.path("run/control.sock")).args(args))
    }

    /// The same to the end.
    ///
    /// # Errors
    /// If it does not end.
    pub fn ctl<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<Finished> {
        self.start_ctl(args)?.finish(PATIENCE)
    }

    /// Polls until `ready` gives a value; one that fails may not fail the next time.
    ///
    /// # Errors
    /// If it gives none in a minute, or the daemon ends.
    pub fn until<T>(&self, what: &str, mut ready: impl FnMut(&Self) -> Result<Option<T>>) -> Result<T> {
        let start = Instant::now();
        loop {
            let last = ready(self);
            if let Ok(Some(value)) = last {
                return Ok(value);
            }
            let said = self.daemon.running().stderr()?;
            ensure!(!self.daemon.running().has_ended(), "the daemon ended before this: {what}\n{said}");
            if start.elapsed() > PATIENCE {
                let error = last.err();
                bail!("waited for this: {what}; {error:?}\n{said}\n{:?}", self.told_of_profiles());
            }
            thread::sleep(POLL);
        }
    }

    /// Has it end as a service manager does, and reads what it left.
    ///
    /// # Errors
    /// If it does not end, or does not say how much it had.
    pub fn finish(self) -> Result<Ended> {
        let finished = self.daemon.terminate(PATIENCE)?;
        let delivered = Delivered::all_in(&self.config.files_dir())?;
        let told = told(&finished.stderr).with_context(|| format!("no last line: {finished:?}"))?;
        Ok(Ended { finished, delivered, told })
    }
}

/// `ended: 461 samples in 8 profiles, 0 lost`
fn told(stderr: &str) -> Option<[u64; 3]> {
    let (_, line) = stderr.rsplit_once("ended: ")?;
    let numbers = line.split_whitespace().filter_map(|word| word.parse().ok());
    numbers.collect::<Vec<u64>>().try_into().ok()
}

/// A configuration that is written in the place of the one that is there, whole.
///
/// # Errors
/// If it cannot be written.
pub fn replace(path: &Path, text: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, text).with_context(|| format!("cannot write {}", new.display()))?;
    fs::rename(&new, path).with_context(|| format!("cannot replace {}", path.display()))
}
