//! `agent daemon` with a configuration of its own.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    paths,
    process::{Finished, Running},
    prometheus::Metrics,
    wait,
};

/// Tables of all programs of a host take their time.
/// Of one question.
const ANSWER: Duration = Duration::from_secs(2);

/// What is in the configuration.
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// Where everything of it is that is not named below.
    pub dir: PathBuf,
    /// Length of a window.
    pub window: String,
    /// Samples a second.
    pub frequency_hz: u32,
    /// Keys at the top, as TOML.
    pub top: String,
    /// What measuring may cost, in percent of the host.
    pub budget_percent: f64,
    /// Tables of targets, as TOML.
    pub targets: String,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where batches wait.
    pub spool_dir: PathBuf,
    /// How much may wait, as the configuration says it.
    pub spool_size: String,
    /// Name, and the rest of the table as TOML.
    pub sinks: Vec<(String, String)>,
}

impl DaemonConfig {
    /// Everything is in this directory, windows are a second, and what is delivered goes into [`Self::files_dir`].
    ///
    /// # Errors
    /// If there is no port for it.
    pub fn in_dir(dir: &Path) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 3), 0)).context("no free port")?;
        let mut config = Self {
            dir: dir.to_owned(),
            window: "1s".to_owned(),
            frequency_hz: 99,
            budget_percent: 50.0,
            top: String::new(),
            targets: String::new(),
            listen: listener.local_addr().context("a listener without an address")?,
            spool_dir: dir.join("spool"),
            spool_size: "64MiB".to_owned(),
            sinks: Vec::new(),
        };
        let files = format!("kind = \"directory\"\ndir = {:?}", config.files_dir());
        config.sinks.push(("files".to_owned(), files));
        Ok(config)
    }

    /// Where the sink of a directory writes, if that is where it should.
    #[must_use]
    pub fn files_dir(&self) -> PathBuf {
        self.dir.join("files")
    }

    /// As TOML.
    #[must_use]
    pub fn text(&self) -> String {
        let dir = self.dir.display();
        let mut text = format!(
            "window = {:?}\nlisten = \"{}\"\ncontrol_socket = \"{dir}/run/control.sock\"\nkill_switch = \"{dir}/off\"\n\
             table_cache = \"{dir}/tables\"\noverhead_budget = {:?}\n{}\n[events]\ncpu = {{ frequency = {} }}\n{}\n\
             [spool]\ndir = {:?}\nmax_bytes = {:?}\n",
            self.window,
            self.listen,
            self.budget_percent,
            self.top,
            self.frequency_hz,
            self.targets,
            self.spool_dir,
            self.spool_size
        );
        for (name, table) in &self.sinks {
            // Writing to a string does not fail.
            let _ = write!(text, "[sink.{name}]\n{table}\n");
        }
        text
    }

    /// Writes it; where.
    ///
    /// # Errors
    /// If that fails.
    pub fn write(&self) -> Result<PathBuf> {
        let path = self.dir.join("agent.toml");
        fs::write(&path, self.text()).context("cannot write agent.toml")?;
        Ok(path)
    }
}

/// A daemon that runs.
pub struct Daemon {
    running: Running,
    listen: SocketAddr,
}

impl Daemon {
    /// Starts it, and does not wait.
    ///
    /// # Errors
    /// If there is no agent.
    pub fn start(config: &Path, listen: SocketAddr) -> Result<Self> {
        let mut command = Command::new(paths::agent()?);
        command.arg("daemon").arg("--config").arg(config);
        // Proxies of whoever runs the test are none of its business.
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        Ok(Self { running: Running::start(&mut command)?, listen })
    }

    /// Waits until it tells how it is.
    ///
    /// # Errors
    /// If it ends, or does not tell in time.
    pub fn wait_until_up(&self) -> Result<()> {
        wait::until("the daemon answers", wait::PATIENCE, || {
            ensure!(!self.running.has_ended(), "the daemon ended: {}", self.running.stderr()?);
            Ok(self.metrics().ok().map(drop))
        })
    }

    /// The process.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// What it tells on `/metrics`.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.ask("metrics")?)
    }

    /// The body of a page.
    ///
    /// # Errors
    /// If it does not answer, or with an error.
    pub fn ask(&self, page: &str) -> Result<String> {
        let config = ureq::Agent::config_builder().timeout_global(Some(ANSWER)).proxy(None).build();
        let url = format!("http://{}/{page}", self.listen);
        let mut answer = ureq::Agent::new_with_config(config).get(&url).call()?;
        answer.body_mut().read_to_string().with_context(|| format!("no text at {url}"))
    }

    /// Has it end as a service manager does, and waits.
    ///
    /// # Errors
    /// If it does not end in time.
    pub fn terminate(self, at_most: Duration) -> Result<Finished> {
        self.running.signal(libc::SIGTERM)?;
        self.running.finish(at_most)
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// If it does not in time.
    pub fn finish(self, at_most: Duration) -> Result<Finished> {
        self.running.finish(at_most)
    }

    /// Ends it with no time for anything.
    ///
    /// # Errors
    /// If it has been waited for.
    pub fn kill(self) -> Result<Finished> {
        self.running.signal(libc::SIGKILL)?;
        self.running.finish(wait::PATIENCE)
    }
}
