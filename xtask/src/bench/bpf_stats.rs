//! What kernel programs cost, as the kernel counts it: `run_time_ns / run_cnt` while its statistics are on.
#![expect(
    dead_code,
    reason = "the measurement of the agent's own programs, which uses this, is not written yet"
)]

use std::{fs, process::Command};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::shell::{find_program, output};

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Statistics are on while this value lives; then the switch is as it was.
pub(super) struct StatsOn {
    before: String,
}

impl StatsOn {
    pub(super) fn new() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read `{SWITCH}`"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write `{SWITCH}`"))?;
        Ok(Self { before })
    }
}

impl Drop for StatsOn {
    fn drop(&mut self) {
        if let Err(error) = fs::write(SWITCH, self.before.trim()) {
            println!("cannot put `{SWITCH}` back to {}: {error}", self.before.trim());
        }
    }
}

/// One loaded program. The counters only grow; the cost of a run is a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) run_time_ns: u64,
    pub(super) n_runs: u64,
}

pub(super) fn programs() -> Result<Vec<Program>> {
    let bpftool = find_program("bpftool").context("no bpftool: install Debian's bpftool")?;
    parse(&output(Command::new(bpftool).args(["prog", "show", "--json"]))?)
}

/// bpftool leaves the counters out of a program that has not run.
fn parse(json: &str) -> Result<Vec<Program>> {
    let list: Vec<Value> = serde_json::from_str(json).context("cannot parse what bpftool printed")?;
    let number = |program: &Value, key: &str| program.get(key).and_then(Value::as_u64);
    list.iter()
        .map(|program| {
            Ok(Program {
                id: number(program, "id").context("a program without `id`")?,
                name: program.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
                run_time_ns: number(program, "run_time_ns").unwrap_or(0),
                n_runs: number(program, "run_cnt").unwrap_or(0),
            })
        })
        .collect()
}

/// Nanoseconds per run between two readings, or None when the program did not run.
pub(super) fn ns_per_run(before: Option<&Program>, after: &Program) -> Option<f64> {
    let (time_before, runs_before) = before.map_or((0, 0), |it| (it.run_time_ns, it.n_runs));
    let time_ns = after.run_time_ns.checked_sub(time_before)?;
    let n_runs = after.n_runs.checked_sub(runs_before).filter(|n| *n > 0)?;
    Some(time_ns as f64 / n_runs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read_with_and_without_counters() {
        let json = r#"[{"id":2,"type":"tracing","name":"hid_tail_call","tag":"7cc47bbf07148bfe"},
                       {"id":31,"name":"sample","run_time_ns":5000,"run_cnt":4}]"#;
        let found = parse(json).unwrap();
        let expected = [(2, "hid_tail_call", 0, 0), (31, "sample", 5000, 4)]
            .map(|(id, name, run_time_ns, n_runs)| Program { id, name: name.into(), run_time_ns, n_runs });
        assert_eq!(found, expected);
        assert!(parse("no json").is_err());
    }

    #[test]
    fn the_cost_of_a_run_is_a_difference() {
        let at = |run_time_ns, n_runs| Program { id: 1, name: String::new(), run_time_ns, n_runs };
        assert_eq!(ns_per_run(Some(&at(1000, 1)), &at(4000, 3)), Some(1500.0));
        assert_eq!(ns_per_run(None, &at(4000, 4)), Some(1000.0));
        assert_eq!(ns_per_run(Some(&at(4000, 4)), &at(4000, 4)), None, "did not run");
        assert_eq!(ns_per_run(Some(&at(9000, 9)), &at(10, 1)), None, "the counters went back");
    }
}
