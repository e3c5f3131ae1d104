//! `agent requests`: what a proxy serves, how fast, and what it asks of others for it.

use anyhow::{Context as _, bail};

use super::{cache, record, say, shown};
use crate::{
    aggregate::Key,
    args::{FollowArgs, ReportForm, RequestsArgs, TableCacheArgs},
    assemble,
    kernel::{OffCpu, Requests, Source},
    procfs::cgroup,
    requests::{self, SlowRequest},
    run::{Options, Recording, Targets},
    symbolize::{self, Symbolizer},
};

/// A wait of this length and longer has a stack.
const MIN_BLOCK_NS: u64 = 1_000_000;
/// What `agent record` takes for unwind tables unless told otherwise.
const STACKS_TABLE_BYTES: u64 = 256 << 20;
/// No stack is walked: as little as can be.
const TABLE_BYTES: u64 = 2 << 20;

/// Runs the command; gives the exit code.
///
/// # Errors
/// If nothing can be followed, or the report not be written.
pub fn run(args: &RequestsArgs) -> anyhow::Result<u8> {
    if let Some(missing) = record::missing_requirement() {
        bail!("{missing}");
    }
    let targets = if let Some(path) = &args.cgroup {
        Targets::Cgroup(cgroup::lookup(path)?)
    } else if let Some(name) = &args.comm {
        Targets::Name(name.clone())
    } else if args.all {
        Targets::All
    } else {
        Targets::Pids(args.pids.clone())
    };
    let sources = sources(args)?;
    let (table_bytes, table_cache) = if args.stacks {
        (STACKS_TABLE_BYTES, cache::open(&TableCacheArgs::default())?.unwrap_or_default())
    } else {
        (TABLE_BYTES, None)
    };
    let stop = record::stop_on_signals()?;
    let options = Options {
        targets,
        follow_children: !args.no_children,
        sources,
        probe_budget_percent: 0.0,
        table_bytes,
        table_cache,
        over_time: false,
        duration: Some(args.duration),
    };
    let mut recording = shown::record(options, &stop, "requests")?;
    let mut report = recording.requests.take().context("requests were not followed")?;
    if args.stacks {
        report.slowest = Some(slowest(&recording));
    }
    let form = if args.json { ReportForm::Json } else { ReportForm::Text };
    say::say(form, &report, |out, _| requests::write_text(&report, out))?;
    Ok(0)
}

/// Requests, followed as was asked for, of whatever command.
pub(super) fn followed(args: &FollowArgs) -> Source {
    Source::Requests(Requests { hides_paths: args.no_paths, has_tls: args.tls })
}

/// Requests, and with `--stacks` CPU time and waits beside them.
fn sources(args: &RequestsArgs) -> anyhow::Result<Vec<Source>> {
    let mut sources = vec![followed(&args.follow)];
    if args.stacks {
        let frequency_hz = record::frequency(args.frequency)?;
        sources.push(Source::Cpu { frequency_hz });
        sources.push(Source::OffCpu(OffCpu {
            min_block_ns: MIN_BLOCK_NS,
            has_idle: false,
            has_wakers: false,
            cpu_frequency_hz: frequency_hz,
            is_wall: false,
        }));
    }
    Ok(sources)
}

/// The slowest requests, with the names of what was seen while they ran.
fn slowest(recording: &Recording) -> Vec<SlowRequest> {
    let mut slowest = recording.slowest.clone();
    let keys: Vec<Key> = slowest.iter().flat_map(|slow| &slow.seen).map(|seen| seen.key).collect();
    let mut symbolizer = Symbolizer::new(symbolize::Options::default(), None);
    let mut names = assemble::names(recording.collected(), &mut symbolizer, &keys).into_iter();
    let period_ns = 1_000_000_000_u64.checked_div(recording.source.frequency_hz()).unwrap_or(0);
    for slow in &mut slowest {
        slow.stacks = slow
            .seen
            .iter()
            .zip(names.by_ref())
            .map(|(seen, frames)| seen.named(frames, period_ns))
            .collect();
        slow.stacks.sort_by(|a, b| b.ns.cmp(&a.ns).then_with(|| a.frames.cmp(&b.frames)));
    }
    slowest
}
