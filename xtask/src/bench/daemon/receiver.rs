//! `tests/receivers/count.py`: takes what is sent over gRPC, and says at the end how much it was.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    bench::child::{self, ends_with_us},
    fetch,
    process::Running,
    shell::{Workspace, find_program},
};

/// A loopback address that no service listens on by default.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// It reads what it has got only then.
const END_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// Ends when dropped.
pub(super) struct Receiver {
    running: Running,
    address: SocketAddr,
    stdout: tempfile::NamedTempFile,
    stderr: tempfile::NamedTempFile,
}

/// Of one kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) n_requests: u64,
    /// As they came, with all headers.
    pub(super) wire_bytes: u64,
    /// Uncompressed.
    pub(super) message_bytes: u64,
    pub(super) n_samples: u64,
}

/// All that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Received {
    /// Profiles of CPU time.
    pub(super) cpu: Part,
    /// All other profiles.
    pub(super) others: Part,
    pub(super) metrics: Part,
    /// None if nobody said.
    pub(super) n_lost: Option<u64>,
}

impl Received {
    /// Profiles and metrics.
    pub(super) fn wire_bytes(&self) -> u64 {
        [self.cpu, self.others, self.metrics].iter().fold(0, |sum, part| sum.saturating_add(part.wire_bytes))
    }
}

impl Receiver {
    pub(super) fn start(workspace: &Workspace) -> Result<Self> {
        let part = fetch::otlp::find(workspace)?;
        let packages = part.parent().and_then(|dir| dir.parent()).context("a package without a directory")?;
        let python = find_program("python3").context("no python3 for a receiver")?;
        // Free again at once, and nobody else is here to take it.
        let address = TcpListener::bind((HOST, 0)).and_then(|it| it.local_addr()).context("no free port")?;
        let file = || tempfile::NamedTempFile::new().context("cannot create a file for a receiver's output");
        let (stdout, stderr) = (file()?, file()?);
        let mut command = Command::new(python);
        command.env("PYTHONPATH", packages).arg(workspace.root.join("tests/receivers/count.py"));
        command.arg(address.to_string()).stdin(Stdio::null());
        command.stdout(stdout.reopen().context("cannot open a receiver's output")?);
        command.stderr(stderr.reopen().context("cannot open a receiver's output")?);
        ends_with_us(&mut command, libc::SIGKILL);
        let running = Running::start("the receiver", &mut command)?;
        let mut it = Self { running, address, stdout, stderr };
        let start = Instant::now();
        while !it.messages().contains("ready") {
            if it.running.has_ended() || start.elapsed() > START_TIMEOUT {
                bail!("the receiver does not listen on {address}: {}", it.messages());
            }
            thread::sleep(POLL);
        }
        Ok(it)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has got.
    pub(super) fn finish(mut self) -> Result<Received> {
        child::signal(self.running.pid(), libc::SIGTERM)?;
        let status = self.running.wait(END_TIMEOUT)?;
        if !status.success() {
            bail!("the receiver failed ({status}): {}", self.messages());
        }
        let text = fs::read_to_string(self.stdout.path()).context("cannot read what the receiver printed")?;
        parse(&text).with_context(|| format!("the receiver printed `{}`", text.trim()))
    }

    fn messages(&self) -> String {
        fs::read_to_string(self.stderr.path()).unwrap_or_default()
    }
}

fn parse(text: &str) -> Result<Received> {
    let value: Value = serde_json::from_str(text).context("no JSON")?;
    let number = |pointer: &str| {
        value.pointer(pointer).and_then(Value::as_u64).with_context(|| format!("no number at `{pointer}`"))
    };
    let part = |name: &str| -> Result<Part> {
        Ok(Part {
            n_requests: number(&format!("/{name}/requests"))?,
            wire_bytes: number(&format!("/{name}/wire_bytes"))?,
            message_bytes: number(&format!("/{name}/message_bytes"))?,
            n_samples: number(&format!("/{name}/samples"))?,
        })
    };
    Ok(Received {
        cpu: part("cpu")?,
        others: part("others")?,
        metrics: part("metrics")?,
        n_lost: number("/values/brazier.lost.samples").ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_read_and_what_nobody_said_is_none() {
        let text = r#"{"cpu":{"requests":3,"wire_bytes":100,"message_bytes":300,"samples":9},
            "others":{"requests":0,"wire_bytes":0,"message_bytes":0,"samples":0},
            "metrics":{"requests":1,"wire_bytes":20,"message_bytes":30,"samples":0},
            "values":{"brazier.lost.samples":2}}"#;
        let received = parse(text).unwrap();
        assert_eq!((received.wire_bytes(), received.n_lost), (120, Some(2)));
        let cpu = Part { n_requests: 3, wire_bytes: 100, message_bytes: 300, n_samples: 9 };
        assert_eq!(received.cpu, cpu, "{received:?}");
        assert_eq!(parse(&text.replace("brazier.lost.samples", "x")).unwrap().n_lost, None);
        assert_eq!(parse("{}").unwrap_err().to_string(), "no number at `/cpu/requests`");
    }
}
