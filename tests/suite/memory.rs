//! What `agent memory` says of programs that grow in a known way, and of those that end, fork or are not ours.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{
    agent,
    memory::{LimitedGroup, Watched, Watcher},
    paths,
    process::Running,
    wait,
};

use crate::support::{target, unprivileged_agent};

const MIB: f64 = 1_048_576.0;

fn grower(args: &[&str]) -> Result<Running> {
    Running::start(Command::new(paths::program("grower")?).args(args))
}

fn reasons(watched: &Watched) -> String {
    watched.at("/verdict/reasons").to_string()
}

#[test]
fn a_leak_is_told_from_a_cache_and_from_a_sawtooth() -> Result<()> {
    // All three at once: each takes its time.
    let programs = [["leak", "2048", "1"], ["cache", "4096", "5"], ["sawtooth", "2048", "3"]];
    let dir = tempfile::tempdir()?;
    let growers = programs.iter().map(|args| grower(args)).collect::<Result<Vec<_>>>()?;
    let watch = |grower: &Running| {
        Watcher::start(dir.path(), grower.pid(), &["--interval", "300ms", "--duration", "15s"])
    };
    let watchers = growers.iter().map(watch).collect::<Result<Vec<_>>>()?;
    let watched = watchers.into_iter().map(Watcher::finish).collect::<Result<Vec<_>>>()?;
    let [leak, cache, sawtooth] = watched.as_slice() else { anyhow::bail!("not three") };

    assert_eq!(leak.at("/verdict/kind"), "leak", "{:#}", leak.report);
    let rate = leak.number("/verdict/rate_bytes_per_second")?;
    assert!((rate / (2.0 * MIB) - 1.0).abs() < 0.05, "{rate} bytes/s, not 2 MiB/s\n{:#}", leak.report);
    let (low, high) = (
        leak.number("/verdict/fit/rate_low_bytes_per_second")?,
        leak.number("/verdict/fit/rate_high_bytes_per_second")?,
    );
    assert!(low <= rate && rate <= high && low > 1.8 * MIB && high < 2.2 * MIB, "{:#}", leak.report);
    assert!(reasons(leak).contains("still climbing"), "{}", reasons(leak));
    assert_eq!(leak.at("/tree/resident/trend/direction"), "increasing", "{:#}", leak.report);
    assert!(leak.number("/limit/time_to_limit_s")? > 0.0, "{:#}", leak.report);

    assert_eq!(cache.at("/verdict/kind"), "no_leak", "{:#}", cache.report);
    assert_eq!(cache.at("/verdict/pattern"), "plateau", "{:#}", cache.report);
    assert!(reasons(cache).contains("then stayed"), "{}", reasons(cache));
    assert_eq!(sawtooth.at("/verdict/kind"), "no_leak", "{:#}", sawtooth.report);
    assert_eq!(sawtooth.at("/verdict/pattern"), "sawtooth", "{:#}", sawtooth.report);
    assert!(sawtooth.number("/verdict/n_drops")? >= 3.0, "{:#}", sawtooth.report);
    Ok(())
}

/// Memory in kB that a process's status file says.
fn status_bytes(pid: u32, field: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    let kibibytes: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1024.0)
}

#[test]
fn the_fields_are_those_of_the_kernel_and_the_cost_is_told() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let idle = grower(&["cache", "65536", "0.2"])?;
    std::thread::sleep(Duration::from_secs(1));
    let watched = Watcher::start(dir.path(), idle.pid(), &["-i", "100ms", "-d", "2s"])?.finish()?;
    for (field, name) in
        [("resident", "VmRSS"), ("anonymous", "RssAnon"), ("file", "RssFile"), ("page_tables", "VmPTE")]
    {
        let (seen, kernel) =
            (watched.number(&format!("/tree/{field}/last_bytes"))?, status_bytes(idle.pid(), name)?);
        // The kernel's counters lag by some pages for each CPU.
        assert!((seen - kernel).abs() <= 0.05 * kernel + 300_000.0, "{field}: {seen}, not {kernel}");
    }
    let pss = watched.number("/tree/proportional/last_bytes")?;
    let rss = watched.number("/tree/resident/last_bytes")?;
    assert!(pss > 0.5 * rss && pss < rss, "PSS {pss} of RSS {rss}");
    assert!(watched.number("/n_readings")? >= 10.0, "{:#}", watched.report);
    assert!(watched.number("/overhead/n_smaps_rounds")? >= 1.0, "{:#}", watched.report);
    assert!(watched.number("/overhead/agent_cpu_percent")? > 0.0, "{:#}", watched.report);
    Ok(())
}

#[test]
fn two_snapshots_differ_by_what_grew_between_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let leak = grower(&["leak", "4096"])?;
    let watcher = Watcher::start(dir.path(), leak.pid(), &["-i", "200ms", "--snapshot", "before"])?;
    let is_there = |name: &str| dir.path().join(name).is_file().then_some(());
    wait::until("the first snapshot", wait::PATIENCE, || Ok(is_there("before.memory.json")))?;
    std::thread::sleep(Duration::from_secs(2));
    watcher.running().signal(libc::SIGUSR1)?;
    wait::until("the second snapshot", wait::PATIENCE, || Ok(is_there("before-1.memory.json")))?;
    watcher.running().signal(libc::SIGINT)?;
    let watched = watcher.finish()?;
    assert_eq!(watched.finished.status.code(), Some(0), "{:?}", watched.finished);
    assert_eq!(watched.at("/end"), "stopped", "{:#}", watched.report);

    let files = ["before.memory.json", "before-1.memory.json"];
    let compared = agent::run(dir.path(), ["memory", "compare", files[0], files[1], "--report", "json"])?;
    let json: Value = serde_json::from_slice(&compared.stdout).with_context(|| format!("{compared:?}"))?;
    let mapping = json.pointer("/mappings/0").context("no mapping")?;
    assert_eq!(mapping.pointer("/class"), Some(&"heap".into()), "{mapping:#}");
    for change in ["/mappings/0/resident/change_bytes", "/tree/anonymous/change_bytes"] {
        let bytes = json.pointer(change).and_then(Value::as_f64).with_context(|| format!("no {change}"))?;
        assert!((7.0 * MIB..14.0 * MIB).contains(&bytes), "{change}: {bytes}, not some 8 MiB");
    }
    let text = agent::run(dir.path(), ["memory", "compare", files[0], files[1]])?;
    assert!(String::from_utf8_lossy(&text.stdout).contains("heap (1)"), "{text:?}");
    Ok(())
}

#[test]
fn a_target_that_exits_ends_the_watch_with_a_report_that_says_so() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let leak = grower(&["leak", "1024"])?;
    let watcher = Watcher::start(dir.path(), leak.pid(), &["-i", "100ms", "-d", "20s"])?;
    wait::until("the first line", wait::PATIENCE, || {
        Ok((!watcher.running().stderr()?.is_empty()).then_some(()))
    })?;
    std::thread::sleep(Duration::from_secs(2));
    drop(leak);
    let watched = watcher.finish()?;
    assert_eq!(watched.finished.status.code(), Some(0), "{:?}", watched.finished);
    assert_eq!(watched.at("/end"), "targets_ended", "{:#}", watched.report);
    assert!(watched.at("/comments").to_string().contains("every process had ended"), "{:#}", watched.report);
    assert!(watched.number("/n_readings")? > 5.0, "{:#}", watched.report);
    assert!(watched.number("/duration_ns")? < 10e9, "it waited on: {:#}", watched.report);
    Ok(())
}

#[test]
fn workers_are_followed_through_a_reload() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let master = target("forker")?;
    let workers = |generation: u32| {
        wait::until("the master has forked two workers", wait::PATIENCE, || {
            let prefix = format!("worker {generation} ");
            let text = master.stdout()?;
            let pids: Vec<u32> =
                text.lines().filter_map(|line| line.strip_prefix(&prefix)?.parse().ok()).collect();
            Ok((pids.len() == 2).then_some(pids))
        })
    };
    let old = workers(1)?;
    let watcher = Watcher::start(dir.path(), master.pid(), &["-i", "100ms", "-d", "4s"])?;
    wait::until("the first line", wait::PATIENCE, || {
        Ok((!watcher.running().stderr()?.is_empty()).then_some(()))
    })?;
    std::thread::sleep(Duration::from_millis(700));
    master.signal(libc::SIGHUP)?;
    let new = workers(2)?;
    let alone = Watcher::start(dir.path(), master.pid(), &["-i", "100ms", "-d", "1s", "--no-children"])?;
    let watched = watcher.finish()?;
    for (pids, has_ended) in [(&old, true), (&new, false), (&vec![master.pid()], false)] {
        for pid in pids {
            let process = watched.process(*pid)?;
            assert_eq!(process.get("has_ended"), Some(&has_ended.into()), "{process:#}");
        }
    }
    let alone = alone.finish()?;
    let n_alone = alone.at("/processes").as_array().map(Vec::len);
    assert_eq!(n_alone, Some(1), "{:#}", alone.report);
    Ok(())
}

#[test]
fn the_limit_is_that_of_the_control_group() -> Result<()> {
    let limit_bytes = 96 << 20;
    let group = LimitedGroup::create("memory", limit_bytes)?;
    let dir = tempfile::tempdir()?;
    let program = paths::program("grower")?;
    let leak = Running::start(&mut group.command(&program, &["leak", "4096"])?)?;
    // The shell that enters the group becomes the program.
    wait::until("the program is in its group", wait::PATIENCE, || {
        Ok((fs::read_to_string(format!("/proc/{}/comm", leak.pid()))?.trim() == "grower").then_some(()))
    })?;
    let watched = Watcher::start(dir.path(), leak.pid(), &["-i", "200ms", "-d", "5s"])?.finish()?;
    drop(leak);
    assert_eq!(watched.at("/limit/limit_bytes"), limit_bytes, "{:#}", watched.report);
    assert_eq!(watched.at("/control_group/limit_bytes"), limit_bytes, "{:#}", watched.report);
    let source = watched.at("/limit/source").to_string();
    assert!(source.contains("-memory"), "{source}");
    // 16 to 24 MiB are there by then, and 4 MiB come in a second.
    let percent = watched.number("/limit/used_percent")?;
    assert!((15.0..40.0).contains(&percent), "{percent} %\n{:#}", watched.report);
    let left_s = watched.number("/limit/time_to_limit_s")?;
    assert!((12.0..22.0).contains(&left_s), "{left_s} s\n{:#}", watched.report);
    assert!(reasons(&watched).contains("of the limit"), "{}", reasons(&watched));
    Ok(())
}

#[test]
fn a_process_that_is_moved_has_the_limit_of_its_new_group() -> Result<()> {
    let group = LimitedGroup::create("moved", 96 << 20)?;
    let dir = tempfile::tempdir()?;
    let leak = grower(&["leak", "1024"])?;
    let watcher = Watcher::start(dir.path(), leak.pid(), &["-i", "100ms", "-d", "3s"])?;
    wait::until("the first line", wait::PATIENCE, || {
        Ok((!watcher.running().stderr()?.is_empty()).then_some(()))
    })?;
    group.add(leak.pid())?;
    let watched = watcher.finish()?;
    drop(leak);
    assert_eq!(watched.at("/limit/limit_bytes"), 96 << 20, "{:#}", watched.report);
    let usage = watched.number("/control_group/usage/last_bytes")?;
    assert!(usage < 96.0 * MIB, "{usage} bytes are not of this group\n{:#}", watched.report);
    Ok(())
}

#[test]
fn what_cannot_be_watched_is_refused_in_one_line_that_says_why() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let limit: u32 = fs::read_to_string("/proc/sys/kernel/pid_max")?.trim().parse()?;
    let no_pid = (limit + 1).to_string();
    fs::write(dir.path().join("other.json"), "{}")?;
    let cases: [(&[&str], i32, &str); 8] = [
        (&["--pid", &no_pid], 1, &no_pid),
        // kthreadd, in any namespace that has the host's processes.
        (&["--pid", "2"], 1, "thread of the kernel"),
        (&[], 2, "--pid"),
        (&["--pid", "1", "--interval", "1ms"], 2, "10ms"),
        (&["--pid", "1", "--snapshot", "../x"], 2, "name of a file"),
        (&["--pid", "1", "--snapshot", "x", "--snapshot-dir", "missing"], 1, "missing/x.memory.json"),
        (&["compare", "a.json", "other.json"], 1, "cannot read snapshot a.json"),
        (&["compare", "other.json", "other.json"], 1, "no snapshot of memory"),
    ];
    for (options, code, part) in cases {
        let finished = agent::run(dir.path(), [&["memory"], options].concat())?;
        assert_eq!(finished.status.code(), Some(code), "{options:?}: {finished:?}");
        assert!(finished.stderr.contains(part), "{options:?}: no {part:?} in {finished:?}");
        assert!(code == 2 || finished.stderr.lines().count() == 1, "{options:?}: {finished:?}");
        assert!(finished.stdout.is_empty(), "{options:?}: {finished:?}");
    }
    assert_eq!(agent::list(dir.path())?, [Path::new("other.json")], "left in its directory");
    Ok(())
}

#[test]
fn without_privileges_there_is_a_report_without_pss_that_says_what_would_help() -> Result<()> {
    let hot = target("hot321")?;
    let dir = tempfile::tempdir()?;
    let mut command = unprivileged_agent(dir.path())?;
    command.args(["memory", "--report", "json", "-i", "100ms", "-d", "1s", "--pid", &hot.pid().to_string()]);
    let finished = Running::start(&mut command)?.finish(wait::PATIENCE)?;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let report: Value = serde_json::from_slice(&finished.stdout)?;
    assert_eq!(report.pointer("/tree/proportional"), None, "{report:#}");
    let resident = report.pointer("/tree/resident/last_bytes").and_then(Value::as_u64);
    assert!(resident.is_some_and(|bytes| bytes > 100_000), "{report:#}");
    let comments = report.pointer("/comments").context("no comments")?.to_string();
    assert!(comments.contains("no PSS") && comments.contains("CAP_SYS_PTRACE"), "{comments}");
    Ok(())
}
