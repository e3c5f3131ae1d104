//! Load on a server, while its guard is held.

use std::{io::Write as _, process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use tempfile::NamedTempFile;

use super::Server;
use crate::{paths, process::Running};

/// More than any recording; the guard ends it before.
const AT_MOST_S: u32 = 300;

/// It says what it did before it ends.
const GRACE: Duration = Duration::from_secs(10);

/// wrk with a few connections.
pub struct Load {
    running: Running,
    _script: Option<NamedTempFile>,
}

/// What became of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Answered, whatever with.
    pub n_requests: u64,
    /// Of them, those with an error status; and connections that broke or timed out.
    pub n_failed: u64,
}

impl Load {
    /// Starts it.
    ///
    /// # Errors
    /// If wrk is missing.
    pub fn start(server: &Server) -> Result<Self> {
        let mut command = Command::new(paths::find("wrk", "wrk")?);
        command.args(["-t", "1", "-c", "8", "-d"]).arg(format!("{AT_MOST_S}s")).arg(server.url());
        Ok(Self { running: Running::start(&mut command)?, _script: None })
    }

    /// The same for another page.
    ///
    /// # Errors
    /// If wrk is missing.
    pub fn of_page(server: &Server, page: &str) -> Result<Self> {
        let mut command = Command::new(paths::find("wrk", "wrk")?);
        command.args(["-t", "1", "-c", "8", "-d"]).arg(format!("{AT_MOST_S}s"));
        command.args(["-H", "Accept-Encoding: gzip"]).arg(format!("{}{page}", server.url()));
        Ok(Self { running: Running::start(&mut command)?, _script: None })
    }

    /// The same for so long, with each connection at rest for so long before each request: a server that is not busy.
    ///
    /// # Errors
    /// If wrk is missing.
    pub fn with_rests(server: &Server, rest: Duration, run_time: Duration) -> Result<Self> {
        let mut script = NamedTempFile::new().context("cannot create a script for wrk")?;
        write!(script, "function delay() return {} end", rest.as_millis()).context("cannot write it")?;
        let mut command = Command::new(paths::find("wrk", "wrk")?);
        command.args(["-t", "1", "-c", "8", "-d"]).arg(format!("{}s", run_time.as_secs()));
        command.args(["-H", "Accept-Encoding: gzip"]).arg("-s").arg(script.path()).arg(server.url());
        Ok(Self { running: Running::start(&mut command)?, _script: Some(script) })
    }

    /// Whether it still runs: a load that gave up explains a profile with nothing in it.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.running.has_ended()
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it does not say what it did.
    pub fn end(self) -> Result<Answers> {
        self.running.signal(libc::SIGINT)?;
        let finished = self.running.finish(GRACE)?;
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        answers(&text).with_context(|| format!("wrk said: {text}{}", finished.stderr))
    }
}

fn answers(text: &str) -> Result<Answers> {
    let line = |has: &str| text.lines().map(str::trim).find(|line| line.contains(has));
    let numbers = |line: &str| -> u64 {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse::<u64>().ok()).sum()
    };
    let requests = line(" requests in ").context("no number of requests")?;
    let n_requests = requests.split(' ').next().unwrap_or_default().parse().context("no number")?;
    ensure!(n_requests > 0, "no request was answered");
    // `Socket errors: connect 0, read 0, write 0, timeout 0`, `Non-2xx or 3xx responses: 5`; neither without any.
    let sockets = line("Socket errors:").map_or(0, numbers);
    let statuses =
        line("Non-2xx or 3xx responses:").and_then(|line| line.rsplit(' ').next()).map_or(0, numbers);
    Ok(Answers { n_requests, n_failed: sockets + statuses })
}

#[cfg(test)]
mod tests {
    use super::{Answers, answers};

    #[test]
    fn what_failed_is_what_wrk_says() {
        let text = "  2 threads\n  120 requests in 1.00s, 2.00MB read\n  Socket errors: connect 0, read 2, write 0, \
                    timeout 1\n  Non-2xx or 3xx responses: 5\nRequests/sec:    120.00\n";
        assert_eq!(answers(text).expect("read"), Answers { n_requests: 120, n_failed: 8 });
        let text = "  7 requests in 1.00s, 2.00MB read\n";
        assert_eq!(answers(text).expect("read"), Answers { n_requests: 7, n_failed: 0 });
        assert!(answers("  0 requests in 1.00s, 0.00B read\n").is_err());
    }
}
