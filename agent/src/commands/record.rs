//! `agent record`: sample, symbolize, write the profile, say what it shows and what it cost.

mod comments;
mod loops;
mod probes;
mod sources;

use std::{
    io::{self, IsTerminal as _, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use abi::counter::Counter;
use anyhow::{Context as _, anyhow, bail};
use profile::{FirstStacks, Loss, Meta, Overhead, Profile, Report, TextStyle, UnwindTables};

use crate::{
    args::{RecordArgs, ReportForm},
    assemble,
    commands::{cache, shown},
    debuginfod::{Debuginfod, Settings},
    kernel::{self, Clock, Source, probe},
    output,
    procfs::{self, cgroup},
    run::{Command, Options, Recording, Targets, shell_code},
    send::file::Destination,
    symbolize::{self, Symbolizer},
};

pub(super) use sources::DEFAULT_FAULTS_INTERVAL_BYTES;

/// Columns of the report when it is piped: C++ names pass a thousand characters, and JSON has them whole.
pub(super) const PIPED_WIDTH: usize = 140;

/// How long to record when nothing says otherwise.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// Runs the command; gives the exit code.
///
/// # Errors
/// If there is no profile to show for it.
pub fn run(args: &RecordArgs) -> anyhow::Result<u8> {
    // Everything that can be found wrong is found before the kernel is touched.
    let format = output::format(args.format, &args.output)?;
    let destination = Destination::check(&args.output)?;
    let (recording, profile) = record(args)?;
    destination.write::<anyhow::Error>(|out| Ok(output::encode(&profile, format, out)?))?;
    report(args, &destination, &recording, &profile)?;
    Ok(recording.exit_status.map_or(0, shell_code))
}

/// What was recorded, and the profile of it.
pub(super) fn record(args: &RecordArgs) -> anyhow::Result<(Recording, Profile)> {
    let (sources, source) = sources::sources(args, || frequency(args.frequency))?;
    if let Some(name) = &args.value {
        assemble::value_index(source, name).map_err(|reason| anyhow!("--value {name}: {reason}"))?;
    }
    let debuginfod =
        if args.debuginfod { Some(Settings::of(|name| std::env::var(name).ok())?) } else { None };
    let Recorded { recording, description, no_cache, stop } = record_sources(args, sources)?;

    let fetching = shown::fetching();
    if debuginfod.is_some() {
        // From here on, a signal ends the fetching.
        stop.store(false, Ordering::Relaxed);
    }
    let debuginfod =
        debuginfod.map(|settings| Debuginfod::new(settings, shown::fetched(fetching.clone(), stop)));
    let mut symbolizer =
        Symbolizer::new(symbolize::Options { inlines: args.inlines, ..Default::default() }, debuginfod);
    let mut meta = meta(&recording, description);
    meta.comments.extend(no_cache);
    let collected = recording.collected();
    let mut profile = assemble::profile(collected, &mut symbolizer, meta);
    match args.value.as_ref().map(|name| assemble::value_index(collected.source, name)) {
        Some(Ok(index)) => profile.weigh_by(index),
        // It could not be measured in the end, which a comment says.
        Some(Err(reason)) => profile.meta_mut().comments.push(reason),
        None => {}
    }
    fetching.finish_and_clear();
    if let Some(debuginfod) = symbolizer.debuginfod() {
        profile.meta_mut().comments.push(debuginfod.outcomes().to_string());
    }
    if let n_unchecked @ 1.. = symbolizer.n_unchecked() {
        profile.meta_mut().comments.push(format!(
            "{n_unchecked} debug files left out: without their checksum they are not believed, and it is computed over \
             1 GiB a file and 2 GiB a run at most"
        ));
    }
    Ok((recording, profile))
}

/// A recording without a profile, and what is to be said of it.
pub(super) struct Recorded {
    pub(super) recording: Recording,
    /// Whom it is of.
    pub(super) description: String,
    /// Why unwind tables are not kept, if they are not.
    pub(super) no_cache: Option<String>,
    /// Set by the signal that ended it.
    stop: Arc<AtomicBool>,
}

/// Records from several sources side by side.
pub(super) fn record_sources(args: &RecordArgs, sources: Vec<Source>) -> anyhow::Result<Recorded> {
    if let Some(missing) = missing_requirement() {
        bail!("{missing}");
    }
    let (targets, description) = targets(args)?;
    let duration = match &targets {
        Targets::Command(_) => args.duration,
        _ => args.duration.or(Some(DEFAULT_DURATION)),
    };

    let (table_cache, no_cache) = match cache::open(&args.table_cache)? {
        Ok(cache) => (cache, None),
        Err(reason) => (None, Some(reason)),
    };

    let stop = stop_on_signals()?;
    let options = Options {
        targets,
        follow_children: !args.no_children,
        sources,
        probe_budget_percent: args.probe_budget,
        table_bytes: args.table_memory,
        table_cache,
        over_time: false,
        duration,
    };
    let recording = shown::record(options, &stop, "samples")?;
    Ok(Recorded { recording, description, no_cache, stop })
}

/// What is missing for any recording on this host, and what mends it.
pub(super) fn missing_requirement() -> Option<String> {
    kernel::mount_tracefs_if_missing();
    match probe::first_missing_requirement()? {
        probe::Check { name, outcome: probe::Outcome::Missing { found, remedy, .. }, .. } => {
            Some(format!("{name}: {found}; {remedy} (`agent doctor` tells all)"))
        }
        probe::Check { .. } => None,
    }
}

pub(super) fn frequency(frequency: i64) -> anyhow::Result<u64> {
    let limit = kernel::max_frequency_hz().context("cannot read kernel.perf_event_max_sample_rate")?;
    match u64::try_from(frequency) {
        Ok(0) | Err(_) => bail!("--frequency {frequency}: must be at least 1 sample a second"),
        Ok(hz) if hz > limit => bail!(
            "--frequency {hz}: this kernel allows at most {limit} samples a second; raise it with \
             `sysctl kernel.perf_event_max_sample_rate={hz}`"
        ),
        Ok(hz) => Ok(hz),
    }
}

/// Whom to sample, and how to call that in the profile.
fn targets(args: &RecordArgs) -> anyhow::Result<(Targets, String)> {
    if let Some((program, arguments)) = args.command.split_first() {
        let command = Command::hold(program.clone(), arguments.to_vec())?;
        let line = command.line().to_owned();
        return Ok((Targets::Command(command), line));
    }
    if let Some(path) = &args.cgroup {
        return Ok((Targets::Cgroup(cgroup::lookup(path)?), format!("cgroup {}", path.display())));
    }
    if let Some(name) = &args.comm {
        return Ok((Targets::Name(name.clone()), format!("processes named {name}")));
    }
    if args.all {
        return Ok((Targets::All, "all processes".to_owned()));
    }
    let pids: Vec<String> = args.pids.iter().map(u32::to_string).collect();
    Ok((Targets::Pids(args.pids.clone()), format!("pid {}", pids.join(", "))))
}

/// The first SIGINT or SIGTERM ends the recording early; the second ends the agent, and with it everything
/// that the kernel holds for it.
pub(super) fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let install = || {
            // In this order: the second signal finds the flag that the first one set.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))
        };
        install().context("cannot handle signals")?;
    }
    Ok(stop)
}

pub(super) fn meta(recording: &Recording, command: String) -> Meta {
    let mut lost: Vec<Loss> = recording
        .counters
        .iter()
        .filter(|(counter, count)| is_loss(*counter) && *count > 0)
        .map(|(counter, count)| Loss { cause: counter.name().to_owned(), count: *count })
        .collect();
    let losses = &recording.losses;
    for (cause, count) in [
        ("unknown_process", losses.unknown_process),
        ("undecoded_records", losses.undecoded),
        ("unexplained", losses.unexplained),
    ] {
        if count > 0 {
            lost.push(Loss { cause: cause.to_owned(), count });
        }
    }

    let (stacks_complete, truncated) = assemble::wholeness(recording.collected());

    let frequency_hz = recording.source.frequency_hz();
    Meta {
        start_unix_ns: recording.start_unix_ns,
        duration_ns: u64::try_from(recording.duration.as_nanos()).unwrap_or(u64::MAX),
        host: procfs::host_name(),
        command,
        event: event_name(&recording.clocks),
        frequency_hz,
        period_ns: 1_000_000_000_u64.checked_div(frequency_hz).unwrap_or(0),
        lost,
        stacks_complete,
        truncated,
        first_stacks: Some(first_stacks(recording)),
        overhead: Some(overhead(recording)),
        unwind_tables: Some(unwind_tables(recording)),
        probes: recording.probing.as_ref().map(|probing| probes::summary(probing, recording.duration)),
        allocations: None,
        times: None,
        loops: loops::loops(recording),
        comments: comments::comments(recording),
    }
}

/// What samples fell due by. Where there are samples, the calls of connections are not what they are of.
fn event_name(clocks: &[Clock]) -> String {
    let is_shown = |clock: &&Clock| **clock != Clock::SysExit || clocks.len() == 1;
    clocks.iter().filter(is_shown).map(|clock| clock.name()).collect::<Vec<_>>().join(" and ")
}

/// Counters that stand for samples that are not in the profile.
fn is_loss(counter: Counter) -> bool {
    matches!(counter, Counter::RingFull | Counter::SlotsBusy)
}

fn first_stacks(recording: &Recording) -> FirstStacks {
    let first = recording.first_stacks;
    let ns = |time: Option<Duration>| time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    FirstStacks {
        until_first_whole_ns: ns(first.until_first_whole),
        new_images: first.n_images,
        whole_at_once: first.n_whole_at_once,
        never_whole: first.n_never_whole,
        median_ns: ns(first.median),
        max_ns: ns(first.longest),
    }
}

fn overhead(recording: &Recording) -> Overhead {
    let n_samples = recording.aggregate.n_samples();
    let usage = &recording.usage;
    Overhead {
        kernel_cpu_percent: usage
            .kernel
            .map(|cost| 100.0 * cost.run_time.as_secs_f64() / recording.duration.as_secs_f64().max(0.001)),
        kernel_ns_per_sample: usage
            .kernel
            .filter(|_| n_samples > 0)
            .map(|cost| cost.run_time.as_nanos() as f64 / n_samples as f64),
        agent_cpu_percent: Some(
            100.0 * usage.agent_cpu.as_secs_f64() / recording.duration.as_secs_f64().max(0.001),
        ),
        agent_rss_bytes: usage.agent_rss_bytes,
        table_bytes: Some(usage.table_bytes),
    }
}

fn unwind_tables(recording: &Recording) -> UnwindTables {
    let cache = recording.usage.table_cache.unwrap_or_default();
    UnwindTables {
        tables_evicted: recording.losses.tables_evicted,
        tables_without_room: recording.losses.tables_without_room,
        tables_from_cache: cache.n_loaded,
        tables_cached: cache.n_saved,
        cache_files_damaged: cache.n_damaged,
        tables_not_cached: cache.n_unsaved,
    }
}

/// Says what was found, where it cannot get into the profile's way.
fn report(
    args: &RecordArgs,
    destination: &Destination,
    recording: &Recording,
    profile: &Profile,
) -> anyhow::Result<()> {
    let to_stdout = *destination != Destination::Stdout;
    let is_terminal = if to_stdout { io::stdout().is_terminal() } else { io::stderr().is_terminal() };
    let mut out: Box<dyn Write> = if to_stdout { Box::new(io::stdout()) } else { Box::new(io::stderr()) };
    let mut say = || -> io::Result<()> {
        match args.report {
            ReportForm::None => {}
            ReportForm::Json => {
                serde_json::to_writer_pretty(&mut out, &Report::new(profile))?;
                writeln!(out)?;
            }
            ReportForm::Text => {
                let colour = is_terminal && std::env::var_os("NO_COLOR").is_none();
                let width = if is_terminal { terminal_width() } else { PIPED_WIDTH };
                let style = TextStyle { colour, width: Some(width) };
                profile::write_text(&Report::new(profile), &mut out, style)?;
                if let Destination::File(path) = destination {
                    writeln!(out, "wrote {}", path.display())?;
                }
                let n_requests = recording.requests.as_ref().map_or(0, |it| it.requests);
                let n =
                    if recording.routes.is_none() { n_requests } else { 0 } + recording.aggregate.n_samples();
                if n == 0 && profile.meta().lost_total() == 0 {
                    let nothing = match recording.source {
                        Source::Cpu { .. } => "used no CPU time",
                        Source::Resident { .. } => "neither took nor released memory",
                        Source::Alloc { .. } => "allocated nothing, or nothing that fell due,",
                        Source::Loop { .. } => "had no iteration as long as --stall in an event loop",
                        Source::Requests(_) => "served no request",
                        Source::OffCpu(_) => "did not wait for as long as --min-block for anything",
                    };
                    writeln!(out, "no samples: the targets {nothing} while they were recorded")?;
                }
            }
        }
        out.flush()
    };
    match say() {
        // `agent record ... | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write the report"),
    }
}

/// Columns of the terminal.
pub(super) fn terminal_width() -> usize {
    // SAFETY: all-zero is a valid winsize, and the call fills it or leaves it.
    let columns = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size);
        size.ws_col
    };
    if columns == 0 { 100 } else { columns.into() }
}
