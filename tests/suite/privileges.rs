//! A process that gave up what the daemon gives up: what the kernel says that it has left, and that this is enough.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{
    agent::{self, Recorder, Recording},
    daemon::DaemonConfig,
    own_daemon::OwnDaemon,
    paths,
    process::Running,
    wait,
};

use crate::support::{pid_args, target};

/// `CAP_DAC_READ_SEARCH`, `CAP_SYS_PTRACE`, `CAP_SYSLOG`, `CAP_PERFMON`, `CAP_BPF`, `CAP_CHECKPOINT_RESTORE`.
const KEPT: u64 = 1 << 2 | 1 << 19 | 1 << 34 | 1 << 38 | 1 << 39 | 1 << 40;

/// Somebody who owns nothing on this host.
const OTHER_USER: &str = "54321";

fn limited() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_limited"))
}

fn field(status: &str, name: &str) -> Result<u64> {
    let text = status.lines().find_map(|line| line.strip_prefix(name)).context("a line is missing")?;
    u64::from_str_radix(text.trim(), 16).context("no number")
}

#[test]
fn six_capabilities_are_left_in_every_thread_of_the_daemon_and_no_exec_gives_one_back() -> Result<()> {
    let _hot = target("hot321")?;
    let daemon = OwnDaemon::start(format!("[[target]]\nexe = {:?}", paths::program("hot321")?))?;
    daemon.until("something was delivered", |it| {
        Ok(it.delivered()?.iter().any(|it| it.functions.contains("spin_a")).then_some(()))
    })?;
    let tasks = format!("/proc/{}/task", daemon.pid());
    let mut threads = Vec::new();
    for task in fs::read_dir(&tasks)? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let names = ["CapPrm:", "CapEff:", "CapBnd:", "CapInh:", "CapAmb:", "NoNewPrivs:", "Seccomp:"];
        let seen = names.map(|name| field(&status, name).ok());
        assert_eq!(seen, [KEPT, KEPT, KEPT, 0, 0, 1, 2].map(Some), "{names:?} of {status}");
        threads.push(status.lines().next().unwrap_or_default().to_owned());
    }
    // The main one, and those that build tables, name, ship, look at memory, and serve.
    assert!(threads.len() >= 6, "{threads:?}");
    daemon.until("it tells its cost", |it| {
        let cost = it.daemon().metrics()?.sum("brazier_kernel_time_per_sample_seconds", &[]);
        Ok(cost.filter(|seconds| *seconds > 0.0))
    })?;
    let ended = daemon.finish()?;
    let said = &ended.finished.stderr;
    assert!(said.contains("keeps CAP_BPF") && said.contains("writes to its own directories alone"), "{said}");
    Ok(())
}

/// A program that only its user may read, on a file system that is mounted nowhere but in its own mount namespace, which is
/// its whole root directory.
fn in_a_box() -> Result<Running> {
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    let program = dir.path().join("everything");
    paths::compile("suite/everything.c", &["-O1", "-static"], &program)?;
    let script = "mount -t tmpfs tmpfs \"$2\" && cp \"$1\" \"$2/everything\" && chown $3:$3 \"$2\" \"$2/everything\" && \
                  chmod 700 \"$2\" \"$2/everything\" && exec chroot --userspec=$3:$3 \"$2\" /everything";
    let mount_point = dir.path().join("root");
    fs::create_dir(&mount_point)?;
    let mut command = Command::new(paths::find("unshare", "util-linux")?);
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    let running = Running::start(command.args([&program, &mount_point]).arg(OTHER_USER))?;
    let own_name = format!("/proc/{}/comm", running.pid());
    wait::until("the program runs in its box", wait::PATIENCE, || {
        ensure!(!running.has_ended(), "it ended: {}", running.stderr()?);
        Ok(fs::read_to_string(&own_name)?.starts_with("everything").then_some(()))
    })?;
    Ok(running)
}

fn check(event: &str, name: &str, recording: &Recording) {
    let n = recording.folded.count(|stack| stack.has(name));
    let whole = recording.folded.share(|stack| stack.has(name), |stack| stack.has("main"));
    assert!(n > 20 && whole > 0.98, "{event}: {whole:.3} of {n} lead to main\n{recording}");
    assert_eq!(recording.report.lost, 0, "{event}: {recording}");
}

#[test]
fn programs_of_another_user_in_another_root_are_recorded_whole_by_each_event() -> Result<()> {
    let boxed = in_a_box()?;
    for (event, name) in [("cpu", "burns"), ("faults", "touches"), ("alloc", "allocates")] {
        let options = ["--event", event, "--duration", "2s", "--frequency", "199"];
        let recording = Recorder::start_limited(limited(), pid_args(boxed.pid(), &options))?.finish()?;
        check(event, name, &recording);
    }
    Ok(())
}

/// As its systemd unit starts it.
#[test]
fn another_user_than_root_with_six_capabilities_records_the_same() -> Result<()> {
    let boxed = in_a_box()?;
    let names = ["dac_read_search", "sys_ptrace", "syslog", "perfmon", "bpf", "checkpoint_restore"];
    let list = names.map(|name| format!(",+{name}")).concat();
    let dir = tempfile::tempdir()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777))?;
    // The build directory may be closed to others.
    let program = dir.path().join("limited");
    fs::copy(limited(), &program)?;
    for (event, name) in [("cpu", "burns"), ("faults", "touches"), ("alloc", "allocates")] {
        let output = dir.path().join(format!("{event}.folded"));
        let mut command = Command::new(paths::find("setpriv", "util-linux")?);
        command.args(["--reuid", "54322", "--regid", "54322", "--clear-groups"]);
        command
            .args(["--bounding-set", "--inh-caps", "--ambient-caps"].map(|set| format!("{set}=-all{list}")));
        command.current_dir(dir.path()).arg(&program).arg(dir.path()).args([
            "record",
            "--no-table-cache",
            "--output",
        ]);
        command
            .arg(&output)
            .args(pid_args(boxed.pid(), &["--event", event, "--duration", "2s", "-F", "199"]));
        let finished = Running::start(&mut command)?.finish(Duration::from_secs(30))?;
        assert!(finished.status.success(), "{event}: {finished:?}");
        let folded = tests::folded::Folded::parse(&fs::read_to_string(&output)?)?;
        let n = folded.count(|stack| stack.has(name));
        let whole = folded.share(|stack| stack.has(name), |stack| stack.has("main"));
        assert!(n > 20 && whole > 0.98, "{event}: {whole:.3} of {n} lead to main\n{folded}");
    }
    Ok(())
}

/// What is not `ok` among the checks of the group.
fn not_ok(checks: &[Value]) -> Vec<&Value> {
    checks.iter().filter(|check| check["group"] == "daemon" && check["outcome"] != "ok").collect()
}

#[test]
fn the_doctor_tries_what_must_work_and_what_must_not_and_leaves_nothing() -> Result<()> {
    let _other = in_a_box()?;
    let dir = tempfile::tempdir()?;
    let own: PathBuf = dir.path().join("own");
    fs::create_dir(&own)?;
    let finished = agent::run(
        dir.path(),
        ["doctor", "--daemon", "--format", "json", "--writable", own.to_str().context("a path")?],
    )?;
    let checks: Vec<Value> =
        serde_json::from_slice(&finished.stdout).with_context(|| format!("{finished:?}"))?;
    let n_checks = checks.iter().filter(|check| check["group"] == "daemon").count();
    assert_eq!((finished.status.code(), n_checks), (Some(0), 8), "{checks:#?}");
    assert!(not_ok(&checks).is_empty(), "{:#?}", not_ok(&checks));
    assert_eq!(agent::list(&own)?, Vec::<PathBuf>::new());
    assert_eq!(agent::list(dir.path())?, [PathBuf::from("own")]);
    Ok(())
}

/// Names and outcomes of the checks on directories of the daemon's own.
fn own_directories(checks: &[Value]) -> Vec<&str> {
    let of = checks.iter().filter(|check| check["name"] == "own directory" && check["outcome"] == "ok");
    of.filter_map(|check| check["found"].as_str()).collect()
}

#[test]
fn the_doctor_tries_the_directories_of_a_configuration_that_are_there() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let config = DaemonConfig::in_dir(dir.path())?;
    let config = DaemonConfig { targets: "[[target]]\nexe = \"/usr/sbin/nginx\"".to_owned(), ..config };
    let file = config.write()?;
    fs::create_dir(config.files_dir())?;
    let args = ["doctor", "--daemon", "--format", "json", "--config", file.to_str().context("a path")?];
    let finished = agent::run(dir.path(), args)?;
    let checks: Vec<Value> =
        serde_json::from_slice(&finished.stdout).with_context(|| format!("{finished:?}"))?;
    let files = config.files_dir().display().to_string();
    let found = own_directories(&checks);
    assert!(found.len() == 1 && found[0].starts_with(&files), "{checks:#?}");
    assert_eq!(agent::list(&config.files_dir())?, Vec::<PathBuf>::new());

    fs::write(&file, "windw = 1\n")?;
    let finished = agent::run(dir.path(), args)?;
    assert!(finished.status.code() == Some(1) && finished.stderr.contains("`windw`"), "{finished:?}");
    Ok(())
}

#[test]
fn a_directory_that_is_not_there_is_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let finished = agent::run(dir.path(), ["doctor", "--daemon", "--writable", "/no/such/directory"])?;
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert!(
        finished.stderr.starts_with("agent: ") && finished.stderr.contains("/no/such/directory"),
        "{finished:?}"
    );
    Ok(())
}
