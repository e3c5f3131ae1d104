//! The agent under test: `agent record` into a directory of its own, and everything that it said.

use std::{
    ffi::{OsStr, OsString},
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{
    bpf::Objects,
    folded::Folded,
    paths,
    process::{Finished, Running},
    report::Report,
    wait,
};

/// How much of a report a failed test shows.
const SHOWN_BYTES: usize = 4000;

/// A recording under way: folded stacks to a file, the JSON report to standard output.
pub struct Recorder {
    running: Running,
    dir: TempDir,
}

/// A finished recording.
pub struct Recording {
    /// How the agent ended.
    pub status: ExitStatus,
    /// Its report.
    pub report: Report,
    /// Its profile.
    pub folded: Folded,
    /// Its messages.
    pub stderr: String,
    /// What a command that it ran wrote to standard output.
    pub command_output: String,
    report_text: String,
}

/// Records to the end: `record(["--pid", ...])`.
///
/// # Errors
/// If the agent does not end in time, or writes no profile.
pub fn record<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<Recording> {
    Recorder::start(args)?.finish()
}

/// Records to the end, with variables of its own in the agent's environment.
///
/// # Errors
/// If the agent does not end in time, or writes no profile.
pub fn record_with<S: AsRef<OsStr>>(
    environment: &[(&str, OsString)],
    args: impl IntoIterator<Item = S>,
) -> Result<Recording> {
    Recorder::start_with(environment, args)?.finish()
}

/// Runs the agent with these arguments and nothing else, in `dir`.
///
/// # Errors
/// If it does not end in time.
pub fn run<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Result<Finished> {
    Running::start(Command::new(paths::agent()?).current_dir(dir).args(args))?.finish(wait::PATIENCE)
}

/// Waits until an agent has everything attached that it takes; gives what it holds in the kernel then.
///
/// # Errors
/// If it does not begin.
pub fn wait_until_sampling(agent: &Running) -> Result<Objects> {
    agent.wait_until_ready()?;
    Ok(Objects::held_by(agent.pid()))
}

impl Recorder {
    /// Starts to record.
    ///
    /// # Errors
    /// If there is no agent.
    pub fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::start_with(&[], args)
    }

    /// Starts `limited`, which gives up what the daemon gives up and then does the same.
    ///
    /// # Errors
    /// If it is not there.
    pub fn start_limited<S: AsRef<OsStr>>(limited: &Path, args: impl IntoIterator<Item = S>) -> Result<Self> {
        let dir = tempfile::tempdir().context("cannot create a directory")?;
        let mut command = Command::new(limited);
        command.arg(dir.path()).current_dir(dir.path());
        command.args(["record", "--no-table-cache", "--output", "x.folded", "--report", "json"]).args(args);
        Ok(Self { running: Running::start(&mut command)?, dir })
    }

    fn start_with<S: AsRef<OsStr>>(
        environment: &[(&str, OsString)],
        args: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let dir = tempfile::tempdir().context("cannot create a directory")?;
        let mut command = Command::new(paths::agent()?);
        command
            .current_dir(dir.path())
            .envs(environment.iter().cloned())
            .args(["record", "--output", "x.folded", "--report", "json"])
            .args(args);
        Ok(Self { running: Running::start_notifying(&mut command)?, dir })
    }

    /// Waits until it takes samples.
    ///
    /// # Errors
    /// If it does not begin.
    pub fn wait_until_sampling(&self) -> Result<Objects> {
        wait_until_sampling(&self.running)
    }

    /// The agent.
    #[must_use]
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// If it does not come, or no profile with it.
    pub fn finish(self) -> Result<Recording> {
        let Finished { status, stdout, stderr } = self.running.finish(wait::PATIENCE)?;
        let text = fs::read_to_string(self.dir.path().join("x.folded"))
            .with_context(|| format!("no profile; {status}; the agent said: {stderr}"))?;
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        // A command that was run writes to the same place, before the report.
        let start = if stdout.starts_with('{') { 0 } else { stdout.find("\n{\n").map_or(0, |at| at + 1) };
        let (command_output, report_text) = stdout.split_at(start);
        let (command_output, report_text) = (command_output.to_owned(), report_text.to_owned());
        let report = serde_json::from_str(&report_text)
            .with_context(|| format!("the report is not as documented: {stdout}{stderr}"))?;
        let names: Vec<PathBuf> = list(self.dir.path())?;
        ensure!(names == [PathBuf::from("x.folded")], "beside the profile there is more: {names:?}");
        let folded = Folded::parse(&text)?;
        Ok(Recording { status, report, folded, stderr, command_output, report_text })
    }
}

/// Names in a directory.
///
/// # Errors
/// If it cannot be read.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    entries.map(|entry| Ok(entry.context("cannot list")?.file_name().into())).collect()
}

/// For the text of a failed assertion.
impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.report_text.floor_char_boundary(SHOWN_BYTES);
        let report = self.report_text.get(..end).unwrap_or_default();
        write!(f, "{}; messages: {:?}\n{report}\n{}", self.status, self.stderr, self.folded)
    }
}
