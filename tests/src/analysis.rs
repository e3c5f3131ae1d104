//! `agent analyze` under test: its JSON report as a program reads it.

use std::{ffi::OsString, fmt, process::Command};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    paths,
    process::{Finished, Running},
    wait,
};

/// What the whole network namespace has counted.
const OF_HOST: &str = "accept_queue";

/// An analysis under way.
pub struct Analyzing(Running);

/// What it said.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the keys are described in docs/analyze.md")]
pub struct Analysis {
    pub proxy: Option<String>,
    pub bottlenecks: Vec<Bottleneck>,
    pub advice: Vec<Advice>,
    pub notes: Vec<String>,
    pub cpu: Option<Value>,
    pub off_cpu: Option<Value>,
    pub event_loop: Option<Value>,
    pub memory: Option<Value>,
    pub requests: Option<Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Bottleneck {
    pub weight_percent: f64,
    pub group: String,
    pub what: String,
    pub evidence: String,
    pub stack: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Advice {
    pub title: String,
    pub group: String,
    pub evidence: Vec<String>,
    pub stack: Vec<String>,
    pub change: String,
    pub directive: Option<String>,
}

impl Analyzing {
    /// Starts to record a process.
    ///
    /// # Errors
    /// If there is no agent.
    pub fn start(pid: u32, options: &[&str]) -> Result<Self> {
        let mut command = Command::new(paths::agent()?);
        command.args(["analyze", "--format", "json", "--pid", &pid.to_string()]).args(options);
        Ok(Self(Running::start_notifying(&mut command)?))
    }

    /// Reads profiles.
    ///
    /// # Errors
    /// If there is no agent.
    pub fn of_files(files: &[OsString]) -> Result<Self> {
        let mut command = Command::new(paths::agent()?);
        command.args(["analyze", "--format", "json"]).args(files);
        Ok(Self(Running::start(&mut command)?))
    }

    /// The agent.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.0
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If it does not come, or no report with it.
    pub fn finish(self) -> Result<Analysis> {
        let finished: Finished = self.0.finish(wait::PATIENCE)?;
        ensure!(finished.status.success(), "{finished:?}");
        let mut analysis: Analysis =
            serde_json::from_slice(&finished.stdout).with_context(|| format!("no report: {finished:?}"))?;
        // It is of all sockets of this host: others may use it while tests run.
        analysis.bottlenecks.retain(|it| it.group != OF_HOST);
        analysis.advice.retain(|it| it.group != OF_HOST);
        Ok(analysis)
    }
}

impl Analysis {
    /// What holds the target up most.
    ///
    /// # Errors
    /// If nothing does.
    pub fn first(&self) -> Result<&Bottleneck> {
        self.bottlenecks.first().with_context(|| format!("no bottleneck\n{self}"))
    }

    /// The advice that brings most.
    ///
    /// # Errors
    /// If there is none.
    pub fn first_advice(&self) -> Result<&Advice> {
        self.advice.first().with_context(|| format!("no advice\n{self}"))
    }
}

/// For the text of a failed assertion.
impl fmt::Display for Analysis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#?}")
    }
}
