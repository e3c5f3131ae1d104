//! A collector on ports of its own, with what it keeps in a directory.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::{paths, process::Running, wait};

/// A collector that listens.
pub struct Collector {
    running: Running,
    /// Where it takes OTLP over gRPC.
    pub grpc: String,
    /// Where it answers, and has its page.
    pub web: String,
}

impl Collector {
    /// Starts it on a loopback address; `None` if nobody has built one. What it receives is in its store after a second.
    ///
    /// # Errors
    /// If it does not listen.
    pub fn start(host: &str, dir: &Path) -> Result<Option<Self>> {
        let Some(program) = paths::collector()? else { return Ok(None) };
        let config = dir.join("collector.toml");
        fs::write(&config, "[log]\nflush_after_seconds = 1\n").context("cannot write collector.toml")?;
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(dir.join("data")).arg("--config").arg(config);
        for option in ["--grpc", "--http", "--web"] {
            command.arg(option).arg(format!("{host}:0"));
        }
        let running = Running::start(&mut command)?;
        let address = |name: &str| {
            wait::until("the collector listens", wait::PATIENCE, || {
                ensure!(!running.has_ended(), "the collector ended: {}", running.stderr()?);
                let said = running.stdout()?;
                Ok(said.lines().find_map(|line| line.strip_prefix(name)).map(|it| it.trim().to_owned()))
            })
        };
        let (grpc, web) = (address("grpc")?, address("web")?);
        Ok(Some(Self { running, grpc, web }))
    }

    /// The process.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// The text at a path of its web address.
    ///
    /// # Errors
    /// If it does not answer, or with an error.
    pub fn text(&self, path: &str) -> Result<String> {
        let config = ureq::Agent::config_builder().timeout_global(Some(wait::PATIENCE)).proxy(None).build();
        let url = format!("http://{}{path}", self.web);
        let mut answer =
            ureq::Agent::new_with_config(config).get(&url).call().with_context(|| url.clone())?;
        answer.body_mut().read_to_string().with_context(|| format!("no text at {url}"))
    }

    /// The JSON at a path of its web address.
    ///
    /// # Errors
    /// If it does not answer, or with something else.
    pub fn ask(&self, path: &str) -> Result<Value> {
        serde_json::from_str(&self.text(path)?).with_context(|| format!("no JSON at {path}"))
    }
}
