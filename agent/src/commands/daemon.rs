//! `agent daemon`: what the configuration says, all the time.

use std::{
    fs::DirBuilder,
    io::{self, IsTerminal as _, Write},
    os::unix::fs::DirBuilderExt as _,
};

use anyhow::{Context as _, anyhow, bail};
use tracing::info;

use super::record::missing_requirement;
use crate::{
    args::DaemonArgs,
    config::{self, Checked, Config, Problem},
    daemon::{allocator, service},
    kernel,
    privileges::{self, Limits},
};

/// Runs the command; gives the exit code.
///
/// # Errors
/// If the daemon cannot start.
pub fn run(out: &mut impl Write, args: &DaemonArgs) -> anyhow::Result<u8> {
    if args.check {
        return check(out, args).context("cannot write");
    }
    allocator::keep_small();
    log_to_stderr();
    let config = service::load(&args.config).map_err(|problems| anyhow!("{problems}"))?;
    if let Some(missing) = missing_requirement() {
        bail!("{missing}");
    }
    // While there is one thread, and everything that takes more rights is done.
    kernel::keep_statistics();
    let writable = service::written_dirs(&config);
    for dir in &writable {
        // What is measured is nobody else's to read.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let report = privileges::limit(&Limits { writable })?;
    info!("{report}");
    service::run(&args.config, config)
}

/// Lines for people and for a journal, which has its own time.
fn log_to_stderr() {
    let format = tracing_subscriber::fmt().with_writer(io::stderr).with_target(false);
    let format = format.with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => format.without_time().init(),
        None => format.init(),
    }
}

/// Tells what is wrong with a configuration, or what it would do.
fn check(out: &mut impl Write, args: &DaemonArgs) -> io::Result<u8> {
    let config = match Config::load(&args.config) {
        Ok(config) => config,
        Err(problems) => {
            tell(out, "error", &problems)?;
            return refused(out, problems.len());
        }
    };
    let Checked { problems, warnings } = config::check(&config);
    tell(out, "warning", &config.warnings)?;
    tell(out, "warning", &warnings)?;
    tell(out, "error", &problems)?;
    if !problems.is_empty() {
        return refused(out, problems.len());
    }
    out.write_all(config::summary(&config).as_bytes())?;
    Ok(0)
}

fn tell(out: &mut impl Write, what: &str, problems: &[Problem]) -> io::Result<()> {
    problems.iter().try_for_each(|problem| writeln!(out, "{what}: {problem}"))
}

fn refused(out: &mut impl Write, n_problems: usize) -> io::Result<u8> {
    let s = if n_problems == 1 { "" } else { "s" };
    writeln!(out, "{n_problems} problem{s}: the daemon would not start")?;
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::args::DaemonArgs;

    fn checked(text: &str) -> (u8, String) {
        let dir = tempfile::tempdir().expect("temporary directory");
        let config = dir.path().join("agent.toml");
        std::fs::write(&config, text.replace("DIR", &dir.path().display().to_string())).expect("writes");
        let mut out = Vec::new();
        let code = run(&mut out, &DaemonArgs { config, check: true }).expect("writes");
        (code, String::from_utf8(out).expect("text"))
    }

    const HERE: &str =
        "control_socket = 'DIR/run/control.sock'\ntable_cache = 'DIR/cache'\nspool.dir = 'DIR/spool'\n";

    #[test]
    fn a_configuration_that_is_right_is_told_in_short_and_one_that_is_not_line_by_line() {
        let right = "all = true\n[sink.local]\nkind = 'directory'\ndir = 'DIR/profiles'\n";
        let (code, said) = checked(&format!("{HERE}{right}"));
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("1 sink: local (directory "), "{said}");
        let (code, said) = checked("al = true\nwindow = '1d'\n");
        assert_eq!(code, 1, "{said}");
        let n_errors = said.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(n_errors, 4, "{said}");
        assert!(said.ends_with("4 problems: the daemon would not start\n"), "{said}");
    }

    #[test]
    fn what_only_the_host_can_tell_is_told_with_its_line() {
        let text = "all = true\n[sink.central]\nkind = 'otlp-http'\naddress = 'https://otlp.example'\n\
            ca_file = 'DIR/ca.pem'\ntoken_file = 'DIR/token'\n";
        let (code, said) = checked(&format!("{HERE}{text}"));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("agent.toml:8:11: ") && said.contains("/ca.pem"), "{said}");
        assert!(said.contains("agent.toml:9:14: ") && said.contains("/token"), "{said}");
    }
}
