//! Collector, daemon and nginx under load on one machine, and the collector's page over all of it.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    bench::{child::ends_with_us, nginx::Nginx},
    process::Running,
    shell::Workspace,
};

/// A loopback address that no collector listens on by default.
const HOST: &str = "127.0.0.2";
const GRPC_PORT: u16 = 14317;
const HTTP_PORT: u16 = 14318;
const WEB_PORT: u16 = 14040;
/// Until the first window is over, delivered, and in the store.
const FIRST_PROFILE_TIMEOUT: Duration = Duration::from_secs(90);
/// What the page shows: `{service="nginx"}` of the last minutes, again and again.
const VIEW: &str = "match=%7Bservice%3D%22nginx%22%7D&from=now-5m&live=1";
const POLL: Duration = Duration::from_millis(500);
/// wrk is told how long it is to run; this much longer than the rest.
const MARGIN: Duration = Duration::from_secs(5);

pub(super) fn run(workspace: &Workspace, run_time: Duration) -> Result<()> {
    let collector = workspace.release("collector")?;
    let agent = workspace.release("agent")?;
    let dir = workspace.target.join("demo");
    fresh(&dir)?;

    let mut command = Command::new(collector);
    command.arg("serve").arg("--data").arg(dir.join("collector"));
    for (option, port) in [("--grpc", GRPC_PORT), ("--http", HTTP_PORT), ("--web", WEB_PORT)] {
        command.arg(option).arg(format!("{HOST}:{port}"));
    }
    let mut collector = start("the collector", &mut command, &dir.join("collector.log"))?;

    let config = dir.join("agent.toml");
    fs::write(&config, daemon_config(&dir)).context("cannot write a configuration")?;
    let mut command = Command::new(agent);
    command.args(["daemon", "--config"]).arg(&config);
    let mut daemon = start("the daemon", &mut command, &dir.join("agent.log"))?;

    let nginx = Nginx::start()?;
    let mut load = nginx.load(run_time + FIRST_PROFILE_TIMEOUT + MARGIN)?;
    println!("waits for the first profile: windows are 10 s long");
    let begun = Instant::now();
    while !has_profiles() {
        for (running, log) in [(&mut collector, "collector.log"), (&mut daemon, "agent.log")] {
            if running.has_ended() {
                let said = fs::read_to_string(dir.join(log)).unwrap_or_default();
                bail!("it ended: {}", said.trim());
            }
        }
        if begun.elapsed() > FIRST_PROFILE_TIMEOUT {
            bail!("no profile after {} s; what was said is in {}", begun.elapsed().as_secs(), dir.display());
        }
        thread::sleep(POLL);
    }
    println!(
        "open http://{HOST}:{WEB_PORT}/?{VIEW} in a browser; Ctrl-C ends it, and so do {} minutes",
        run_time.as_secs() / 60
    );
    let begun = Instant::now();
    while begun.elapsed() < run_time {
        if collector.has_ended() || daemon.has_ended() || load.has_ended() {
            bail!("something has ended; what was said is in {}", dir.display());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// Everything that the daemon writes is below one directory.
fn daemon_config(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "all = true\nkill_switch = \"{dir}/off\"\ncontrol_socket = \"{dir}/run/control.sock\"\n\
         table_cache = \"{dir}/tables\"\nlisten = \"\"\n\
         [spool]\ndir = \"{dir}/spool\"\n\
         [sink.collector]\nkind = \"otlp-grpc\"\naddress = \"http://{HOST}:{GRPC_PORT}\"\nproxy = \"none\"\n"
    )
}

/// What an earlier demo left is gone.
fn fresh(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", dir.display()));
        }
        _ => {}
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))
}

fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Running> {
    let log = fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    ends_with_us(command, libc::SIGTERM);
    Running::start(name, command)
}

/// Whether the collector has profiles to show.
fn has_profiles() -> bool {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect((HOST, WEB_PORT))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET /api/v1/types?from=now-5m&until=now HTTP/1.0\r\nHost: {HOST}\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().is_ok_and(|answer| answer.contains("\"cpu\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_the_daemon_writes_is_below_one_directory() {
        let config = daemon_config(Path::new("/d"));
        for key in ["kill_switch", "control_socket", "table_cache", "dir"] {
            assert!(
                config.lines().any(|line| line.starts_with(&format!("{key} = \"/d/"))),
                "{key}: {config}"
            );
        }
    }
}
