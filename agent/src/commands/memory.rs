//! `agent memory`: watch memory, show how it moves, say whether it leaks; write snapshots and compare them.

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, bail};
use profile::memory::{Comparison, SNAPSHOT_VERSION, Snapshot, write_comparison, write_memory_report};

use super::{memory_live::Live, memory_stacks::Stacks, record::stop_on_signals, say::say};
use crate::{
    args::{CompareArgs, MemoryArgs, MemoryCommand},
    memory::{self, Options, Stop, report::report},
    procfs::{self, status},
    send::file::{Destination, FileError},
};

/// Largest snapshot that is read back. One process has at most some megabytes.
const MAX_SNAPSHOT_BYTES: u64 = 1 << 30;
/// What a snapshot is called that nobody named.
const DEFAULT_LABEL: &str = "snapshot";

/// Runs the command; gives the exit code.
///
/// # Errors
/// If there is nothing to watch, or a file cannot be read or written.
pub fn run(args: &MemoryArgs) -> anyhow::Result<u8> {
    if let Some(MemoryCommand::Compare(compare)) = &args.command {
        return compare_files(compare).map(|()| 0);
    }
    let options = Options {
        pids: args.pids.clone(),
        follow_children: !args.no_children,
        interval: args.interval,
        duration: args.duration,
        command: description(&args.pids),
        host: procfs::host_name(),
        snapshot_at_start: args.snapshot.clone(),
    };
    let mut snapshots = Snapshots::new(args)?;
    let stop = stop_on_signals()?;
    let wants_snapshot = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&wants_snapshot))
        .context("cannot handle signals")?;

    let label = args.snapshot.as_deref().unwrap_or(DEFAULT_LABEL);
    let mut n_asked = 0;
    let asked = || {
        let snapshot = wants_snapshot.swap(false, Ordering::Relaxed).then(|| {
            n_asked += 1;
            format!("{label}-{n_asked}")
        });
        Stop { is_asked: stop.load(Ordering::Relaxed), snapshot }
    };
    let stacks = Stacks::start(args)?;
    let mut live = Live::new();
    let watch =
        memory::watch(&options, asked, |sight| live.show(sight), |snapshot| snapshots.write(snapshot));
    live.finish();
    let watch = watch?;
    let mut report = report(&watch, &options, snapshots.written);
    let stacks = stacks.finish(&watch, &mut report);
    say(args.report, &report, |out, style| write_memory_report(&report, out, style))?;
    // Last: what was seen is not lost because a disk is full.
    stacks?;
    snapshots.error.map_or(Ok(0), |error| Err(error.into()))
}

/// `nginx (4711), haproxy (4712)`.
fn description(pids: &[u32]) -> String {
    let names = pids.iter().map(|pid| match status::read(*pid) {
        Ok(status) => format!("{} ({pid})", status.name),
        Err(_) => pid.to_string(),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Files of snapshots.
struct Snapshots<'a> {
    args: &'a MemoryArgs,
    written: Vec<String>,
    error: Option<FileError>,
}

impl<'a> Snapshots<'a> {
    /// Finds out, before anything is watched, whether the first can be written.
    fn new(args: &'a MemoryArgs) -> Result<Self, FileError> {
        if let Some(label) = &args.snapshot {
            Destination::check(&args.snapshot_dir.join(file_name(label)))?;
        }
        Ok(Self { args, written: Vec::new(), error: None })
    }

    fn write(&mut self, snapshot: &Snapshot) {
        let path = self.args.snapshot_dir.join(file_name(&snapshot.label));
        let written = Destination::check(&path).and_then(|destination| {
            destination.write(|out| {
                serde_json::to_writer_pretty(out, snapshot)
                    .map_err(|error| FileError::Write { path: path.clone(), source: error.into() })
            })
        });
        match written {
            Ok(()) => self.written.push(path.display().to_string()),
            Err(error) => self.error = Some(error),
        }
    }
}

fn file_name(label: &str) -> String {
    format!("{label}.memory.json")
}

fn compare_files(args: &CompareArgs) -> anyhow::Result<()> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let comparison = Comparison::new(&before, &after);
    say(args.report, &comparison, |out, style| write_comparison(&comparison, out, style))
}

fn read(path: &Path) -> anyhow::Result<Snapshot> {
    let shown = path.display();
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SNAPSHOT_BYTES).read_to_string(&mut text))
        .with_context(|| format!("cannot read snapshot {shown}"))?;
    let snapshot: Snapshot = serde_json::from_str(&text).with_context(|| {
        format!("{shown} is no snapshot of memory: `agent memory --snapshot NAME` writes one")
    })?;
    if snapshot.memory_snapshot_version != SNAPSHOT_VERSION {
        bail!(
            "{shown} is a snapshot of version {}, and this agent reads version {SNAPSHOT_VERSION}",
            snapshot.memory_snapshot_version
        );
    }
    Ok(snapshot)
}
