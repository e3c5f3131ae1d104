//! Where it comes from: a thread that samples, one that names, one that reads memory. Each hands over what is new, and
//! skips a turn where nobody takes it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use abi::counter::Counter;
use anyhow::{Context as _, anyhow};
use profile::Meta;

use super::loops::LoopCounts;
use crate::{
    aggregate::Aggregate,
    args::{TableCacheArgs, TopArgs},
    assemble, clock,
    commands::{cache, requests::followed},
    kernel::{Clock, Source},
    memory::{self, Stop},
    procfs::{self, status},
    run::{RunError, Stream, StreamFigures, StreamOptions, Targets, Window},
    symbolize::Symbolizer,
    table_cache::TableCache,
    top::{LoopRow, Memory, RoutesTick, Tick, Update},
};

/// Between two looks at the ring.
const PUMP: Duration = Duration::from_millis(100);
/// What may wait to be shown.
const MAX_UPDATES: usize = 16;
/// Between two readings of memory.
const READ_MEMORY_EVERY: Duration = Duration::from_secs(1);
/// What `agent record` takes for unwind tables.
const TABLE_MEMORY_BYTES: u64 = 256 << 20;

/// What was sampled, without names.
struct Sampled {
    window: Window,
    loops: Vec<LoopRow>,
    n_lost: u64,
}

/// The threads, and what comes from them.
pub(super) struct Feed {
    updates: Receiver<Update>,
    threads: Vec<JoinHandle<()>>,
}

impl Feed {
    /// Begins; when it returns, samples are taken.
    pub(super) fn start(args: &TopArgs, frequency_hz: u64, stop: Arc<AtomicBool>) -> anyhow::Result<Self> {
        let (to_screen, updates) = mpsc::sync_channel(MAX_UPDATES);
        let (to_names, sampled) = mpsc::sync_channel(1);
        let (begun, has_begun) = mpsc::sync_channel(1);
        let sampler = Sampler {
            sources: sources(args, frequency_hz),
            pids: args.pids.clone(),
            table_cache: cache::open(&TableCacheArgs::default())?.ok().flatten(),
            interval: args.interval,
            stop: Arc::clone(&stop),
            to_names,
            to_screen: to_screen.clone(),
        };
        let mut threads = vec![spawn("sampling", move || sampler.run(&begun))?];
        has_begun.recv().map_err(|_| anyhow!("the thread that samples has ended"))??;
        let description = format!("pid {:?}", args.pids);
        let named = to_screen.clone();
        threads.push(spawn("names", move || name(&description, &sampled, &named))?);
        let pids = args.pids.clone();
        threads.push(spawn("memory", move || watch(pids, &stop, &to_screen))?);
        Ok(Self { updates, threads })
    }

    pub(super) fn updates(&self) -> &Receiver<Update> {
        &self.updates
    }

    /// Waits for the threads, which have been told to stop.
    pub(super) fn join(self) -> anyhow::Result<()> {
        // Nobody shall wait to be heard.
        drop(self.updates);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("a thread ended in a panic"))?;
        }
        Ok(())
    }
}

/// CPU time, event loops, and requests unless they are not wanted.
fn sources(args: &TopArgs, frequency_hz: u64) -> Vec<Source> {
    let stall_ns = u64::try_from(args.stall.as_nanos()).unwrap_or(u64::MAX);
    let mut sources = vec![Source::Cpu { frequency_hz }, Source::Loop { stall_ns, frequency_hz }];
    if !args.no_requests {
        sources.push(followed(&args.follow));
    }
    sources
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(run).context("cannot start a thread")
}

/// Takes samples.
struct Sampler {
    sources: Vec<Source>,
    pids: Vec<u32>,
    table_cache: Option<TableCache>,
    interval: Duration,
    stop: Arc<AtomicBool>,
    to_names: SyncSender<Sampled>,
    to_screen: SyncSender<Update>,
}

impl Sampler {
    fn run(mut self, begun: &SyncSender<anyhow::Result<()>>) {
        let options = StreamOptions {
            targets: Targets::Pids(self.pids.clone()),
            sources: std::mem::take(&mut self.sources),
            probe_budget_percent: 0.0,
            table_bytes: TABLE_MEMORY_BYTES,
            table_cache: self.table_cache.take(),
        };
        let begin = || -> Result<Stream, RunError> {
            let mut stream = Stream::prepare(options)?;
            stream.begin()?;
            Ok(stream)
        };
        let mut stream = match begin() {
            Ok(stream) => stream,
            Err(error) => {
                // Whoever waits for it is there.
                let _ = begun.send(Err(error.into()));
                return;
            }
        };
        let _ = begun.send(Ok(()));
        let reason = self.pump(&mut stream).err().map(|error| format!("{error:#}"));
        let _ = self.to_screen.try_send(Update::Ended(reason));
        // The kernel lets go of everything when the process ends, at the latest.
        let _ = stream.end();
    }

    /// Until it is to stop, or the targets have ended.
    fn pump(&self, stream: &mut Stream) -> anyhow::Result<()> {
        let mut counts = LoopCounts::default();
        // Windows that wait: of more, the present one goes on for longer.
        let mut waiting: Option<Sampled> = None;
        let mut due = Instant::now() + self.interval;
        while !self.stop.load(Ordering::Relaxed) {
            stream.pump(PUMP.min(self.interval));
            let is_alive = stream.any_target_alive();
            if waiting.is_none() && (Instant::now() >= due || !is_alive) {
                due = Instant::now() + self.interval;
                let n_lost = n_lost(&stream.figures()?);
                let name = |tid| status::read(tid).ok().map(|status| status.name);
                let loops = counts.rows(stream.workers()?, clock::monotonic_ns(), name);
                waiting = Some(Sampled { window: stream.cut(), loops, n_lost });
            }
            if let Some(sampled) = waiting.take() {
                match self.to_names.try_send(sampled) {
                    Ok(()) => {}
                    Err(TrySendError::Full(sampled)) => waiting = Some(sampled),
                    Err(TrySendError::Disconnected(_)) => break,
                }
            }
            if !is_alive {
                break;
            }
        }
        Ok(())
    }
}

fn n_lost(figures: &StreamFigures) -> u64 {
    let is_loss = |counter: Counter| matches!(counter, Counter::RingFull | Counter::SlotsBusy);
    let by_kernel =
        figures.counters.iter().filter(|(counter, _)| is_loss(*counter)).map(|(_, n)| n).sum::<u64>();
    by_kernel + figures.losses.unknown_process + figures.losses.undecoded
}

/// Names what was sampled, until whoever samples has gone, or nobody looks any more.
fn name(description: &str, sampled: &Receiver<Sampled>, to_screen: &SyncSender<Update>) {
    let mut symbolizer = Symbolizer::new(Default::default(), None);
    let host = procfs::host_name();
    while let Ok(Sampled { mut window, loops, n_lost }) = sampled.recv() {
        let requests = window.requests.take();
        let meta = |source: Source, clock: Clock, counted: &Aggregate| Meta {
            host: host.clone(),
            command: description.to_owned(),
            ..window.meta(window.collected(source, counted), clock)
        };
        let cpu = window.sources.iter().find(|(source, _)| matches!(source, Source::Cpu { .. }));
        let Some((source, clock)) = cpu.copied() else { return };
        let counted = window.aggregate.part(|key| source.gives(key.event));
        let collected = window.collected(source, &counted);
        let profile = assemble::profile(collected, &mut symbolizer, meta(source, clock, &counted));
        let followed = window.sources.iter().find(|(source, _)| source.requests().is_some());
        let routes = requests.zip(followed).map(|(requests, (source, clock))| RoutesTick {
            profile: assemble::served(&requests, meta(*source, *clock, &Aggregate::default())),
            window: requests.routes,
            n_tls_unread: requests.n_tls_unread,
            remarks: requests.remarks,
        });
        if to_screen.send(Update::Tick(Box::new(Tick { profile, loops, routes, n_lost }))).is_err() {
            return;
        }
    }
}

/// Reads memory until it is to stop, or nobody looks any more.
fn watch(pids: Vec<u32>, stop: &AtomicBool, to_screen: &SyncSender<Update>) {
    let options = memory::Options {
        pids,
        follow_children: true,
        interval: READ_MEMORY_EVERY,
        duration: None,
        command: String::new(),
        host: String::new(),
        snapshot_at_start: None,
    };
    let asked = || Stop { is_asked: stop.load(Ordering::Relaxed), snapshot: None };
    let saw = |sight: &memory::Sight<'_>| {
        let reading = Memory {
            time_ns: sight.time_ns,
            resident_bytes: sight.usage.resident_bytes,
            private_bytes: sight.history.last().map_or(0, |point| point.bytes),
            n_processes: sight.n_processes,
        };
        // The next one is as good.
        let _ = to_screen.try_send(Update::Memory(reading));
    };
    // That the processes have ended is told by whoever samples.
    let _ = memory::watch(&options, asked, saw, |_| {});
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::sources;
    use crate::{
        args::{Cli, Subcommands},
        kernel::{Requests, Source},
    };

    fn requests(options: &[&str]) -> Option<Requests> {
        let cli = Cli::try_parse_from([&["agent", "top", "--pid", "1"], options].concat()).expect("parses");
        let Subcommands::Top(args) = cli.command else { panic!("not top") };
        let sources = sources(&args, 99);
        assert_eq!(sources.first(), Some(&Source::Cpu { frequency_hz: 99 }));
        sources.iter().find_map(|source| source.requests())
    }

    #[test]
    fn requests_are_followed_unless_it_is_said_otherwise_and_no_library_is_touched_unless_it_is_asked_for() {
        let clear = Requests { hides_paths: false, has_tls: false };
        assert_eq!(requests(&[]), Some(clear));
        assert_eq!(requests(&["--no-requests"]), None);
        assert_eq!(requests(&["--tls"]), Some(Requests { has_tls: true, ..clear }));
        assert_eq!(requests(&["--no-paths"]), Some(Requests { hides_paths: true, ..clear }));
    }
}
