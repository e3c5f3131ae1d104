//! `agent memory` with stacks: who it was that made memory grow, and whether that goes on.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tests::{
    memory::{Watched, Watcher},
    paths,
    process::Running,
    wait,
};

use crate::support::unprivileged_agent;

const MIB: f64 = 1_048_576.0;

fn ten_stacks(args: &[&str]) -> Result<Running> {
    Running::start(Command::new(paths::program("ten_stacks")?).args(args))
}

/// The functions of the stack that grew most.
fn first_stack(watched: &Watched) -> Vec<&str> {
    let frames = watched.at("/growth/stacks/0/frames").as_array();
    frames.into_iter().flatten().filter_map(|frame| frame.get("name")?.as_str()).collect()
}

#[test]
fn the_stack_that_grew_is_named_whether_it_leaks_fills_a_cache_or_is_given_back() -> Result<()> {
    // All three at once: each takes its time.
    let programs = [["leak", "4096", "1"], ["cache", "8192", "5"], ["sawtooth", "4096", "3"]];
    let dir = tempfile::tempdir()?;
    let running = programs.iter().map(|args| ten_stacks(args)).collect::<Result<Vec<_>>>()?;
    let watch =
        |target: &Running| Watcher::start(dir.path(), target.pid(), &["--interval", "300ms", "-d", "15s"]);
    let watchers = running.iter().map(watch).collect::<Result<Vec<_>>>()?;
    let watched = watchers.into_iter().map(Watcher::finish).collect::<Result<Vec<_>>>()?;
    for one in &watched {
        let stack = first_stack(one);
        assert!(stack.ends_with(&["main", "stack_07", "take_07"]), "{stack:?}\n{:#}", one.report);
        assert!(one.number("/growth/stacks/0/share_percent")? > 80.0, "{:#}", one.report);
    }
    let [leak, cache, sawtooth] = watched.as_slice() else { anyhow::bail!("not three") };

    assert_eq!(leak.at("/verdict/kind"), "leak", "{:#}", leak.report);
    assert_eq!(leak.at("/growth/stacks/0/course/kind"), "growing", "{:#}", leak.report);
    // Estimated from some 900 samples: 3 % is one standard deviation.
    let rate = leak.number("/growth/stacks/0/rate_bytes_per_second")?;
    assert!((rate / (4.0 * MIB) - 1.0).abs() < 0.15, "{rate} bytes/s, not 4 MiB/s\n{:#}", leak.report);

    assert_eq!(cache.at("/verdict/pattern"), "plateau", "{:#}", cache.report);
    assert_eq!(cache.at("/growth/stacks/0/course/kind"), "stopped", "{:#}", cache.report);
    let until = cache.number("/growth/stacks/0/course/until_ns")?;
    assert!((3e9..7e9).contains(&until), "until {until}\n{:#}", cache.report);

    assert_eq!(sawtooth.at("/verdict/pattern"), "sawtooth", "{:#}", sawtooth.report);
    let (grown, released) =
        (sawtooth.number("/growth/anonymous_bytes")?, sawtooth.number("/growth/released_bytes")?);
    assert!(released > 0.5 * grown, "{released} of {grown} given back\n{:#}", sawtooth.report);
    Ok(())
}

#[test]
fn what_grew_is_written_as_a_profile_and_named_in_the_text() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let leak = ten_stacks(&["leak", "8192"])?;
    let pid = leak.pid().to_string();
    let mut command = Command::new(paths::agent()?);
    command.current_dir(dir.path());
    command.args(["memory", "--pid", &pid, "-i", "100ms", "-d", "4s", "-o", "growth.folded"]);
    let finished = Running::start(&mut command)?.finish(Duration::from_secs(30))?;
    let text = String::from_utf8_lossy(&finished.stdout);
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(
        text.contains("of what grew since then came from this stack: main > stack_07 > take_07"),
        "{text}"
    );
    assert!(text.contains("wrote growth.folded"), "{text}");
    let folded = fs::read_to_string(dir.path().join("growth.folded"))?;
    let bytes: f64 = folded
        .lines()
        .filter(|line| line.contains(";main;stack_07;take_07"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!((16.0 * MIB..40.0 * MIB).contains(&bytes), "{bytes} bytes, not some 30 MiB\n{folded}");
    Ok(())
}

#[test]
fn workers_that_are_started_when_the_growth_begins_are_named() -> Result<()> {
    let dir = tempfile::tempdir()?;
    // A shell that does nothing for a while, and then becomes the parent of what leaks.
    let program = paths::program("ten_stacks")?;
    let script = format!("sleep 3; {} leak 8192; true", program.display());
    let master = Running::start(Command::new("sh").args(["-c", &script]))?;
    let watcher = Watcher::start(dir.path(), master.pid(), &["-i", "200ms", "-d", "12s"])?;
    let worker = wait::until("the worker has begun", wait::PATIENCE, || {
        let is_it = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "ten_stacks")
        };
        Ok(master.children()?.into_iter().find(is_it))
    })?;
    let watched = watcher.finish()?;
    assert_eq!(watched.at("/verdict/kind"), "leak", "{:#}", watched.report);
    let began = watched.at("/began_with_growth").as_array().context("no list")?;
    let has_it = began.iter().any(|it| it.get("pid") == Some(&worker.into()));
    assert!(has_it, "no {worker} in {began:?}\n{:#}", watched.report);
    let stack = first_stack(&watched);
    assert!(stack.ends_with(&["main", "stack_07", "take_07"]), "{stack:?}\n{:#}", watched.report);
    Ok(())
}

#[test]
fn without_stacks_nothing_is_loaded_and_without_the_right_the_report_says_what_would_give_them() -> Result<()>
{
    let dir = tempfile::tempdir()?;
    let leak = ten_stacks(&["leak", "1024"])?;
    let none =
        Watcher::start(dir.path(), leak.pid(), &["-i", "100ms", "-d", "1s", "--no-stacks"])?.finish()?;
    assert_eq!(none.at("/growth"), &Value::Null, "{:#}", none.report);
    assert!(!none.at("/comments").to_string().contains("no stacks"), "{:#}", none.report);

    let unprivileged = |options: &[&str]| -> Result<_> {
        let mut command = unprivileged_agent(dir.path())?;
        // What would be written could be.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777))?;
        command.current_dir(dir.path());
        command.args(["memory", "--report", "json", "-i", "100ms", "-d", "1s"]);
        command.args(["--pid", &leak.pid().to_string()]).args(options);
        Running::start(&mut command)?.finish(wait::PATIENCE)
    };
    let finished = unprivileged(&[])?;
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let report: Value = serde_json::from_slice(&finished.stdout)?;
    let comments = report.pointer("/comments").context("no comments")?.to_string();
    assert!(comments.contains("no stacks of what grew") && comments.contains("setcap"), "{comments}");

    let refused = unprivileged(&["-o", "growth.svg"])?;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stdout.is_empty() && refused.stderr.contains("no stacks of what grows"), "{refused:?}");
    assert!(!dir.path().join("growth.svg").exists(), "left in its directory");
    Ok(())
}
