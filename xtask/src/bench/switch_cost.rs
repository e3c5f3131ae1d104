//! What it costs to follow where threads wait: each switch and each system call.

use std::{
    io::{BufRead as _, BufReader, PipeReader, PipeWriter, Write as _, pipe},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use super::{
    Plan,
    child::ends_with_us,
    kernel_cost,
    median::spread,
    profiler::{AGENT_EACH_WAIT, AGENT_LOOP, AGENT_OFF_CPU, Profiler, Sampled},
    session::Session,
};
use crate::{process::Running, shell::Workspace};

const AGENT_CPU: u32 = 0;
const TARGET_CPU: u32 = 1;
/// What is used where nothing else is said.
const FREQUENCY_HZ: u32 = 99;

/// Whether what is measured is what is recorded.
#[derive(Clone, Copy)]
enum Target {
    Itself,
    Another,
}

const SWITCHES: [(&str, Option<(&Profiler, Target)>); 5] = [
    ("nothing recorded", None),
    ("off-CPU time of another process", Some((&AGENT_OFF_CPU, Target::Another))),
    ("off-CPU time, no wait as long as `--min-block`", Some((&AGENT_OFF_CPU, Target::Itself))),
    ("off-CPU time, every wait walked (`--min-block 1us`)", Some((&AGENT_EACH_WAIT, Target::Itself))),
    ("event loop", Some((&AGENT_LOOP, Target::Itself))),
];

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let built = xtask::programs::build_all(&workspace.root, &workspace.target.join("programs"))?;
    let mut program = PingPong::start(&kernel_cost::find(&built, "pingpong")?)?;
    let mut values = SWITCHES.map(|_| (Vec::new(), Vec::new()));
    for round in 1..=plan.n_rounds {
        for ((name, recorded), (switches, calls)) in SWITCHES.iter().zip(&mut values) {
            let (switch_ns, call_ns) = program.while_recorded(plan, workspace, *recorded)?;
            println!(
                "  round {round}/{}: {name}: {switch_ns:.0} ns a switch, {call_ns:.0} ns a call",
                plan.n_rounds
            );
            switches.push(switch_ns);
            calls.push(call_ns);
        }
    }
    let mut table = String::from("| | one switch, ns | one system call, ns |\n|---|--:|--:|\n");
    for ((name, _), (switches, calls)) in SWITCHES.iter().zip(&values) {
        table += &format!("| {name} | {:.0} | {:.0} |\n", spread(switches)?, spread(calls)?);
    }
    Ok(format!(
        "{table}\nMedian (min..max) of {} rounds, each the best of 15 times 40,000 switches and 200,000 calls, the agent on another CPU.",
        plan.n_rounds
    ))
}

/// The program of that name: it measures itself when it is asked.
struct PingPong {
    running: Running,
    asked: PipeWriter,
    told: BufReader<PipeReader>,
}

impl PingPong {
    fn start(program: &Path) -> Result<Self> {
        let (stdin, asked) = pipe().context("cannot create a pipe")?;
        let (told, stdout) = pipe().context("cannot create a pipe")?;
        let mut command = Command::new(program);
        command.arg(TARGET_CPU.to_string()).stdin(stdin).stdout(stdout).stderr(Stdio::null());
        let running = Running::start("pingpong", ends_with_us(&mut command, libc::SIGKILL))?;
        Ok(Self { running, asked, told: BufReader::new(told) })
    }

    /// Nanoseconds of a switch and of a system call.
    fn while_recorded(
        &mut self,
        plan: &Plan,
        workspace: &Workspace,
        recorded: Option<(&'static Profiler, Target)>,
    ) -> Result<(f64, f64)> {
        let Some((profiler, target)) = recorded else { return self.measured() };
        let pid = match target {
            Target::Itself => self.running.pid(),
            Target::Another => std::process::id(),
        };
        let installed = profiler.find(workspace, plan)?;
        let mut session =
            Session::start(&installed, Sampled { pid, frequency_hz: FREQUENCY_HZ }, Some(AGENT_CPU))?;
        session.wait_until_loaded()?;
        let measured = self.measured()?;
        // If it has ended before, what was measured is something else.
        session.held()?;
        session.finish()?;
        Ok(measured)
    }

    fn measured(&mut self) -> Result<(f64, f64)> {
        let mut line = String::new();
        writeln!(self.asked, "now").context("cannot ask the program")?;
        self.told.read_line(&mut line).context("cannot read what the program says")?;
        let parts: Vec<f64> = line.split_whitespace().filter_map(|it| it.parse().ok()).collect();
        let [switch_ns, call_ns] = parts[..] else { bail!("the program says `{}`", line.trim()) };
        Ok((switch_ns, call_ns))
    }
}
