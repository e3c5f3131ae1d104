//! What recording a busy nginx costs: the agent, the kernel, and the requests that nginx no longer answers.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{
    Plan,
    bpf_stats::StatsOn,
    cost,
    held::Runs,
    median::spread,
    nginx::{self, Nginx},
    profiler::{AGENT, Installed, Sampled},
    session::Session,
    usage,
};
use crate::shell::Workspace;

const FREQUENCIES_HZ: [u32; 2] = [99, 997];
/// Tables of the files that nginx maps are written in this time.
const SETTLE: Duration = Duration::from_millis(300);
/// Before the load: nginx waits, every tick is filtered out.
const FILTERED_WINDOW: Duration = Duration::from_secs(1);
const MIB: f64 = (1 << 20) as f64;

/// One recording.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Recorded {
    requests_per_s: f64,
    /// Of the run without us just before.
    requests_percent: f64,
    agent_cpu_percent: f64,
    /// All of our programs together.
    kernel_cpu_percent: f64,
    /// Without what filtered ticks cost.
    sample_ns: f64,
    filtered_ns: f64,
    rss_mib: f64,
    told: Told,
}

/// What the agent's report says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Told {
    n_samples: f64,
    n_lost: f64,
    whole_percent: f64,
    kernel_ns_per_sample: f64,
    table_mib: f64,
}

/// A line of the table: what it is, digits after the point, and where the value is.
type Line = (&'static str, usize, fn(&Recorded) -> f64);

const LINES: [Line; 12] = [
    ("requests/s", 0, |it| it.requests_per_s),
    ("requests/s, % of the run without us just before", 1, |it| it.requests_percent),
    ("CPU of the agent, % of one core", 2, |it| it.agent_cpu_percent),
    ("CPU of its kernel programs, % of one core", 2, |it| it.kernel_cpu_percent),
    ("kernel ns per sample", 0, |it| it.sample_ns),
    ("kernel ns per filtered tick", 0, |it| it.filtered_ns),
    ("kernel ns per sample as the agent tells it, filtered ticks included", 0, |it| {
        it.told.kernel_ns_per_sample
    }),
    ("samples", 0, |it| it.told.n_samples),
    ("lost samples", 0, |it| it.told.n_lost),
    ("whole stacks, %", 1, |it| it.told.whole_percent),
    ("RSS of the agent, MiB", 1, |it| it.rss_mib),
    ("tables in the kernel, MiB", 1, |it| it.told.table_mib),
];

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let agent = AGENT.find(workspace, plan)?;
    let _stats = StatsOn::new()?;
    let nginx = Nginx::start()?;
    let mut alone = Vec::new();
    let mut recorded = FREQUENCIES_HZ.map(|_| Vec::new());
    for round in 1..=plan.n_rounds {
        for (frequency_hz, recorded) in FREQUENCIES_HZ.into_iter().zip(&mut recorded) {
            let rate = nginx.load(plan.run_time)?.requests_per_s()?;
            alone.push(rate);
            let run = record(&agent, &nginx, frequency_hz, plan, rate)
                .with_context(|| format!("recording at {frequency_hz} Hz"))?;
            println!(
                "  round {round}/{}: {rate:.0} requests/s alone; {frequency_hz} Hz: {run:?}",
                plan.n_rounds
            );
            recorded.push(run);
        }
    }
    render(&alone, &recorded, plan)
}

fn record(
    agent: &Installed,
    nginx: &Nginx,
    frequency_hz: u32,
    plan: &Plan,
    rate_alone: f64,
) -> Result<Recorded> {
    let sampled = Sampled { pid: nginx.pid(), frequency_hz };
    let mut session = Session::start(agent, sampled, None)?;
    session.wait_until_sampling()?;
    thread::sleep(SETTLE);
    let idle = session.samplers()?;
    thread::sleep(FILTERED_WINDOW);
    let samplers_before = session.samplers()?;
    let filtered = samplers_before.since(idle).context("a program went away")?;
    let filtered_ns = cost::ns_per_tick(filtered).context("no tick while nginx was idle")?;

    let (kernel_before, agent_before) = (kernel(&mut session)?, usage::on_cpu(session.pid())?);
    let requests_per_s = nginx.load(plan.run_time)?.requests_per_s()?;
    let (kernel_after, agent_after) = (kernel(&mut session)?, usage::on_cpu(session.pid())?);
    let samplers = session.samplers()?.since(samplers_before).context("a program went away")?;
    let rss_bytes = usage::of(session.pid())?.rss_bytes;
    let told = parse(&session.finish()?.stderr)?;
    let in_kernel = kernel_after.since(kernel_before).context("a program went away")?;
    let sample_ns = cost::ns_per_sample(samplers, told.n_samples, filtered_ns)
        .with_context(|| format!("{samplers:?} do not fit {} samples", told.n_samples))?;
    let percent = |time: Duration| 100.0 * time.as_secs_f64() / plan.run_time.as_secs_f64();
    Ok(Recorded {
        requests_per_s,
        requests_percent: 100.0 * requests_per_s / rate_alone,
        agent_cpu_percent: percent(agent_after.saturating_sub(agent_before)),
        kernel_cpu_percent: percent(Duration::from_nanos(in_kernel.time_ns)),
        sample_ns,
        filtered_ns,
        rss_mib: rss_bytes as f64 / MIB,
        told,
    })
}

fn kernel(session: &mut Session<'_>) -> Result<Runs> {
    Ok(Runs::of(&session.held()?.programs))
}

fn parse(report: &str) -> Result<Told> {
    let report: Value = serde_json::from_str(report).context("the agent's report is no JSON")?;
    let number = |pointer: &str| {
        let value = report.pointer(pointer).and_then(Value::as_f64);
        value.with_context(|| format!("the agent's report has no number at `{pointer}`"))
    };
    let n_samples = number("/samples")?;
    Ok(Told {
        n_samples,
        n_lost: number("/lost")?,
        whole_percent: 100.0 * number("/stacks/complete")? / n_samples.max(1.0),
        kernel_ns_per_sample: number("/overhead/kernel_ns_per_sample")?,
        table_mib: number("/overhead/table_bytes")? / MIB,
    })
}

fn render(alone: &[f64], recorded: &[Vec<Recorded>], plan: &Plan) -> Result<String> {
    let alone = spread(alone)?;
    let headings: String = FREQUENCIES_HZ.iter().map(|hz| format!(" {hz} Hz |")).collect();
    let mut table = format!("| | without us |{headings}\n|---|--:|{}\n", "--:|".repeat(FREQUENCIES_HZ.len()));
    for (index, (name, digits, value)) in LINES.into_iter().enumerate() {
        let first = if index == 0 { format!("{alone:.digits$}") } else { String::new() };
        table += &format!("| {name} | {first} |");
        for runs in recorded {
            let values: Vec<f64> = runs.iter().map(value).collect();
            table += &format!(" {:.digits$} |", spread(&values)?);
        }
        table.push('\n');
    }
    table += &format!(
        "\nMedian (min..max) of {} rounds of {} s for each rate, each after a run without us. Noise: those {} runs lie \
         {:.1} % of their median apart. {}.",
        plan.n_rounds,
        plan.run_time.as_secs(),
        u64::from(plan.n_rounds) * FREQUENCIES_HZ.len() as u64,
        100.0 * (alone.max - alone.min) / alone.median,
        nginx::version()?
    );
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"samples":400,"lost":2,"stacks":{"complete":300,"truncated":{"x":100}},
        "overhead":{"kernel_ns_per_sample":1430.5,"agent_cpu_percent":0.2,"agent_rss_bytes":9,"table_bytes":5242880}}"#;

    #[test]
    fn the_report_is_read() {
        let expected = Told {
            n_samples: 400.0,
            n_lost: 2.0,
            whole_percent: 75.0,
            kernel_ns_per_sample: 1430.5,
            table_mib: 5.0,
        };
        assert_eq!(parse(REPORT).unwrap(), expected);
    }

    #[test]
    fn a_figure_that_was_not_measured_is_an_error_that_names_it() {
        let error = parse(&REPORT.replace("1430.5", "null")).unwrap_err().to_string();
        assert_eq!(error, "the agent's report has no number at `/overhead/kernel_ns_per_sample`");
    }
}
