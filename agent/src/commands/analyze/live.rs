//! Recording what is analyzed: CPU time, waits, event loops, growth of memory and requests side by side, and memory on a timer.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use profile::{Profile, encode::pprof, memory::MemoryReport};

use super::Measured;
use crate::{
    args::{AnalyzeArgs, AnalyzedEvent, RecordArgs},
    assemble,
    commands::{
        record::{self, DEFAULT_FAULTS_INTERVAL_BYTES, Recorded},
        requests::followed,
    },
    kernel::{OffCpu, Source},
    memory::{self, Stop, TreeError, Watch},
    procfs, requests,
    send::file::Destination,
    symbolize::Symbolizer,
};

/// Between two readings of memory: fifty in ten seconds are enough for a line.
const READ_MEMORY_EVERY: Duration = Duration::from_millis(200);

/// Records, and gives a profile of each kind that was asked for.
pub(super) fn record(args: &AnalyzeArgs) -> anyhow::Result<Measured> {
    let has = |event| args.events.contains(&event);
    let saves: Vec<(AnalyzedEvent, Destination)> = match &args.save {
        Some(path) => args
            .events
            .iter()
            // Requests are no profile: the others have their number.
            .filter(|event| **event != AnalyzedEvent::Requests)
            .map(|event| Ok((*event, Destination::check(&path_of(path, *event))?)))
            .collect::<anyhow::Result<_>>()?,
        None => Vec::new(),
    };
    let sources = sources(args)?;
    let watch = if has(AnalyzedEvent::Memory) { Some(Watcher::start(args)?) } else { None };
    let arguments = RecordArgs::of_pids(&args.pids, args.frequency, Some(args.duration));
    let recorded = record::record_sources(&arguments, sources.clone());
    let memory = watch.map(Watcher::finish);
    let Recorded { recording, description, no_cache, .. } = recorded?;

    let mut meta = record::meta(&recording, description);
    if let Some(requests) = &recording.requests {
        // `agent diff` tells by it what one costs.
        meta.set_requests(requests.requests);
    }
    let mut measured = Measured {
        notes: meta
            .comments
            .iter()
            .filter(|it| it.starts_with("ended early"))
            .cloned()
            .chain(no_cache)
            .collect(),
        requests: recording.requests.as_ref().map(requests::Report::evidence),
        ..Measured::default()
    };
    // The number alone does not say what to do about it.
    measured.notes.extend(recording.requests.iter().flat_map(requests::Report::tls_remarks));
    if meta.lost_total() > 0 {
        measured.notes.push(format!("{} samples were lost: shares may be off", meta.lost_total()));
    }
    match memory {
        Some(Ok(report)) => measured.memory = Some(report),
        Some(Err(reason)) => measured.notes.push(format!("memory was not watched: {reason:#}")),
        None => {}
    }
    let mut symbolizer = Symbolizer::new(Default::default(), None);
    for (source, event) in sources.into_iter().map(|source| (source, event_of(source))) {
        // CPU time is sampled for the others, too.
        let Some(place) = measured.place(event).filter(|_| has(event)) else { continue };
        let part = recording.part(source);
        let mut meta = meta.clone();
        if event != AnalyzedEvent::Loop {
            meta.loops = None;
        }
        let profile = assemble::profile(recording.collected_of(shown(source), &part), &mut symbolizer, meta);
        if let Some((_, destination)) = saves.iter().find(|(saved, _)| *saved == event) {
            destination.write::<anyhow::Error>(|mut out| Ok(pprof::write(&profile, &mut out)?))?;
        }
        *place = Some(profile);
    }
    Ok(measured)
}

fn sources(args: &AnalyzeArgs) -> anyhow::Result<Vec<Source>> {
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let has = |event| args.events.contains(&event);
    if args.follow.is_given() && !has(AnalyzedEvent::Requests) {
        bail!("--no-paths and --tls go with --event requests: no request is looked at otherwise");
    }
    let frequency_hz = record::frequency(args.frequency)?;
    let (has_loop, has_off_cpu) = (has(AnalyzedEvent::Loop), has(AnalyzedEvent::OffCpu));
    let all = [
        (has(AnalyzedEvent::Cpu) || has_loop, Source::Cpu { frequency_hz }),
        (
            has_off_cpu || has_loop,
            Source::OffCpu(OffCpu {
                min_block_ns: nanos(args.min_block),
                has_idle: false,
                has_wakers: false,
                cpu_frequency_hz: 0,
                is_wall: false,
            }),
        ),
        (has(AnalyzedEvent::Memory), Source::Resident { interval_bytes: DEFAULT_FAULTS_INTERVAL_BYTES }),
        (has(AnalyzedEvent::Requests), followed(&args.follow)),
        // Last: what is said of the recording as a whole is said of it.
        (has_loop, Source::Loop { stall_ns: nanos(args.stall), frequency_hz }),
    ];
    Ok(all.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, source)| source).collect())
}

/// Idle waits within long iterations are sampled where event loops are looked at, and have a column of their own.
fn shown(source: Source) -> Source {
    match source {
        Source::OffCpu(off_cpu) => Source::OffCpu(OffCpu { has_idle: true, ..off_cpu }),
        source => source,
    }
}

fn event_of(source: Source) -> AnalyzedEvent {
    match source {
        Source::OffCpu(_) => AnalyzedEvent::OffCpu,
        Source::Loop { .. } => AnalyzedEvent::Loop,
        Source::Resident { .. } | Source::Alloc { .. } => AnalyzedEvent::Memory,
        Source::Requests(_) => AnalyzedEvent::Requests,
        Source::Cpu { .. } => AnalyzedEvent::Cpu,
    }
}

/// `run.pb.gz` for CPU time, `run.off-cpu.pb.gz` and so on for the rest.
fn path_of(path: &Path, event: AnalyzedEvent) -> PathBuf {
    let kind = match event {
        AnalyzedEvent::Cpu => return path.to_owned(),
        AnalyzedEvent::OffCpu => "off-cpu",
        AnalyzedEvent::Loop => "loop",
        AnalyzedEvent::Memory => "memory",
        AnalyzedEvent::Requests => "requests",
    };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem =
        [".pb.gz", ".pprof", ".pb"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    path.with_file_name(format!("{stem}.{kind}{}", name.strip_prefix(stem).unwrap_or_default()))
}

/// Memory, read on a thread of its own.
struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Watch, TreeError>>,
    options: memory::Options,
}

impl Watcher {
    fn start(args: &AnalyzeArgs) -> anyhow::Result<Self> {
        let options = memory::Options {
            pids: args.pids.clone(),
            follow_children: true,
            interval: READ_MEMORY_EVERY,
            duration: None,
            command: String::new(),
            host: procfs::host_name(),
            snapshot_at_start: None,
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (is_asked, watched) = (Arc::clone(&stop), options.clone());
        let asked = move || Stop { is_asked: is_asked.load(Ordering::Relaxed), snapshot: None };
        let thread = thread::Builder::new()
            .name("memory".into())
            .spawn(move || memory::watch(&watched, asked, |_| {}, |_| {}))
            .context("cannot start a thread")?;
        Ok(Self { stop, thread, options })
    }

    fn finish(self) -> anyhow::Result<MemoryReport> {
        self.stop.store(true, Ordering::Relaxed);
        let watch = self.thread.join().map_err(|_| anyhow!("the thread ended in a panic"))??;
        Ok(memory::report::report(&watch, &self.options, Vec::new()))
    }
}

impl Measured {
    /// Where the profile of an event belongs; requests have none.
    fn place(&mut self, event: AnalyzedEvent) -> Option<&mut Option<Profile>> {
        Some(match event {
            AnalyzedEvent::Cpu => &mut self.cpu,
            AnalyzedEvent::OffCpu => &mut self.off_cpu,
            AnalyzedEvent::Loop => &mut self.stalls,
            AnalyzedEvent::Memory => &mut self.growth,
            AnalyzedEvent::Requests => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{event_of, path_of, sources};
    use crate::{
        args::{AnalyzedEvent, Cli, Subcommands},
        kernel::{self, Source},
    };
    use clap::Parser as _;
    use std::path::Path;

    fn of(options: &[&str]) -> Vec<Source> {
        let cli =
            Cli::try_parse_from([&["agent", "analyze", "--pid", "1"], options].concat()).expect("parses");
        let Subcommands::Analyze(args) = cli.command else { panic!("not analyze") };
        sources(&args).expect("has a frequency")
    }

    #[test]
    fn everything_is_recorded_side_by_side_unless_something_is_asked_for() {
        let all: Vec<AnalyzedEvent> = of(&[]).into_iter().map(event_of).collect();
        use AnalyzedEvent::{Cpu, Loop, Memory, OffCpu, Requests};
        assert_eq!(all, [Cpu, OffCpu, Memory, Requests, Loop]);
        let requests = |hides_paths, has_tls| Source::Requests(kernel::Requests { hides_paths, has_tls });
        assert_eq!(of(&["-e", "requests"]), [requests(false, false)]);
        assert_eq!(of(&["-e", "requests", "--tls", "--no-paths"]), [requests(true, true)]);
        assert_eq!(of(&["-e", "cpu"]), [Source::Cpu { frequency_hz: 499 }]);
        let of_loop: Vec<AnalyzedEvent> = of(&["-e", "loop"]).into_iter().map(event_of).collect();
        assert_eq!(of_loop, [Cpu, OffCpu, Loop], "it is made of them");
    }

    #[test]
    fn what_is_kept_lies_beside_the_file_that_was_named() {
        let path = |text: &str, event| path_of(Path::new(text), event).display().to_string();
        assert_eq!(path("/a/run.pb.gz", AnalyzedEvent::Cpu), "/a/run.pb.gz");
        assert_eq!(path("/a/run.pb.gz", AnalyzedEvent::OffCpu), "/a/run.off-cpu.pb.gz");
        assert_eq!(path("run", AnalyzedEvent::Loop), "run.loop");
    }
}
