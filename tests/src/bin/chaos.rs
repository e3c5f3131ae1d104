//! `cargo xtask chaos` after it has built the agent: runs it, and prints what came of it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tests::chaos::{self, Settings, audit::Audit};

fn main() -> Result<ExitCode> {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().context("no number"));
    let (Some(minutes), Some(seed)) = (args.next().transpose()?, args.next().transpose()?) else {
        bail!("usage: chaos MINUTES SEED");
    };
    let settings = Settings {
        duration: Duration::from_secs(60 * minutes),
        seed,
        longest_fault: Duration::from_secs(12),
        window: "2s".to_owned(),
    };
    let say = |line: &str| {
        // Whoever does not listen misses nothing that the exit status does not say.
        let _ = writeln!(io::stdout(), "{line}");
    };
    let audit = chaos::run(&settings, say)?;
    let Some(audit) = audit else {
        bail!("no packages for a receiver of OTLP: `cargo xtask chaos` fetches them")
    };
    print(&audit)?;
    Ok(if audit.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(audit: &Audit) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n| | |\n|---|--:|")?;
    for (name, value) in &audit.figures {
        writeln!(out, "| {name} | {value} |")?;
    }
    writeln!(out)?;
    for violation in &audit.violations {
        writeln!(out, "VIOLATION: {violation}")?;
    }
    writeln!(out, "{} violations", audit.violations.len())
}
