//! Each of our kernel programs: its size, what the verifier had to do, and how long that took.

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    Plan,
    bpf_stats::StatsOn,
    bpftool,
    child::ends_with_us,
    held::{Held, Program},
    median::spread,
    profiler::{AGENT, Installed, Sampled},
    session::Session,
};
use crate::{process::Running, shell::Workspace};

const FREQUENCY_HZ: u32 = 99;
const POLL: Duration = Duration::from_micros(200);
const TIMEOUT: Duration = Duration::from_secs(30);

/// When the agent's programs were there.
struct Timeline {
    last_ms: f64,
    /// By ID: milliseconds between what the agent opened in the kernel just before, and this program.
    steps_ms: BTreeMap<u64, f64>,
    n_others: usize,
    n_looks: u32,
}

impl Timeline {
    fn new() -> Self {
        Self { last_ms: 0.0, steps_ms: BTreeMap::new(), n_others: 0, n_looks: 0 }
    }

    /// Notes what is new. Two programs within one look share the time.
    fn look(&mut self, now_ms: f64, held: &Held) {
        self.n_looks += 1;
        let fresh: Vec<u64> =
            held.programs.iter().map(|it| it.id).filter(|id| !self.steps_ms.contains_key(id)).collect();
        for id in &fresh {
            self.steps_ms.insert(*id, (now_ms - self.last_ms) / fresh.len() as f64);
        }
        if !fresh.is_empty() || held.n_others != self.n_others {
            self.last_ms = now_ms;
            self.n_others = held.n_others;
        }
    }
}

/// One program, over all rounds.
struct Row {
    kind: String,
    translated_bytes: u64,
    jited_bytes: Option<u64>,
    verified_instructions: Option<u64>,
    load_ms: Vec<f64>,
}

pub(super) fn table(workspace: &Workspace, plan: &Plan) -> Result<String> {
    let agent = AGENT.find(workspace, plan)?;
    // Without the kernel's count, nothing tells that a program has run.
    let _stats = StatsOn::new()?;
    let mut sleep = Command::new("sleep");
    sleep.arg("1h").stdin(Stdio::null());
    let sleeper = Running::start("sleep", ends_with_us(&mut sleep, libc::SIGTERM))?;
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let (mut start_ms, mut look_ms) = (Vec::new(), Vec::new());
    for round in 1..=plan.n_rounds {
        let start = load(&agent, sleeper.pid(), &mut rows)?;
        println!("  round {round}/{}: sampling {:.0} ms after its start", plan.n_rounds, start.all_ms);
        start_ms.push(start.all_ms);
        look_ms.push(start.look_ms);
    }
    let mut table =
        "| program | type | instructions verified | bytes, translated | bytes, JITed | load, ms |\n\
                     |---|---|--:|--:|--:|--:|\n"
            .to_owned();
    let shown = |number: Option<u64>| number.map_or("not told".to_owned(), |it| it.to_string());
    for (name, row) in &rows {
        table += &format!(
            "| {name} | {} | {} | {} | {} | {:.1} |\n",
            row.kind,
            shown(row.verified_instructions),
            row.translated_bytes,
            shown(row.jited_bytes),
            spread(&row.load_ms)?
        );
    }
    table += &format!(
        "\nMedian (min..max) of {} starts. A load is the time from what the agent opened in the kernel just before to \
         the program, seen by looking every {:.1} ms; programs that came between two looks share it. The first tick ran \
         {:.0} ms after the start of the agent.",
        plan.n_rounds,
        spread(&look_ms)?,
        spread(&start_ms)?
    );
    Ok(table)
}

/// One start of the agent.
struct Start {
    /// From its start to its first tick.
    all_ms: f64,
    /// Between two looks at it.
    look_ms: f64,
}

fn load(agent: &Installed, pid: u32, rows: &mut BTreeMap<String, Row>) -> Result<Start> {
    let start = Instant::now();
    let elapsed_ms = || start.elapsed().as_secs_f64() * 1e3;
    let mut session = Session::start(agent, Sampled { pid, frequency_hz: FREQUENCY_HZ }, None)?;
    let mut timeline = Timeline::new();
    let held = loop {
        let held = session.held()?;
        timeline.look(elapsed_ms(), &held);
        if held.programs.iter().any(|program| program.is_sampler() && program.runs.count > 0) {
            break held;
        }
        if start.elapsed() > TIMEOUT {
            bail!("the agent took no sample within {} s", TIMEOUT.as_secs());
        }
        thread::sleep(POLL);
    };
    let all_ms = elapsed_ms();
    let known = bpftool::programs()?;
    session.finish()?;
    for program in &held.programs {
        note(rows, program, &known, timeline.steps_ms.get(&program.id).copied())?;
    }
    Ok(Start { all_ms, look_ms: all_ms / f64::from(timeline.n_looks.max(1)) })
}

fn note(
    rows: &mut BTreeMap<String, Row>,
    held: &Program,
    known: &[bpftool::Program],
    load_ms: Option<f64>,
) -> Result<()> {
    let known = known.iter().find(|it| it.id == held.id);
    let known = known.with_context(|| format!("bpftool does not list program {}", held.id))?;
    let row = rows.entry(known.name.clone()).or_insert_with(|| Row {
        kind: known.kind.clone(),
        translated_bytes: known.translated_bytes,
        jited_bytes: known.jited_bytes,
        verified_instructions: held.verified_instructions,
        load_ms: Vec::new(),
    });
    row.load_ms.extend(load_ms);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::held::Runs;

    fn held(ids: &[u64], n_others: usize) -> Held {
        let program =
            |id: &u64| Program { id: *id, kind: 7, runs: Runs::default(), verified_instructions: None };
        Held { programs: ids.iter().map(program).collect(), n_others, ..Held::default() }
    }

    #[test]
    fn a_load_begins_where_the_object_before_it_ended() {
        let mut timeline = Timeline::new();
        for (now_ms, seen) in [
            (1.0, held(&[], 0)),
            (5.0, held(&[], 3)),
            (6.0, held(&[], 3)),
            (25.0, held(&[7], 3)),
            (26.0, held(&[7], 4)),
            (36.0, held(&[7, 8, 9], 4)),
            (90.0, held(&[7, 8, 9], 4)),
        ] {
            timeline.look(now_ms, &seen);
        }
        assert_eq!(timeline.steps_ms, BTreeMap::from([(7, 20.0), (8, 5.0), (9, 5.0)]));
    }
}
