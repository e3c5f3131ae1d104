//! `agent requests`: what a proxy serves, how fast, and what it asks of others for it.

use anyhow::{Context as _, bail};

use super::{
    record::{self, progress_bar},
    say,
};
use crate::{
    args::{ReportForm, RequestsArgs},
    kernel::Source,
    procfs::cgroup,
    requests,
    run::{self, Options, Targets},
};

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
    let stop = record::stop_on_signals()?;
    let bar = progress_bar(Some(args.duration));
    let options = Options {
        targets,
        follow_children: !args.no_children,
        sources: vec![Source::Requests { hides_paths: args.no_paths }],
        probe_budget_percent: 0.0,
        table_bytes: TABLE_BYTES,
        table_cache: None,
        over_time: false,
        duration: Some(args.duration),
    };
    let recording = run::record(options, &stop, |elapsed, n_requests| {
        bar.set_position(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        bar.set_message(format!("{n_requests} requests"));
    });
    bar.finish_and_clear();
    let report = recording?.requests.context("requests were not followed")?;
    let form = if args.json { ReportForm::Json } else { ReportForm::Text };
    say::say(form, &report, |out, _| requests::write_text(&report, out))?;
    Ok(0)
}
