//! The BPF objects that a process has open and what its programs have cost so far, from /proc/PID/fdinfo.
//!
//! So a profiler's programs are told from those of anything else on the machine without knowing their names.

use std::fs;

use anyhow::{Context, Result};

/// `BPF_PROG_TYPE_PERF_EVENT` in linux/bpf.h.
const PERF_EVENT: u64 = 7;
/// `BPF_MAP_TYPE_RINGBUF` in linux/bpf.h.
const RINGBUF: u64 = 27;

/// A program, with counters that only grow (zero unless [`super::bpf_stats::StatsOn`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) id: u64,
    /// `enum bpf_prog_type`.
    pub(super) kind: u64,
    pub(super) runs: Runs,
    /// None before Linux 5.16.
    pub(super) verified_instructions: Option<u64>,
}

impl Program {
    /// Whether it runs at ticks of a clock or a counter.
    pub(super) fn is_sampler(&self) -> bool {
        self.kind == PERF_EVENT
    }
}

/// How often and for how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Runs {
    pub(super) time_ns: u64,
    pub(super) count: u64,
}

impl Runs {
    pub(super) fn of<'a>(programs: impl IntoIterator<Item = &'a Program>) -> Self {
        programs.into_iter().fold(Self::default(), |sum, program| Self {
            time_ns: sum.time_ns.saturating_add(program.runs.time_ns),
            count: sum.count.saturating_add(program.runs.count),
        })
    }

    /// None when a program has gone in between.
    pub(super) fn since(self, before: Self) -> Option<Self> {
        Some(Self {
            time_ns: self.time_ns.checked_sub(before.time_ns)?,
            count: self.count.checked_sub(before.count)?,
        })
    }
}

/// All that one process has open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// By ID, which is the order of loading.
    pub(super) programs: Vec<Program>,
    /// Maps, type information and links.
    pub(super) n_others: usize,
    /// IDs of the ring buffers among them.
    pub(super) rings: Vec<u64>,
}

pub(super) fn by(pid: u32) -> Result<Held> {
    let dir = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&dir).with_context(|| format!("cannot list `{dir}`"))?;
    // A descriptor closed meanwhile has no text any more.
    let texts: Vec<String> =
        entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
    Ok(parse(&texts))
}

fn parse(texts: &[String]) -> Held {
    let mut held = Held::default();
    for text in texts {
        match program(text) {
            Some(program) => held.programs.push(program),
            None => held.n_others += usize::from(is_other(text)),
        }
        if field(text, "map_type:") == Some(RINGBUF) {
            held.rings.extend(field(text, "map_id:"));
        }
    }
    held.rings.sort_unstable();
    held.rings.dedup();
    held.programs.sort_by_key(|program| program.id);
    // One program can be open more than once.
    held.programs.dedup_by_key(|program| program.id);
    held
}

/// A link names its program, too, but has no `prog_type`.
fn program(text: &str) -> Option<Program> {
    Some(Program {
        kind: field(text, "prog_type:")?,
        id: field(text, "prog_id:")?,
        runs: Runs {
            time_ns: field(text, "run_time_ns:").unwrap_or(0),
            count: field(text, "run_cnt:").unwrap_or(0),
        },
        verified_instructions: field(text, "verified_insns:"),
    })
}

fn is_other(text: &str) -> bool {
    ["map_id:", "btf_id:", "link_id:"].iter().any(|name| field(text, name).is_some())
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "pos:\t0\nflags:\t02000002\nprog_type:\t7\nprog_jited:\t1\nprog_tag:\t99b9312f0fb66c62\n\
                           memlock:\t8192\nprog_id:\t434\nrun_time_ns:\t3807934\nrun_cnt:\t5105\n\
                           recursion_misses:\t0\nverified_insns:\t310706\n";

    #[test]
    fn programs_are_told_from_files_maps_and_links_and_counted_once() {
        let texts = [
            "pos:\t0\nflags:\t0100002\n",
            PROGRAM,
            "map_type:\t27\nmap_id:\t9\n",
            "link_type:\traw_tracepoint\nlink_id:\t3\nprog_tag:\t11\nprog_id:\t2\n",
            "prog_type:\t5\nprog_id:\t2\n",
            PROGRAM,
        ]
        .map(str::to_owned);
        let programs = vec![
            Program { id: 2, kind: 5, runs: Runs::default(), verified_instructions: None },
            Program {
                id: 434,
                kind: 7,
                runs: Runs { time_ns: 3_807_934, count: 5105 },
                verified_instructions: Some(310_706),
            },
        ];
        let held = parse(&texts);
        assert_eq!(held, Held { programs, n_others: 2, rings: vec![9] });
        let samplers: Vec<u64> = held.programs.iter().filter(|it| it.is_sampler()).map(|it| it.id).collect();
        assert_eq!(samplers, [434]);
    }

    #[test]
    fn what_was_run_between_two_readings_is_a_difference_of_sums() {
        let program = |time_ns, count| Program {
            id: count,
            kind: 7,
            runs: Runs { time_ns, count },
            verified_instructions: None,
        };
        let before = Runs::of(&[program(100, 1)]);
        let after = Runs::of(&[program(400, 3), program(1000, 4)]);
        assert_eq!(after.since(before), Some(Runs { time_ns: 1300, count: 6 }));
        assert_eq!(before.since(after), None, "a program has gone");
    }
}
