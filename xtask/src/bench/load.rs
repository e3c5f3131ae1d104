//! wrk against a server on loopback, for a time that it is told.

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::child::{ends_with_us, on_cpu};
use crate::{process::Running, shell::find_program};

/// What wrk saw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Served {
    pub(crate) n_requests: u64,
    pub(crate) per_s: f64,
}

/// Load that ends by itself.
pub(crate) struct Load {
    running: Running,
    out: tempfile::NamedTempFile,
    run_time: Duration,
}

impl Load {
    /// On any CPU, or kept to one.
    pub(crate) fn start(url: &str, run_time: Duration, cpu: Option<u32>) -> Result<Self> {
        let wrk = find_program("wrk").context("no wrk: install Debian's wrk")?;
        let out = tempfile::NamedTempFile::new().context("cannot create a file for the output of wrk")?;
        let stdout = out.reopen().context("cannot open the output of wrk")?;
        let mut command = Command::new(wrk);
        command
            .args(["-t", "1", "-c", "8", "-H", "Accept-Encoding: gzip", "-d"])
            .arg(format!("{}s", run_time.as_secs().max(1)))
            .arg(url);
        if let Some(cpu) = cpu {
            command = on_cpu(cpu, &command);
        }
        command.stdin(Stdio::null()).stdout(stdout);
        ends_with_us(&mut command, libc::SIGTERM);
        Ok(Self { running: Running::start("wrk", &mut command)?, out, run_time })
    }

    /// Whether it is over.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }

    /// Waits for the end and returns the requests per second that wrk saw.
    pub(crate) fn requests_per_s(self) -> Result<f64> {
        Ok(self.served()?.per_s)
    }

    /// The same, and how many there were: it runs a little longer than it was told.
    pub(crate) fn served(mut self) -> Result<Served> {
        let status = self.running.wait(self.run_time + Duration::from_secs(10))?;
        let text = fs::read_to_string(self.out.path()).context("cannot read the output of wrk")?;
        if !status.success() {
            bail!("wrk failed ({status}): {}", text.trim());
        }
        parse_wrk(&text).with_context(|| format!("wrk printed no rate, or saw errors: {}", text.trim()))
    }
}

/// A run in which requests failed measures something else.
fn parse_wrk(text: &str) -> Option<Served> {
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return None;
    }
    let n_requests = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
    let per_s = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    Some(Served { n_requests, per_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_and_the_number_are_read_and_a_run_with_errors_has_none() {
        let good =
            "Running 2s test\n  4 requests in 2.00s, 1MB read\nRequests/sec:  34567.89\nTransfer/sec: 1MB\n";
        assert_eq!(parse_wrk(good), Some(Served { n_requests: 4, per_s: 34567.89 }));
        assert_eq!(parse_wrk(&format!("{good}  Non-2xx or 3xx responses: 3\n")), None);
        assert_eq!(parse_wrk("unable to connect"), None);
    }
}
