//! The JSON report, as a program that relies on its documented keys reads it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The keys that tests look at.
#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "the keys are described where the agent writes them")]
pub struct Report {
    pub frequency_hz: u64,
    pub start_unix_ns: u64,
    pub duration_ns: u64,
    pub samples: u64,
    pub lost: u64,
    pub lost_by_cause: BTreeMap<String, u64>,
    pub stacks: Stacks,
    pub unwind_tables: UnwindTables,
    pub first_stacks: FirstStacks,
    pub overhead: Overhead,
    pub allocations: Option<Allocations>,
    pub probes: Option<Probes>,
    pub times: Option<Times>,
    pub loops: Option<Loops>,
    pub totals: Vec<Total>,
    pub top: Vec<Top>,
    #[serde(default)]
    pub top_stacks: Vec<TopStack>,
    pub processes: Vec<Process>,
    pub threads: Vec<Thread>,
    pub comments: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Stacks {
    pub complete: u64,
    pub truncated: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct UnwindTables {
    pub tables_evicted: u64,
    pub tables_without_room: u64,
    pub tables_from_cache: u64,
    pub tables_cached: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct FirstStacks {
    pub until_first_whole_ns: Option<u64>,
    pub new_images: u64,
    pub whole_at_once: u64,
    pub never_whole: u64,
    pub max_ns: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Overhead {
    /// Of the sampling program; none if the kernel keeps no statistics for the agent.
    pub kernel_ns_per_sample: Option<f64>,
    pub table_bytes: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Allocations {
    pub live: Option<Live>,
    pub stacks: Vec<AllocationStack>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct AllocationStack {
    pub frames: Vec<String>,
    pub alloc_bytes: u64,
    pub alloc_bytes_error: u64,
    pub live: Option<Live>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Probes {
    pub on_percent: f64,
    pub times_on: u64,
    pub at_once: bool,
    pub refused: u64,
    pub each: Vec<ProbeUse>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct ProbeUse {
    pub function: String,
    pub file: String,
    pub processes: u64,
    pub hits: Option<u64>,
    pub cpu_percent: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Live {
    pub bytes: u64,
    pub growth_percent: f64,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Verdict {
    pub kind: String,
    pub rate_bytes_per_second: f64,
    pub reasons: Vec<String>,
}

impl Allocations {
    /// Bytes that functions of this name allocated, and those of them that live.
    #[must_use]
    pub fn of(&self, function: &str) -> (u64, u64) {
        let stacks = self.stacks.iter().filter(|stack| stack.frames.iter().any(|frame| frame == function));
        stacks.fold((0, 0), |(allocated, live), stack| {
            (allocated + stack.alloc_bytes, live + stack.live.as_ref().map_or(0, |live| live.bytes))
        })
    }
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Loops {
    pub stall_ns: u64,
    pub groups: Vec<LoopGroup>,
    pub workers: Vec<WorkerLoop>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct LoopGroup {
    pub process: String,
    pub workers: u64,
    pub busy_percent: f64,
    pub imbalance: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct WorkerLoop {
    pub pid: u32,
    pub tid: u32,
    pub busy_percent: f64,
    pub iterations: u64,
    pub median_ns: u64,
    pub max_ns: u64,
    pub stalls: u64,
    pub stalled_ns: u64,
    pub histogram: Vec<LoopBucket>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct LoopBucket {
    pub from_ns: u64,
    pub count: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Times {
    pub min_block_ns: u64,
    pub threads: Vec<ThreadTime>,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct ThreadTime {
    pub pid: u32,
    pub process: String,
    pub tid: u32,
    pub elapsed_ns: u64,
    pub on_cpu_ns: u64,
    pub blocked_ns: u64,
    pub idle_ns: u64,
    pub runnable_ns: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Total {
    pub kind: String,
    pub unit: String,
    pub value: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct TopStack {
    pub frames: Vec<TopFrame>,
    pub value: u64,
    pub percent: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct TopFrame {
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Top {
    pub name: String,
    pub module: Option<String>,
    pub self_value: u64,
    pub total_value: u64,
    pub self_percent: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Process {
    pub pid: u32,
    pub name: String,
    pub value: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Thread {
    pub pid: u32,
    pub tid: u32,
    pub name: String,
    pub value: u64,
    pub percent: f64,
}

impl Report {
    /// Samples of a process.
    #[must_use]
    pub fn samples_of(&self, pid: u32) -> u64 {
        self.processes.iter().filter(|process| process.pid == pid).map(|process| process.value).sum()
    }

    /// The sum of a value type; 0 if there is none of that kind.
    #[must_use]
    pub fn total(&self, kind: &str) -> u64 {
        self.totals.iter().filter(|total| total.kind == kind).map(|total| total.value).sum()
    }

    /// What a comment that begins with a number and goes on with these words counts; 0 without one.
    #[must_use]
    pub fn counted(&self, words: &str) -> u64 {
        let counts = self.comments.iter().filter_map(|comment| {
            let (count, rest) = comment.split_once(' ')?;
            rest.starts_with(words).then(|| count.parse::<u64>().ok())?
        });
        counts.sum()
    }

    /// The share of a function itself, in percent; 0 if it is not among the first hundred.
    #[must_use]
    pub fn self_percent(&self, function: &str) -> f64 {
        self.top.iter().filter(|top| top.name == function).map(|top| top.self_percent).sum()
    }

    /// What is wrong with the sums: each sample is counted once in every way of counting.
    #[must_use]
    pub fn wrong_sums(&self) -> Vec<String> {
        let samples = self.samples;
        let of_type =
            |kind: &str| self.totals.iter().find(|total| total.kind == kind).map(|total| total.value);
        let cpu_ns = samples * (1_000_000_000 / self.frequency_hz);
        let sums = [
            ("processes", self.processes.iter().map(|it| it.value).sum(), samples),
            ("threads", self.threads.iter().map(|it| it.value).sum(), samples),
            ("stacks", self.stacks.complete + self.stacks.truncated.values().sum::<u64>(), samples),
            ("causes of loss", self.lost_by_cause.values().sum(), self.lost),
            ("total of samples", of_type("samples").unwrap_or_default(), samples),
            ("total of CPU time", of_type("cpu").unwrap_or_default(), cpu_ns),
        ];
        let wrong = sums.into_iter().filter(|(_, sum, expected)| sum != expected);
        let mut wrong: Vec<String> =
            wrong.map(|(what, sum, expected)| format!("{what}: {sum}, not {expected}")).collect();
        // The kernel side took it, and it neither came nor was counted as lost.
        for cause in ["unexplained", "undecoded_records"] {
            wrong.extend(self.lost_by_cause.get(cause).map(|count| format!("{count} {cause}")));
        }
        wrong
    }
}
