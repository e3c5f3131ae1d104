//! `live_page.py` under way, and what it saw.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{paths, process::Running};

/// Pages are drawn beside all else, on whatever CPUs there are.
const READING: Duration = Duration::from_secs(120);

/// How to start it.
pub(super) struct Browser {
    url: String,
    /// Directories of Python's packages and modules.
    python_path: std::ffi::OsString,
    /// Where its pictures go.
    pub(super) out: PathBuf,
}

/// One that runs.
pub(super) struct Reading(Running);

/// An object that it has printed.
pub(super) struct Seen(Value);

impl Browser {
    pub(super) fn new(web: &str, packages: PathBuf) -> Result<Self> {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("live-page");
        fs::create_dir_all(&out).context("cannot create a directory for pictures")?;
        let modules = paths::root()?.join("collector/tests/serve");
        let python_path = env::join_paths([packages, modules])?;
        Ok(Self { url: format!("http://{web}/"), python_path, out })
    }

    /// What it is to do, the rest of the address, and what else it takes.
    pub(super) fn start(&self, args: &[&str]) -> Result<Reading> {
        let (what, rest) = args.split_first().context("nothing to do")?;
        let mut command = Command::new(paths::find("python3", "python3")?);
        command.arg(paths::suite_source("live_page.py")?).args([what, self.url.as_str()]);
        command.arg(&self.out).args(rest);
        command.env("PYTHONPATH", &self.python_path).env("PYTHONDONTWRITEBYTECODE", "1");
        // Proxies of whoever runs the test are none of its business.
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(name).env_remove(name.to_lowercase());
        }
        Ok(Reading(Running::start(&mut command)?))
    }
}

fn parse(text: &str, n: usize) -> Result<Option<Seen>> {
    // The last line may be on its way.
    let Some(line) = text.split_inclusive('\n').nth(n).filter(|line| line.ends_with('\n')) else {
        return Ok(None);
    };
    Ok(Some(Seen(serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?)))
}

impl Reading {
    /// What it has printed as this line, if it has.
    pub(super) fn line(&self, n: usize) -> Result<Option<Seen>> {
        let seen = parse(&self.0.stdout()?, n)?;
        ensure!(seen.is_some() || !self.0.has_ended(), "it ended: {}", self.0.stderr()?);
        Ok(seen)
    }

    /// The same at its end.
    pub(super) fn finish(self, n: usize) -> Result<Seen> {
        let finished = self.0.finish(READING)?;
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        ensure!(finished.status.success(), "{}: {text}{}", finished.status, finished.stderr);
        parse(&text, n)?.with_context(|| format!("no line {n}: {text}{}", finished.stderr))
    }
}

impl Seen {
    fn get(&self, name: &str) -> Result<&Value> {
        self.0.get(name).with_context(|| format!("no {name} in {self}"))
    }

    pub(super) fn of(&self, name: &str) -> Self {
        Self(self.0.get(name).cloned().unwrap_or_default())
    }

    pub(super) fn text(&self, name: &str) -> Result<&str> {
        self.get(name)?.as_str().with_context(|| format!("{name} is no text in {self}"))
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<&str>> {
        let list = self.get(name)?.as_array().with_context(|| format!("{name} is no list in {self}"))?;
        Ok(list.iter().filter_map(Value::as_str).collect())
    }

    /// A number in the query of an address.
    pub(super) fn parameter(&self, search: &str, name: &str) -> Result<u64> {
        let all = self.text(search)?.trim_start_matches('?');
        let value = all.split('&').find_map(|it| it.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|it| it.parse().ok()).with_context(|| format!("no number {name} in {all}"))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}
