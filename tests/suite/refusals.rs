//! Wrong input: one line that says what and why, a status that is not 0, and nothing left behind.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::Result;
use tests::{
    agent::{self, Recorder},
    bpf::Objects,
    paths,
    process::{Finished, Running},
};

use crate::support::{args, pid_args, target, unprivileged_agent};

/// What is wrong with a refusal: the message is the agent's one line, or, with status 2, what the argument parser
/// says, and names these things.
fn complaints(finished: &Finished, parts: &[&str]) -> Vec<String> {
    let message = &finished.stderr;
    let mut complaints = match finished.status.code() {
        Some(1) if !message.starts_with("agent: ") => vec!["does not say whose message it is".to_owned()],
        Some(1) if message.lines().count() != 1 => vec!["more than one line".to_owned()],
        Some(2) if !message.starts_with("error: ") => vec!["no message of the argument parser".to_owned()],
        Some(1 | 2) => Vec::new(),
        _ => vec!["was not refused".to_owned()],
    };
    complaints
        .extend(parts.iter().filter(|part| !message.contains(*part)).map(|part| format!("no {part:?}")));
    if message.contains(".brazier-") {
        complaints.push("names a file that nobody asked for".to_owned());
    }
    if !finished.stdout.is_empty() {
        complaints.push("prints to standard output".to_owned());
    }
    complaints
}

fn check(what: &str, finished: &Finished, parts: &[&str]) {
    let complaints = complaints(finished, parts);
    assert!(complaints.is_empty(), "{what}: {complaints:?}: {finished:?}");
}

fn check_nothing_left(what: &str, dir: &Path, before: &Objects) -> Result<()> {
    assert_eq!(agent::list(dir)?, Vec::<PathBuf>::new(), "{what}: left in its directory");
    before.nothing_left_since()
}

/// An ID beyond the largest that the kernel gives.
fn unused_pid() -> Result<String> {
    let limit: u32 = fs::read_to_string("/proc/sys/kernel/pid_max")?.trim().parse()?;
    Ok((limit + 1).to_string())
}

/// In a mount namespace of its own, so that this host keeps what it has.
#[test]
fn a_host_without_tracefs_gets_it_mounted() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let target = target("threads")?;
    let script =
        "umount /sys/kernel/tracing; umount /sys/kernel/debug/tracing; ls /sys/kernel/tracing; exec \"$@\"";
    let mut command = Command::new(paths::find("unshare", "util-linux")?);
    command.current_dir(dir.path()).args(["--mount", "sh", "-c", script, "sh"]).arg(paths::agent()?).args([
        "record",
        "--duration",
        "300ms",
        "--output",
        "x.folded",
        "--pid",
        &target.pid().to_string(),
    ]);
    let finished = Running::start(&mut command)?.finish(tests::wait::PATIENCE)?;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(
        !String::from_utf8_lossy(&finished.stdout).contains("events"),
        "it was mounted before: {finished:?}"
    );
    assert!(fs::metadata(dir.path().join("x.folded"))?.len() > 0, "{finished:?}");
    Ok(())
}

#[test]
fn wrong_arguments_are_refused_in_one_line_that_names_them_and_leave_nothing() -> Result<()> {
    let hot = target("hot321")?;
    let pid = hot.pid().to_string();
    let no_pid = unused_pid()?;
    let limit: u64 = fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate")?.trim().parse()?;
    let above = (limit + 1).to_string();
    let before = Objects::all()?;
    let cases: &[(&[&str], &[&str])] = &[
        (&["--pid", &no_pid, "-o", "x.svg"], &[&no_pid]),
        (&["--pid", "nginx", "-o", "x.svg"], &["nginx", "--pid"]),
        (&["--pid", &pid, "-o", "missing/x.svg"], &["missing/x.svg", "No such file or directory"]),
        (&["--pid", &pid, "-o", "/proc/self/status/x.svg"], &["/proc/self/status/x.svg", "Not a directory"]),
        (&["--pid", &pid, "-o", ".", "--format", "svg"], &["directory"]),
        (&["--pid", &pid, "-o", "x.svg", "--format", "wav"], &["wav", "--format", "folded"]),
        (&["--pid", &pid, "-o", "x.wav"], &["x.wav", ".svg", "--format"]),
        (&["--pid", &pid, "-o", "x.svg", "--event", "weather"], &["weather", "--event", "cpu"]),
        (&["--pid", &pid, "-o", "x.svg", "--frequency", "0"], &["--frequency", "0"]),
        (&["--pid", &pid, "-o", "x.svg", "--frequency", "-5"], &["--frequency", "-5"]),
        (
            &["--pid", &pid, "-o", "x.svg", "-F", &above],
            &["--frequency", &above, "perf_event_max_sample_rate"],
        ),
        (&["--pid", &pid, "-o", "x.svg", "--duration", "0"], &["--duration", "0"]),
        (&["--pid", &pid, "-o", "x.svg", "--duration", "-1s"], &["--duration", "-1s"]),
        (&["--cgroup", "/proc", "-o", "x.svg"], &["/proc", "control group"]),
        (&["--cgroup", "/no/such/group", "-o", "x.svg"], &["/no/such/group"]),
        (
            &["--comm", "a-name-that-no-process-can-have", "-o", "x.svg"],
            &["a-name-that-no-process-can-have", "15"],
        ),
        (&["-o", "x.svg"], &["--pid", "--comm", "--cgroup", "--all"]),
    ];
    let mut wrong = Vec::new();
    for (options, parts) in cases {
        let dir = tempfile::tempdir()?;
        let what = options.join(" ");
        let finished = agent::run(dir.path(), args(&[&["record"], *options].concat()))?;
        let complaints = complaints(&finished, parts);
        if !complaints.is_empty() {
            wrong.push(format!("{what}: {complaints:?}: {}", finished.stderr));
        }
        check_nothing_left(&what, dir.path(), &before)?;
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.concat());
    Ok(())
}

#[test]
fn a_place_that_cannot_be_written_to_is_refused_before_anything_is_recorded() -> Result<()> {
    let hot = target("hot321")?;
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(paths::find("unshare", "util-linux")?);
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg("mount -t tmpfs -o ro tmpfs \"$0\" && cd \"$0\" && exec \"$@\"").arg(dir.path());
    command.arg(paths::agent()?).arg("record").args(pid_args(hot.pid(), &["-o", "x.svg", "-d", "60s"]));
    let before = Objects::all()?;
    let finished = Running::start(&mut command)?.finish(tests::wait::PATIENCE)?;
    check("a read-only directory", &finished, &["x.svg", "Read-only file system"]);
    check_nothing_left("a read-only directory", dir.path(), &before)
}

#[test]
fn without_privileges_the_message_says_what_is_missing_and_how_to_get_it() -> Result<()> {
    let hot = target("hot321")?;
    let dir = tempfile::tempdir()?;
    let mut command = unprivileged_agent(dir.path())?;
    command.arg("record");
    command.args(pid_args(hot.pid(), &["-o", "/dev/null", "--format", "folded", "-d", "60s"]));
    let before = Objects::all()?;
    let finished = Running::start(&mut command)?.finish(tests::wait::PATIENCE)?;
    check("another user than root", &finished, &["CAP_BPF", "CAP_PERFMON", "setcap", "root"]);
    before.nothing_left_since()
}

#[test]
fn a_target_that_exits_ends_the_recording_with_a_profile_that_says_so() -> Result<()> {
    let before = Objects::all()?;
    let hot = target("hot321")?;
    let recorder = Recorder::start(pid_args(hot.pid(), &["--frequency", "199", "--duration", "20s"]))?;
    recorder.wait_until_sampling()?;
    std::thread::sleep(Duration::from_secs(1));
    drop(hot);
    let recording = recorder.finish()?;
    assert_eq!(recording.status.code(), Some(0), "{recording}");
    assert!(recording.report.samples > 20, "{recording}");
    assert!(recording.report.duration_ns < 5_000_000_000, "it waited on\n{recording}");
    assert!(recording.report.comments.iter().any(|it| it.contains("every target had ended")), "{recording}");
    assert!(recording.folded.count(|stack| stack.has("spin_a")) > 5, "{recording}");
    before.nothing_left_since()
}
