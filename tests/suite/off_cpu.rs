//! `--event off-cpu`: where threads wait, in nanoseconds, by stack; and where all the time of each thread goes.

use std::{fs::File, process::Command};

use anyhow::{Context as _, Result};
use tests::{
    agent::{self, Recording},
    paths,
    process::Running,
    report::{ThreadTime, Times},
};

use crate::support::{command_args, pid_args};

/// What `waits` does, and what it then says how long it took.
const ROUNDS: u64 = 20;
const ARGUMENTS: [&str; 4] = ["20", "20", "30", "10"];

/// How long `waits` was blocked, idle and busy, by its own clock.
fn by_its_clock(recording: &Recording) -> Result<[u64; 3]> {
    let words: Vec<u64> =
        recording.command_output.split_whitespace().map_while(|it| it.parse().ok()).collect();
    words.try_into().map_err(|words| anyhow::anyhow!("{words:?} of {:?}", recording.command_output))
}

fn record(options: &[&str]) -> Result<Recording> {
    let recording = agent::record(command_args(options, &paths::program("waits")?, &ARGUMENTS))?;
    let report = &recording.report;
    let n_stacks = report.stacks.complete + report.stacks.truncated.values().sum::<u64>();
    assert_eq!((n_stacks, report.lost), (report.samples, 0), "{recording}");
    Ok(recording)
}

fn time_in(recording: &Recording, function: &str) -> u64 {
    recording.folded.count(|stack| stack.has(function))
}

/// The call takes as long as the wait and a little more: it is entered and left, and the clock is read. On a busy host it is
/// preempted there, too.
fn assert_within(what: &str, found: u64, by_clock: u64, recording: &Recording) -> Result<()> {
    let least = by_clock - by_clock / 20 - by_clock.min(main_thread(recording)?.runnable_ns);
    assert!((least..=by_clock).contains(&found), "{what}: {found} ns, not {by_clock}\n{recording}");
    Ok(())
}

/// The sums have what the program did before and after its loop as well.
fn assert_sum(what: &str, found: u64, by_clock: u64, recording: &Recording) -> Result<()> {
    let least = by_clock - by_clock / 20 - by_clock.min(main_thread(recording)?.runnable_ns);
    let most = by_clock + by_clock / 20;
    assert!((least..=most).contains(&found), "{what} in the sums: {found} ns, not {by_clock}\n{recording}");
    Ok(())
}

fn times(recording: &Recording) -> Result<&Times> {
    recording.report.times.as_ref().with_context(|| format!("no times\n{recording}"))
}

/// The one with the process's own ID.
fn main_thread(recording: &Recording) -> Result<&ThreadTime> {
    let threads = &times(recording)?.threads;
    threads.iter().find(|it| it.tid == it.pid).with_context(|| format!("no main thread\n{recording}"))
}

#[test]
fn a_blocked_read_takes_as_long_as_its_caller_says_and_idle_waits_are_left_out() -> Result<()> {
    let recording = record(&["--event", "off-cpu"])?;
    let [blocked_ns, idle_ns, _] = by_its_clock(&recording)?;
    assert_within("blocked", time_in(&recording, "wait_for_data"), blocked_ns, &recording)?;
    let whole = |stack: &tests::folded::Stack| stack.has("main") && stack.has("read");
    let share = recording.folded.share(|stack| stack.has("wait_for_data"), whole);
    assert!(share > 0.999, "{share} below main, in read\n{recording}");
    let in_kernel =
        |stack: &tests::folded::Stack| stack.frames.last().is_some_and(|it| it.contains("pipe_read"));
    let share = recording.folded.share(|stack| stack.has("wait_for_data"), in_kernel);
    assert!(share > 0.999, "{share} waits for the pipe\n{recording}");
    assert_eq!(time_in(&recording, "wait_for_events"), 0, "{recording}");
    assert!(recording.report.samples >= ROUNDS, "{recording}");
    let main = main_thread(&recording)?;
    assert_sum("idle", main.idle_ns, idle_ns, &recording)?;
    Ok(())
}

#[test]
fn from_when_it_is_woken_on_a_thread_waits_for_a_cpu() -> Result<()> {
    // Others that want the same CPU all the time, so that nobody who wakes up has it at once.
    let taskset = paths::find("taskset", "util-linux")?;
    let mut hog = Command::new(&taskset);
    hog.args(["-c", "0", "nice", "-n", "-5", "sh", "-c", "while :; do :; done"]);
    let _hogs = [Running::start(&mut hog)?, Running::start(&mut hog)?, Running::start(&mut hog)?];
    let program = paths::program("waits")?;
    let program = program.to_str().context("a path that is no text")?;
    let arguments = ["-c", "0", program, "20", "20", "30", "1"];
    let options = ["--event", "off-cpu", "--idle", "--min-block", "100us"];
    let recording = agent::record(command_args(&options, &taskset, &arguments))?;
    let [blocked_ns, idle_ns, _] = by_its_clock(&recording)?;
    for (function, by_clock) in [("wait_for_data", blocked_ns), ("wait_for_events", idle_ns)] {
        let found = time_in(&recording, function);
        assert!(
            (by_clock - by_clock / 20..=by_clock).contains(&found),
            "{function}: {found} ns, not {by_clock}\n{recording}"
        );
    }
    let for_a_cpu = recording.folded.count(|stack| {
        (stack.has("wait_for_data") || stack.has("wait_for_events"))
            && stack.frames.last().is_some_and(|it| it == "[waiting for a CPU]")
    });
    // Now and then whoever wakes up has the CPU at once, but not always.
    assert!(for_a_cpu >= 100_000 && for_a_cpu < blocked_ns + idle_ns, "{for_a_cpu} ns\n{recording}");
    Ok(())
}

#[test]
fn on_top_of_a_wait_stands_who_ended_it_and_how() -> Result<()> {
    let recording = record(&["--event", "off-cpu", "--idle", "--wakers"])?;
    // The other thread writes into the pipe. The idle wait ends by a timer; on a CPU without work that has no stack.
    let ends = |function: &str, title: &str, is_how: &dyn Fn(&[String]) -> bool| {
        let is_over = |stack: &tests::folded::Stack| {
            let title = stack.frames.iter().position(|it| it == title);
            title.and_then(|at| stack.frames.get(at + 1..)).is_some_and(is_how)
        };
        let waits = |stack: &tests::folded::Stack| {
            stack.has(function) && stack.frames.last().is_none_or(|it| it != "[waiting for a CPU]")
        };
        let share = recording.folded.share(waits, is_over);
        assert!(share > 0.9, "{share} of {function}\n{recording}");
    };
    let begins_by_waking = |stack: &[String]| stack.first().is_some_and(|it| it.contains("wake"));
    ends("wait_for_data", "[woken by waits]", &|stack| {
        begins_by_waking(stack) && stack.iter().any(|it| it.contains("pipe_write"))
    });
    ends("wait_for_events", "[woken by an interrupt]", &|stack| {
        stack.is_empty() || begins_by_waking(stack) && stack.iter().any(|it| it.contains("hrtimer"))
    });
    Ok(())
}

#[test]
fn idle_waits_are_shown_on_request_under_a_value_of_their_own() -> Result<()> {
    let recording = record(&["--event", "off-cpu", "--idle", "--value", "idle"])?;
    let [_, idle_ns, _] = by_its_clock(&recording)?;
    assert_within("idle", time_in(&recording, "wait_for_events"), idle_ns, &recording)?;
    assert_eq!(time_in(&recording, "wait_for_data"), 0, "{recording}");
    let labelled = |stack: &tests::folded::Stack| stack.frames.last().is_some_and(|it| it == "[idle]");
    let share = recording.folded.share(|_| true, labelled);
    assert!(share > 0.999, "{share} is labelled\n{recording}");
    let sums = ["blocked", "runnable", "idle"].map(|kind| recording.report.total(kind));
    assert_eq!(sums.iter().sum::<u64>(), recording.report.total("off_cpu"), "{recording}");
    Ok(())
}

#[test]
fn what_is_shorter_than_the_limit_has_no_stack_and_is_in_the_sums() -> Result<()> {
    let recording = record(&["--event", "off-cpu", "--min-block", "500ms"])?;
    let [blocked_ns, ..] = by_its_clock(&recording)?;
    assert_eq!(recording.report.samples, 0, "{recording}");
    assert_sum("blocked", main_thread(&recording)?.blocked_ns, blocked_ns, &recording)?;
    Ok(())
}

#[test]
fn the_wall_view_adds_up_to_the_time_that_each_thread_lived() -> Result<()> {
    let recording = record(&["--wall", "--frequency", "499"])?;
    let [blocked_ns, idle_ns, busy_ns] = by_its_clock(&recording)?;
    let main = main_thread(&recording)?;
    // It began before the first of its readings and ended after the last: that is what the rest may be.
    let lived_ns = blocked_ns + idle_ns + busy_ns;
    assert!(
        main.elapsed_ns >= lived_ns && main.elapsed_ns <= lived_ns + 100_000_000,
        "{} ns, of which {lived_ns} in the loop\n{recording}",
        main.elapsed_ns
    );
    for thread in &times(&recording)?.threads {
        let sum = thread.on_cpu_ns + thread.blocked_ns + thread.idle_ns + thread.runnable_ns;
        assert_eq!(sum, thread.elapsed_ns, "{thread:?}\n{recording}");
        let of_stacks: u64 =
            recording.report.threads.iter().filter(|it| it.tid == thread.tid).map(|it| it.value).sum();
        // Samples of CPU time are rounded to nanoseconds.
        assert!(
            of_stacks.abs_diff(thread.elapsed_ns) <= 1000,
            "{of_stacks} ns in stacks, {thread:?}\n{recording}"
        );
    }
    // With a sample of CPU time here and there, before and after the wait.
    assert_sum("blocked", time_in(&recording, "wait_for_data"), blocked_ns, &recording)?;
    assert_sum("idle", time_in(&recording, "wait_for_events"), idle_ns, &recording)?;
    // On the CPU, or preempted there, which this host may be busy enough for.
    let busy = time_in(&recording, "compute") + recording.folded.count(|it| it.frames.len() == 2);
    assert!(busy >= busy_ns - busy_ns / 10, "{busy} of {busy_ns} ns\n{recording}");
    Ok(())
}

#[test]
fn a_thread_that_waits_from_the_beginning_to_the_end_counts_for_all_of_it() -> Result<()> {
    // `cat` of a FIFO that nobody writes to, and that is open for writing.
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("fifo");
    let made = Command::new(paths::find("mkfifo", "coreutils")?).arg(&path).status()?;
    assert!(made.success(), "{made}");
    let _writer = File::options().read(true).write(true).open(&path)?;
    let target = Running::start(Command::new(paths::find("cat", "coreutils")?).arg(&path))?;
    std::thread::sleep(std::time::Duration::from_millis(200));
    let recording = agent::record(pid_args(target.pid(), &["--wall", "--duration", "1s"]))?;
    let main = main_thread(&recording)?;
    let duration_ns = recording.report.duration_ns;
    assert!(main.elapsed_ns.abs_diff(duration_ns) < 100_000_000, "{main:?}\n{recording}");
    assert_eq!(main.blocked_ns, main.elapsed_ns, "{recording}");
    let told = time_in(&recording, "[blocked, not over at the end]");
    assert_eq!(told, main.blocked_ns, "{recording}");
    assert!(!target.has_ended(), "{recording}");
    Ok(())
}
