//! The budget of the daemon: samples that become expensive bring the rate down within seconds, and it is back where it was
//! once they are gone.

use std::{
    fmt::Write as _,
    io,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::{
    bpf::Objects,
    daemon::{Daemon, DaemonConfig},
    paths,
    process::Running,
    wait,
};

const FREQUENCY_HZ: u32 = 999;
/// About as many as the kernel side walks, and hardly any.
const DEEP: u32 = 480;
const SHALLOW: u32 = 1;
/// What is measured first.
const PROBE: Duration = Duration::from_secs(4);
/// What the documentation says, with a second for each reading of ours.
const LOWERED_WITHIN: Duration = Duration::from_secs(10);
/// After the first step down: a second one, if cheap seconds were among those that it went by, follows soon.
const SETTLE: Duration = Duration::from_secs(8);
/// Of each step up, and of the mean before the first.
const RAISED_EVERY: Duration = Duration::from_secs(11);
const MEAN_OVER: Duration = Duration::from_secs(3);
/// For a machine that does something else as well: each second that is expensive begins the wait anew.
const PATIENCE: u32 = 4;
const RELOAD: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(20);
/// So that others on this machine do not decide how many samples there are: the agent before the load, both before all.
const AGENT_NICE: i32 = -15;
const LOAD_NICE: i32 = -10;

/// Threads that spin below so many calls, one for each CPU.
fn load(depth: u32) -> Result<Running> {
    nice(LOAD_NICE)?;
    let n_cpus = thread::available_parallelism()?;
    let arguments = [depth.to_string(), n_cpus.to_string(), "600".to_owned()];
    Running::start(Command::new(paths::program("costly")?).args(arguments))
}

/// What this thread starts from now on comes before others.
fn nice(value: i32) -> Result<()> {
    // SAFETY: takes no pointer.
    let result = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, value) };
    ensure!(result == 0, "no other priority: {}", io::Error::last_os_error());
    Ok(())
}

/// What the daemon says of its rate, once a second.
#[derive(Default)]
struct Series {
    text: String,
}

impl Series {
    /// Looks, and waits for a second; samples a second, now.
    fn look(&mut self, daemon: &Daemon, during: &str, since: Instant) -> Result<u64> {
        let status: Value =
            serde_json::from_str(&daemon.ask("status")?).context("a status that is no JSON")?;
        let number = |pointer: &str| status.pointer(pointer).and_then(Value::as_f64);
        let now_hz =
            number("/frequency/now_hz").with_context(|| format!("a status without a rate: {status}"))?;
        let used = number("/budget/used_percent").context("a status without a budget")?;
        writeln!(self.text, "{during} {:5.1} s: {now_hz} Hz, {used:.2} %", since.elapsed().as_secs_f64())?;
        thread::sleep(Duration::from_secs(1));
        Ok(now_hz as u64)
    }
}

/// What sampling takes of the host while this goes on, in percent.
fn measured(daemon: &Daemon) -> Result<f64> {
    let run_time = || -> Result<f64> {
        let name = "brazier_kernel_run_time_seconds_total";
        daemon.metrics()?.sum(name, &[("program", "cpu")]).context("no run time of the kernel programs")
    };
    // Figures are a second old at most.
    thread::sleep(Duration::from_secs(2));
    let (before, start) = (run_time()?, Instant::now());
    thread::sleep(PROBE);
    let used = run_time()? - before;
    Ok(100.0 * used / start.elapsed().as_secs_f64() / thread::available_parallelism()?.get() as f64)
}

#[test]
fn samples_that_become_expensive_bring_the_rate_down_and_it_comes_back_after_them() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let before = Objects::all()?;
    let config = DaemonConfig {
        window: "5s".to_owned(),
        frequency_hz: FREQUENCY_HZ,
        budget_percent: 100.0,
        targets: format!("[[target]]\nexe = {:?}", paths::program("costly")?),
        ..DaemonConfig::in_dir(dir.path())?
    };
    nice(AGENT_NICE)?;
    let daemon = Daemon::start(&config.write()?, config.listen)?;
    daemon.wait_until_up()?;

    let cheap_load = load(SHALLOW)?;
    let cheap = measured(&daemon)?;
    drop(cheap_load);
    let expensive_load = load(DEEP)?;
    let expensive = measured(&daemon)?;
    drop(expensive_load);
    ensure!(expensive > 4.0 * cheap, "{expensive:.2} % is not much more than {cheap:.2} %: nothing to see");
    // Half of the rate is not too much then, and all of it is not by far before.
    let budget_percent = (100.0 * expensive / 1.6).round() / 100.0;

    let cheap_load = load(SHALLOW)?;
    DaemonConfig { budget_percent, ..config }.write()?;
    daemon.running().signal(libc::SIGHUP)?;
    wait::until("the configuration is taken", RELOAD, || {
        // It does not listen for a moment.
        let Ok(metrics) = daemon.metrics() else { return Ok(None) };
        Ok((metrics.count("brazier_config_reloads_total", &[("result", "taken")]) == 1).then_some(()))
    })?;
    let mut series = Series {
        text: format!(
            "cheap {cheap:.3} %, expensive {expensive:.3} %, budget {budget_percent:.3} % of the host\n"
        ),
    };
    let start = Instant::now();
    while start.elapsed() < SETTLE {
        let now_hz = series.look(&daemon, "cheap", start)?;
        ensure!(now_hz == u64::from(FREQUENCY_HZ), "the rate fell for nothing\n{}", series.text);
    }

    drop(cheap_load);
    let expensive_load = load(DEEP)?;
    let start = Instant::now();
    while series.look(&daemon, "expensive", start)? == u64::from(FREQUENCY_HZ) {
        ensure!(start.elapsed() < LOWERED_WITHIN, "the rate did not fall\n{}", series.text);
    }
    let health = daemon.ask("health")?;
    ensure!(health.contains("rate_lowered"), "{health}\n{}", series.text);
    let mut lowest_hz = u64::from(FREQUENCY_HZ);
    let fell = Instant::now();
    while fell.elapsed() < SETTLE {
        let now_hz = series.look(&daemon, "expensive", start)?;
        ensure!(now_hz < u64::from(FREQUENCY_HZ), "the rate rose again at once\n{}", series.text);
        lowest_hz = lowest_hz.min(now_hz);
    }

    drop(expensive_load);
    let _cheap_load = load(SHALLOW)?;
    let start = Instant::now();
    // Each step is half of the rate, rounded down.
    let n_steps = (u64::from(FREQUENCY_HZ) / lowest_hz.max(1)).ilog2();
    let usual = MEAN_OVER + RAISED_EVERY * n_steps;
    while series.look(&daemon, "cheap again", start)? != u64::from(FREQUENCY_HZ) {
        ensure!(start.elapsed() < usual * PATIENCE, "the rate did not come back\n{}", series.text);
    }
    writeln!(series.text, "back after {:?}, usual are {usual:?}", start.elapsed())?;

    let metrics = daemon.metrics()?;
    let n_steps_of = |direction| metrics.count("brazier_sampling_steps_total", &[("direction", direction)]);
    let finished = daemon.terminate(END)?;
    let log: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("samples a second: ")).collect();
    let told = format!("{}\n{}", series.text, log.join("\n"));
    // For whoever measures; a test that passes is otherwise silent.
    println!("{told}");
    let n_logged = |word| log.iter().filter(|line| line.contains(word)).count() as u64;
    ensure!(n_steps_of("down") == n_logged("(took ") && n_logged("(took ") > 0, "{told}");
    ensure!(n_steps_of("up") == n_logged("(expected to take ") && n_logged("(expected ") > 0, "{told}");
    ensure!(finished.status.success(), "{finished:?}\n{told}");
    before.nothing_left_since()
}
