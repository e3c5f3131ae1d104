//! The stacks of what grows, recorded beside a watch of memory: on a thread of their own, with nothing in the target.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, bail};
use profile::{
    growth::GrowthReport,
    memory::{Began, MemoryReport},
    trend::Pattern,
};

use super::{
    cache, causes,
    record::{self, DEFAULT_FAULTS_INTERVAL_BYTES, missing_requirement},
};
use crate::{
    args::{Format, MemoryArgs},
    assemble,
    kernel::Source,
    memory::Watch,
    output,
    run::{self, End, Options, Recording, RunError, Targets},
    send::file::Destination,
    symbolize::{self, Symbolizer},
};

/// Stacks under way.
pub(super) struct Stacks {
    recorder: Recorder,
    output: Option<(Destination, Format)>,
    /// Why unwind tables are not kept, if they are not.
    no_cache: Option<String>,
}

enum Recorder {
    /// Nobody asked for them.
    NotWanted,
    /// Why there are none, and what would give them.
    Refused(String),
    Running {
        stop: Arc<AtomicBool>,
        thread: JoinHandle<Result<Recording, RunError>>,
    },
}

impl Stacks {
    /// Begins to record, if this is wanted and allowed. Where a file of them was asked for, it must be.
    ///
    /// # Errors
    /// If there will be no such file.
    pub(super) fn start(args: &MemoryArgs) -> anyhow::Result<Self> {
        let output = match &args.output {
            Some(path) => Some((Destination::check(path)?, output::format(None, path)?)),
            None => None,
        };
        if let Some((Destination::Stdout, _)) = output {
            bail!("--output -: the report goes to stdout; name a file");
        }
        if args.no_stacks {
            return Ok(Self { recorder: Recorder::NotWanted, output, no_cache: None });
        }
        if let Some(missing) = missing_requirement() {
            if output.is_some() {
                bail!("no stacks of what grows: {missing}");
            }
            return Ok(Self { recorder: Recorder::Refused(missing), output, no_cache: None });
        }
        let (table_cache, no_cache) = match cache::open(&args.table_cache)? {
            Ok(cache) => (cache, None),
            Err(reason) => (None, Some(reason)),
        };
        let options = Options {
            targets: Targets::Pids(args.pids.clone()),
            follow_children: !args.no_children,
            sources: vec![Source::Resident { interval_bytes: DEFAULT_FAULTS_INTERVAL_BYTES }],
            probe_budget_percent: 0.0,
            table_bytes: args.table_memory,
            table_cache,
            over_time: true,
            duration: None,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (is_asked, (began, has_begun)) = (Arc::clone(&stop), mpsc::sync_channel(1));
        let record = move || {
            run::record(options, &is_asked, |_, _| {
                // Full from the second time on.
                let _ = began.try_send(());
            })
        };
        let thread =
            thread::Builder::new().name("stacks".into()).spawn(record).context("cannot start a thread")?;
        // A process that ends at once ends the recording, too, and that is no failure.
        if output.is_some() && has_begun.recv().is_err() {
            let error = thread.join().ok().and_then(Result::err).map(anyhow::Error::from);
            return Err(error.unwrap_or_else(|| anyhow::anyhow!("every process had ended")))
                .context("no stacks of what grows");
        }
        Ok(Self { recorder: Recorder::Running { stop, thread }, output, no_cache })
    }

    /// Ends the recording, names the stacks, writes the file that was asked for, and completes the report.
    ///
    /// # Errors
    /// If the file was asked for and cannot be written.
    pub(super) fn finish(self, watch: &Watch, report: &mut MemoryReport) -> anyhow::Result<()> {
        let (stop, thread) = match self.recorder {
            Recorder::NotWanted => return Ok(()),
            Recorder::Refused(why) => {
                report.comments.push(no_stacks(&why));
                return Ok(());
            }
            Recorder::Running { stop, thread } => (stop, thread),
        };
        stop.store(true, Ordering::Relaxed);
        let recording = match thread.join() {
            Ok(Ok(recording)) => recording,
            Ok(Err(error)) if self.output.is_none() => {
                report.comments.push(no_stacks(&causes(&error.into())));
                return Ok(());
            }
            Ok(Err(error)) => return Err(error).context("no stacks of what grows"),
            Err(_) => bail!("the thread that records stacks ended in a panic"),
        };
        // That the watch has ended, and why, the report says already.
        let recording = Recording { end: End::Elapsed, ..recording };
        let mut meta = record::meta(&recording, report.command.clone());
        meta.comments.extend(self.no_cache);
        let kernel_cpu_percent = meta.overhead.and_then(|overhead| overhead.kernel_cpu_percent);

        let run_ns = judged_run(report);
        let began_ns = watch.began_ns();
        let absolute = began_ns.saturating_add(run_ns.start)..began_ns.saturating_add(run_ns.end);
        let mut symbolizer =
            Symbolizer::new(symbolize::Options { inlines: false, ..Default::default() }, None);
        let growth = assemble::growth(recording.collected(), &absolute, &mut symbolizer, meta);
        if let Some((destination, format)) = &self.output {
            destination.write::<anyhow::Error>(|out| Ok(output::encode(&growth.profile, *format, out)?))?;
            if let Destination::File(path) = destination {
                report.profile = Some(path.display().to_string());
            }
        }
        let slices = growth.slices.into_iter().map(|(stack, mut slices)| {
            for slice in &mut slices {
                slice.start_ns = slice.start_ns.saturating_sub(began_ns);
                slice.end_ns = slice.end_ns.saturating_sub(began_ns);
            }
            (stack, slices)
        });
        let recorded_from_ns = recording.aggregate.since_ns().saturating_sub(began_ns);
        report.growth = Some(GrowthReport::new(
            &growth.profile,
            &slices.collect(),
            run_ns,
            recorded_from_ns,
            growth.folded_bytes,
        ));
        report.overhead.kernel_cpu_percent = kernel_cpu_percent;
        note_execs(report, &recording, began_ns);
        Ok(())
    }
}

fn no_stacks(why: &str) -> String {
    format!("no stacks of what grew: {why}")
}

/// The stretch of time that the verdict rests on: from where it began to grow, or the whole watch where nothing did.
fn judged_run(report: &MemoryReport) -> std::ops::Range<u64> {
    let verdict = &report.verdict;
    let has_run = matches!(
        verdict.pattern,
        Pattern::Growing | Pattern::SlowGrowth | Pattern::Plateau | Pattern::JustBegan
    );
    let from_ns = verdict.since_ns.filter(|_| has_run).unwrap_or(0);
    let until_ns = report.history.last().map_or(report.duration_ns, |point| point.time_ns);
    from_ns..until_ns
}

/// The watch sees new processes; that one became another program, only the recording does.
fn note_execs(report: &mut MemoryReport, recording: &Recording, began_ns: u64) {
    let Some(around) = report.around_growth() else { return };
    for image in recording.processes.images() {
        let time_ns = image.since_ns.saturating_sub(began_ns);
        let is_known = report.began_with_growth.iter().any(|began| began.pid == image.pid);
        // What was there when the recording began is as old as that.
        let was_there = image.since_ns <= recording.aggregate.since_ns();
        if !was_there && !is_known && around.contains(&time_ns) {
            report.began_with_growth.push(Began { pid: image.pid, name: image.name.clone(), time_ns });
        }
    }
    report.began_with_growth.sort_unstable();
}
