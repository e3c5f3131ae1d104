//! `--event loop`: how long the iterations of event loops take, and what the long ones do.

use std::{
    fs::File,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, ensure};
use tests::{
    agent::{self, Recorder, Recording},
    paths,
    report::WorkerLoop,
    servers,
};

use crate::support::{command_args, pid_args};

const MS: u64 = 1_000_000;

fn worker(recording: &Recording, tid: u32) -> Result<&WorkerLoop> {
    let loops = recording.report.loops.as_ref().with_context(|| format!("no loops\n{recording}"))?;
    loops.workers.iter().find(|it| it.tid == tid).with_context(|| format!("no worker {tid}\n{recording}"))
}

/// Nothing is lost, and the stacks have all of the time that was stalled, and no more.
fn assert_accounted(recording: &Recording) {
    let stalled: u64 =
        recording.report.loops.iter().flat_map(|loops| &loops.workers).map(|it| it.stalled_ns).sum();
    assert_eq!((recording.report.lost, recording.folded.total()), (0, stalled), "{recording}");
}

#[test]
fn each_long_iteration_is_counted_and_its_time_is_on_the_stacks_that_it_went_to() -> Result<()> {
    // 20 rounds of 20 ms in a read, 30 ms in epoll, 10 ms busy: 19 times from one wait to the next.
    let rounds = ["20", "20", "30", "10"];
    let options = ["--event", "loop", "--frequency", "499"];
    let recording = agent::record(command_args(&options, &paths::program("waits")?, &rounds))?;
    assert_accounted(&recording);
    let pid = recording.report.processes.first().with_context(|| format!("nobody\n{recording}"))?.pid;
    let it = worker(&recording, pid)?;
    assert_eq!((it.iterations, it.stalls), (19, 19), "{recording}");
    assert_eq!(it.histogram.iter().map(|bucket| bucket.count).sum::<u64>(), 19, "{recording}");
    assert!(it.histogram.iter().all(|bucket| bucket.from_ns >= 24 * MS), "30 ms at least\n{recording}");
    let words: Vec<u64> =
        recording.command_output.split_whitespace().map_while(|word| word.parse().ok()).collect();
    let [blocked_ns, _, busy_ns] = words[..] else { anyhow::bail!("{words:?}\n{recording}") };
    let is_in_bounds = it.stalled_ns >= 19 * 30 * MS && it.stalled_ns <= blocked_ns + busy_ns;
    assert!(is_in_bounds, "{} of {blocked_ns} and {busy_ns} ns\n{recording}", it.stalled_ns);
    let blocked = recording.folded.count(|stack| stack.has("wait_for_data"));
    let expected = blocked_ns * 19 / 20;
    assert!(blocked.abs_diff(expected) < expected / 10, "{blocked} of {expected} ns blocked\n{recording}");
    let named = recording.folded.share(|_| true, |stack| stack.has("wait_for_data") || stack.has("compute"));
    assert!(named > 0.95, "{named} is named\n{recording}");
    Ok(())
}

#[test]
fn iterations_below_the_limit_are_counted_and_have_no_stack() -> Result<()> {
    let options = ["--event", "loop", "--stall", "2s"];
    let arguments = ["5", "5", "5", "5"];
    let recording = agent::record(command_args(&options, &paths::program("waits")?, &arguments))?;
    assert_accounted(&recording);
    assert_eq!(recording.folded.total(), 0, "{recording}");
    let loops = recording.report.loops.as_ref().with_context(|| format!("no loops\n{recording}"))?;
    let counts: Vec<_> = loops.workers.iter().map(|it| (it.iterations, it.stalls)).collect();
    assert_eq!((loops.stall_ns, counts), (2000 * MS, vec![(4, 0)]), "{recording}");
    Ok(())
}

/// Asks for a page on a connection of its own; gives how long that took.
pub(crate) fn ask(address: SocketAddr, path: &str) -> Result<Duration> {
    let began = SystemTime::now();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(tests::wait::PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer:?}");
    Ok(began.elapsed()?)
}

#[test]
fn a_handler_that_holds_up_the_event_loop_of_node_is_found_with_its_time() -> Result<()> {
    const N_SLOW: u64 = 4;
    let (node, address, _dir) = servers::node_server()?;
    // Compiled and warm.
    ask(address, "/slow")?;
    let recorder = Recorder::start(pid_args(
        node.pid(),
        &["--event", "loop", "--frequency", "199", "--duration", "6s"],
    ))?;
    recorder.wait_until_sampling()?;
    let mut asked = Duration::ZERO;
    for _ in 0..N_SLOW {
        asked += ask(address, "/slow")?;
        for _ in 0..4 {
            asked += ask(address, "/")?;
            thread::sleep(Duration::from_millis(200));
        }
    }
    let recording = recorder.finish()?;
    assert_accounted(&recording);
    let it = worker(&recording, node.pid())?;
    // A host that is busy may hold it up as well, also while nobody asks.
    assert!(it.stalls >= N_SLOW && it.iterations >= 5 * N_SLOW, "{recording}");
    assert!(it.stalled_ns >= N_SLOW * 50 * MS && it.max_ns >= 50 * MS, "{recording}");
    // What it calls has been begun or is left where its own frame is not there yet or no more.
    let is_handler = |frame: &str| frame.contains("holdUp") || frame.contains("hrtimeBigInt");
    let handler_ns = recording.folded.count(|stack| stack.frames.iter().any(|it| is_handler(it)));
    let asked_ns = u64::try_from(asked.as_nanos())?;
    assert!(handler_ns <= asked_ns, "{handler_ns} ns, and all answers took {asked_ns}\n{recording}");
    assert!(handler_ns > it.stalled_ns / 2, "{handler_ns} ns in the handler\n{recording}");
    let busy = it.busy_percent / 100.0 * recording.report.duration_ns as f64;
    assert!(busy >= it.stalled_ns as f64 * 0.99, "{busy} ns busy\n{recording}");
    Ok(())
}

/// Asks and reads the log slowly, until it goes.
pub(crate) struct SlowReader {
    stop_asking: Arc<AtomicBool>,
    stop_reading: Arc<AtomicBool>,
    asking: JoinHandle<Result<Vec<(u64, u64)>>>,
    reading: JoinHandle<Result<()>>,
}

/// How often a page of the log is read.
const READ_EVERY: Duration = Duration::from_millis(150);

impl SlowReader {
    pub(crate) fn start(address: SocketAddr, mut log: File) -> Self {
        let (stop_asking, stop_reading) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let (ask_until, read_until) = (Arc::clone(&stop_asking), Arc::clone(&stop_reading));
        let reading = thread::spawn(move || {
            while !read_until.load(Ordering::Relaxed) {
                thread::sleep(READ_EVERY);
                match log.read(&mut [0; 4096]) {
                    Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                    _ => {}
                }
            }
            Ok(())
        });
        let asking = thread::spawn(move || {
            let mut answers = Vec::new();
            while !ask_until.load(Ordering::Relaxed) {
                let began_ns =
                    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos())?;
                let took_ns = u64::try_from(ask(address, "/")?.as_nanos())?;
                answers.push((began_ns, began_ns + took_ns));
            }
            Ok(answers)
        });
        Self { stop_asking, stop_reading, asking, reading }
    }

    /// When answers took long, each from and until.
    pub(crate) fn finish(self) -> Result<Vec<(u64, u64)>> {
        self.stop_asking.store(true, Ordering::Relaxed);
        let answers = self.asking.join().ok().context("whoever asks panicked")??;
        self.stop_reading.store(true, Ordering::Relaxed);
        self.reading.join().ok().context("whoever reads panicked")??;
        Ok(answers.into_iter().filter(|(from, until)| until - from > 20 * MS).collect())
    }
}

/// Records an nginx whose log is slow; gives its worker, and how long answers took that took long while it was recorded.
fn record_slow_log(event: &str) -> Result<(Recording, u32, u64)> {
    let (nginx, log) = servers::nginx_with_slow_log()?;
    let worker = *nginx.running().children()?.first().context("nginx has no worker")?;
    let reader = SlowReader::start(nginx.address(), log);
    let recording = agent::record(pid_args(nginx.running().pid(), &["--event", event, "--duration", "3s"]))?;
    let (start, n_ns) = (recording.report.start_unix_ns, recording.report.duration_ns);
    let within = |(from, until): &(u64, u64)| (*until).min(start + n_ns).saturating_sub((*from).max(start));
    let slow_ns = reader.finish()?.iter().map(within).sum();
    assert_eq!(recording.report.lost, 0, "{recording}");
    assert!(slow_ns > n_ns / 2, "{slow_ns} ns is not slow\n{recording}");
    Ok((recording, worker, slow_ns))
}

/// The last wait may not be over at the end; clocks are read at other moments than the worker waits.
fn assert_slow(what: &str, found: u64, slow_ns: u64, recording: &Recording) {
    let least = slow_ns - slow_ns / 10 - u64::try_from(READ_EVERY.as_nanos()).unwrap_or(u64::MAX);
    let most = slow_ns + slow_ns / 10;
    assert!((least..=most).contains(&found), "{what}: {found} of {slow_ns} ns\n{recording}");
}

#[test]
fn a_worker_of_nginx_that_waits_for_its_log_is_blocked_there() -> Result<()> {
    let (recording, worker, slow_ns) = record_slow_log("off-cpu")?;
    let in_log = |stack: &tests::folded::Stack| stack.kernel().any(|it| it.contains("pipe_write"));
    assert_slow("blocked", recording.folded.count(in_log), slow_ns, &recording);
    let share = recording.folded.share(|_| true, in_log);
    assert!(share > 0.9, "{share} of the time off the CPU\n{recording}");
    let is_write = |frame: &str| frame.trim_start_matches("__").trim_start_matches("libc_") == "write";
    let whole = recording
        .folded
        .share(in_log, |stack| stack.has("__libc_start_main") && stack.user().last().is_some_and(is_write));
    assert!(whole > 0.99, "{whole} from the start to the call\n{recording}");
    assert!(recording.report.threads.first().is_some_and(|it| it.tid == worker), "{recording}");
    Ok(())
}

#[test]
fn a_worker_of_nginx_that_waits_for_its_log_holds_its_event_loop_up() -> Result<()> {
    let (recording, tid, slow_ns) = record_slow_log("loop")?;
    assert_accounted(&recording);
    let it = worker(&recording, tid)?;
    assert_slow("stalled", it.stalled_ns, slow_ns, &recording);
    let in_log = |stack: &tests::folded::Stack| stack.kernel().any(|it| it.contains("pipe_write"));
    assert_slow("in its log", recording.folded.count(in_log), slow_ns, &recording);
    Ok(())
}
