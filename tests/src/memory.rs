//! `agent memory` under test: a watch, and its JSON report as a program reads it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    paths,
    process::{Finished, Running},
    wait,
};

/// A watch under way.
pub struct Watcher(Running);

/// A watch that has ended.
pub struct Watched {
    /// How the agent ended, and its messages.
    pub finished: Finished,
    /// Its report.
    pub report: Value,
}

impl Watcher {
    /// Watches a process; `dir` takes what is written.
    ///
    /// # Errors
    /// If there is no agent.
    pub fn start(dir: &Path, pid: u32, options: &[&str]) -> Result<Self> {
        let mut command = Command::new(paths::agent()?);
        command
            .current_dir(dir)
            .args(["memory", "--report", "json", "--pid", &pid.to_string()])
            .args(options);
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
    pub fn finish(self) -> Result<Watched> {
        let finished = self.0.finish(wait::PATIENCE)?;
        let report =
            serde_json::from_slice(&finished.stdout).with_context(|| format!("no report: {finished:?}"))?;
        Ok(Watched { finished, report })
    }
}

impl Watched {
    /// A value of the report, by its JSON pointer.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.report.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// A number of the report.
    ///
    /// # Errors
    /// If there is none.
    pub fn number(&self, pointer: &str) -> Result<f64> {
        self.at(pointer).as_f64().with_context(|| format!("no number at {pointer} of {:#}", self.report))
    }

    /// The process of this ID.
    ///
    /// # Errors
    /// If the report has none.
    pub fn process(&self, pid: u32) -> Result<&Value> {
        let processes = self.at("/processes").as_array().context("no processes")?;
        let found = processes.iter().find(|process| process.get("pid") == Some(&pid.into()));
        found.with_context(|| format!("no process {pid} in {:#}", self.report))
    }
}

/// A control group with a limit of memory, of whichever version has the controller here.
pub struct LimitedGroup(PathBuf);

impl LimitedGroup {
    /// Makes an empty one.
    ///
    /// # Errors
    /// If neither version of the memory controller is to be had.
    pub fn create(name: &str, limit_bytes: u64) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read mounts")?;
        let name = format!("brazier-test-{}-{name}", std::process::id());
        for line in mounts.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let &[_, root, kind, options, ..] = fields.as_slice() else { continue };
            let file = match kind {
                "cgroup" if options.split(',').any(|it| it == "memory") => "memory.limit_in_bytes",
                "cgroup2" => "memory.max",
                _ => continue,
            };
            if kind == "cgroup2"
                && fs::write(Path::new(root).join("cgroup.subtree_control"), "+memory").is_err()
            {
                continue;
            }
            let path = Path::new(root).join(name);
            fs::create_dir(&path).with_context(|| format!("cannot create {}", path.display()))?;
            let group = Self(path);
            fs::write(group.0.join(file), limit_bytes.to_string()).context("cannot set a limit")?;
            return Ok(group);
        }
        bail!("no hierarchy with the memory controller: {mounts}")
    }

    /// Moves a process into it.
    ///
    /// # Errors
    /// If it has ended.
    pub fn add(&self, pid: u32) -> Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string()).context("cannot move a process")
    }

    /// A command that runs `program` inside it.
    ///
    /// # Errors
    /// If the shell that does it is missing.
    pub fn command(&self, program: &Path, args: &[&str]) -> Result<Command> {
        let mut command = crate::control_group::command_in(&self.0, program)?;
        command.args(args.iter().map(OsString::from));
        Ok(command)
    }
}

impl Drop for LimitedGroup {
    fn drop(&mut self) {
        // A process that has just ended still counts as a member for a moment.
        let removed = wait::until("a control group is empty", Duration::from_secs(2), || {
            Ok(fs::remove_dir(&self.0).is_ok().then_some(()))
        });
        drop(removed);
    }
}
