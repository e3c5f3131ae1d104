//! What one sample costs in the kernel, ours beside other profilers, on programs of 25 calls.
//!
//! A target takes one CPU with a real-time priority, so that the ticks of that CPU find it; the profiler has
//! another. A profiler ticks on every CPU: what a filtered tick costs is measured first, with the target held still,
//! and taken out.

use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    Plan,
    bpf_stats::StatsOn,
    child::Hog,
    cost,
    held::Runs,
    median::{Spread, spread},
    profiler::{AGENT, BPFTRACE, Installed, Profiler, Sampled},
    session::Session,
    stacks::Stacks,
    usage,
};
use crate::shell::Workspace;

static PROFILERS: [&Profiler; 2] = [&AGENT, &BPFTRACE];
const PROGRAMS: [&str; 2] = ["deep_fp", "deep_nofp"];
/// The kernel's own walk, where it works.
const REFERENCE: (&str, &str) = (BPFTRACE.name, "deep_fp");

const FREQUENCY_HZ: u32 = 997;
const PROFILER_CPU: u32 = 0;
const TARGET_CPU: u32 = 1;
/// Nobody waits for the filter's answer to get better than that.
const FILTERED_WINDOW: Duration = Duration::from_secs(1);
/// First stacks are new, caches are cold.
const WARM_UP: Duration = Duration::from_millis(500);
/// The scheduler leaves ordinary tasks 5 % of a CPU that a real-time one wants.
const MIN_TARGET_SHARE: f64 = 0.9;

/// One profiler on one program, a value for each round.
struct Row {
    profiler: usize,
    program: &'static str,
    values: Vec<Value>,
}

/// What one session gave.
struct Value {
    sample_ns: f64,
    filtered_ns: f64,
    stacks: Stacks,
}

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let installed: Vec<Installed> =
        PROFILERS.iter().map(|profiler| profiler.find(workspace, plan)).collect::<Result<_>>()?;
    let dir = workspace.target.join("programs");
    let built = xtask::programs::build_all(&workspace.root, &dir)?;
    let _stats = StatsOn::new()?;
    let window = plan.run_time / 2;
    let mut rows: Vec<Row> = PROGRAMS
        .iter()
        .flat_map(|program| {
            (0..installed.len()).map(|profiler| Row { profiler, program, values: Vec::new() })
        })
        .collect();
    for round in 1..=plan.n_rounds {
        for row in &mut rows {
            let profiler = installed.get(row.profiler).context("a row without a profiler")?;
            let named = || format!("{} on {}", profiler.profiler.name, row.program);
            let value = measure(profiler, &find(&built, row.program)?, window).with_context(named)?;
            let Value { sample_ns, filtered_ns, stacks } = &value;
            println!(
                "  round {round}/{}: {}: {sample_ns:.0} ns, filtered {filtered_ns:.0} ns, {stacks:?}",
                plan.n_rounds,
                named()
            );
            row.values.push(value);
        }
    }
    render(&installed, &rows, plan, window)
}

pub(super) fn find(built: &[PathBuf], name: &str) -> Result<PathBuf> {
    built.iter().find(|path| path.ends_with(name)).cloned().with_context(|| format!("no program `{name}`"))
}

fn measure(installed: &Installed, program: &Path, window: Duration) -> Result<Value> {
    // Well above the time that a slow profiler needs to start, and still an end.
    let mut target = Hog::start(program, TARGET_CPU, window.as_secs() * 2 + 60)?;
    usage::wait_until_named(target.pid(), program)?;
    thread::sleep(WARM_UP);
    target.hold()?;
    let sampled = Sampled { pid: target.pid(), frequency_hz: FREQUENCY_HZ };
    let mut session = Session::start(installed, sampled, Some(PROFILER_CPU))?;
    session.wait_until_sampling()?;
    thread::sleep(WARM_UP);

    let before = session.samplers()?;
    thread::sleep(FILTERED_WINDOW);
    let filtered = session.samplers()?.since(before).context("a program went away")?;
    let filtered_ns = cost::ns_per_tick(filtered).context("no tick while the target was held still")?;

    target.go_on()?;
    thread::sleep(WARM_UP);
    let (before, cpu_before) = (session.samplers()?, usage::on_cpu(target.pid())?);
    thread::sleep(window);
    let (after, cpu_after) = (session.samplers()?, usage::on_cpu(target.pid())?);
    if target.has_ended() {
        bail!("the target ended before its measurement");
    }
    let on_cpu = cpu_after.saturating_sub(cpu_before);
    let share = on_cpu.as_secs_f64() / window.as_secs_f64();
    if share < MIN_TARGET_SHARE {
        bail!("the target got {:.0} % of its CPU: its ticks cannot be told from others", 100.0 * share);
    }
    let runs: Runs = after.since(before).context("a program went away")?;
    let n_samples = cost::n_ticks(on_cpu, FREQUENCY_HZ);
    let sample_ns = cost::ns_per_sample(runs, n_samples, filtered_ns)
        .with_context(|| format!("{runs:?} do not fit {n_samples:.0} samples of the target"))?;
    let stacks = (installed.profiler.stacks)(&session.finish()?)?;
    if stacks.n_samples == 0 {
        bail!("no stacks");
    }
    Ok(Value { sample_ns, filtered_ns, stacks })
}

fn render(installed: &[Installed], rows: &[Row], plan: &Plan, window: Duration) -> Result<String> {
    let reference =
        rows.iter().find(|row| row.is_of(REFERENCE, installed)).context("the reference was not measured")?;
    let mut table = format!(
        "| profiler | user stacks by | program | ns per sample | ÷ {0} on {1} | user frames per stack | \
         stacks with `main`, % | whole by its own account, % | ns per filtered tick |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|\n",
        REFERENCE.0, REFERENCE.1
    );
    for row in rows {
        let profiler = installed.get(row.profiler).context("a row without a profiler")?.profiler;
        // Round by round, so that what slowed one round down slowed both.
        let ratios: Vec<f64> =
            row.values.iter().zip(&reference.values).map(|(own, of)| own.sample_ns / of.sample_ns).collect();
        let whole: Vec<f64> = row.values.iter().filter_map(|it| it.stacks.whole_percent()).collect();
        let whole = Spread::of(&whole).map_or("not told".to_owned(), |it| format!("{it:.1}"));
        table += &format!(
            "| {} | {} | {} | {:.0} | {:.2} | {:.1} | {:.1} | {whole} | {:.0} |\n",
            profiler.name,
            profiler.unwinder,
            row.program,
            row.spread(|it| it.sample_ns)?,
            spread(&ratios)?,
            row.spread(|it| it.stacks.frames_per_stack())?,
            row.spread(|it| it.stacks.rooted_percent())?,
            row.spread(|it| it.filtered_ns)?,
        );
    }
    let versions: Vec<&str> = installed.iter().map(|it| it.version.as_str()).collect();
    table += &format!(
        "\nMedian (min..max) of {} rounds, in each of which the rows took turns; {FREQUENCY_HZ} Hz, windows of {:.1} s \
         (about {:.0} samples) after a warm-up; {}.",
        plan.n_rounds,
        window.as_secs_f64(),
        cost::n_ticks(window, FREQUENCY_HZ),
        versions.join(", ")
    );
    Ok(table)
}

impl Row {
    fn is_of(&self, (profiler, program): (&str, &str), installed: &[Installed]) -> bool {
        self.program == program
            && installed.get(self.profiler).is_some_and(|installed| installed.profiler.name == profiler)
    }

    fn spread(&self, value: fn(&Value) -> f64) -> Result<Spread> {
        spread(&self.values.iter().map(value).collect::<Vec<f64>>())
    }
}
