//! What we cost, as the kernel counts it.

use std::{
    fs,
    iter::Sum,
    os::fd::{AsRawFd as _, OwnedFd},
    sync::OnceLock,
    time::Duration,
};

use aya::{
    Ebpf,
    sys::{Stats, enable_stats},
};

use super::Source;

/// Run time of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// In all.
    pub run_time: Duration,
    /// How often it ran.
    pub n_runs: u64,
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |a, b| Self {
            run_time: a.run_time + b.run_time,
            n_runs: a.n_runs + b.n_runs,
        })
    }
}

/// Whether the kernel times all programs of this host anyway.
const FOR_ALL: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// As long as this is there, the kernel times our programs.
pub(super) enum Statistics {
    /// While the descriptor is open (`BPF_ENABLE_STATS`).
    Held { _descriptor: OwnedFd },
    /// It does so until the process ends, or for everybody.
    Standing,
}

/// Statistics that were switched on while it was still allowed.
static KEPT: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// Has the kernel time programs until this process ends, which takes `CAP_SYS_ADMIN`: a process that gives it up can still
/// tell its own cost. Gives whether it does.
pub fn keep_statistics() -> bool {
    KEPT.get_or_init(|| enable_stats(Stats::RunTime).ok()).is_some() || is_enabled_for_all()
}

/// Has the kernel time our programs; `None` if it refuses.
pub(super) fn enable_statistics() -> Option<Statistics> {
    if KEPT.get().is_some_and(Option::is_some) || is_enabled_for_all() {
        return Some(Statistics::Standing);
    }
    enable_stats(Stats::RunTime).ok().map(|descriptor| Statistics::Held { _descriptor: descriptor })
}

/// The same if anybody will be told: requests have no such figure, and the clock is read twice at each run.
pub(super) fn enable_statistics_of(sources: &[Source]) -> Option<Statistics> {
    let is_told = |source: &Source| !matches!(source, Source::Requests(_));
    if sources.iter().any(is_told) { enable_statistics() } else { None }
}

fn is_enabled_for_all() -> bool {
    fs::read_to_string(FOR_ALL).is_ok_and(|text| text.trim() == "1")
}

/// Statistics of one program.
pub(super) fn of_program(ebpf: &Ebpf, name: &str) -> Option<Cost> {
    let info = ebpf.program(name)?.info().ok()?;
    Some(Cost { run_time: info.run_time(), n_runs: info.run_count() })
}

/// Statistics of a program that aya does not know (`bpf_prog_show_fdinfo` in kernel/bpf/syscall.c).
pub(super) fn of_descriptor(program: &OwnedFd) -> Option<Cost> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).ok()?;
    let run_time = Duration::from_nanos(field(&text, "run_time_ns:")?);
    Some(Cost { run_time, n_runs: field(&text, "run_cnt:")? })
}

/// Memory of all maps that this process holds, from the kernel's own figure for each
/// (`memlock:` in /proc/self/fdinfo, `bpf_map_show_fdinfo` in kernel/bpf/syscall.c).
pub(super) fn table_bytes() -> u64 {
    let Ok(entries) = fs::read_dir("/proc/self/fdinfo") else { return 0 };
    // A map can be open more than once: count each ID one time.
    let mut maps: Vec<(u64, u64)> = entries
        .flatten()
        .filter_map(|entry| {
            let text = fs::read_to_string(entry.path()).ok()?;
            Some((field(&text, "map_id:")?, field(&text, "memlock:")?))
        })
        .collect();
    maps.sort_unstable();
    maps.dedup();
    maps.iter().map(|(_, n_bytes)| n_bytes).sum()
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
}
