//! The analysis as data: the same for text, JSON and HTML.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{advice::Advice, attribution::Attribution, cpu_advice, groups::Group, proxy, proxy::Proxy};
use crate::{Profile, hotspots, units::rounded};

/// From this share on, a function or a group is named.
const HOT_PERCENT: f64 = 10.0;
/// A thread that is busy for so much of the time has none left.
const SATURATED_PERCENT: f64 = 90.0;
/// Shares of fewer samples may be anything.
const MIN_SAMPLES: i64 = 300;
/// A target that takes less of a CPU has no use for advice on CPU time.
const MIN_CPU_PERCENT: f64 = 5.0;
const MAX_THREADS: usize = 64;

/// What the evidence says. `docs/analyze.md` tells what each key holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, in docs/analyze.md")]
pub struct Analysis {
    pub target: String,
    pub host: String,
    pub proxy: Option<Proxy>,
    pub duration_ns: u64,
    pub cpu: Option<CpuAnalysis>,
    pub bottlenecks: Vec<Bottleneck>,
    pub advice: Vec<Advice>,
    pub notes: Vec<String>,
}

/// Where CPU time went.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct CpuAnalysis {
    pub samples: i64,
    pub cpu_percent: Option<f64>,
    pub ns_per_request: Option<f64>,
    pub hotspots: Vec<HotFunction>,
    pub groups: Vec<GroupShare>,
    pub threads: Vec<ThreadShare>,
}

/// A function that took more than a tenth, in itself or with all that it called.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct HotFunction {
    pub name: String,
    pub module: Option<String>,
    pub self_percent: f64,
    pub total_percent: f64,
    pub group: Group,
}

/// What a kind of work took.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct GroupShare {
    pub group: Group,
    pub percent: f64,
    /// The functions that took most of it, as the innermost of their stacks.
    pub top: Vec<(String, f64)>,
}

/// How busy a thread was.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct ThreadShare {
    pub process: String,
    pub pid: u32,
    pub thread: String,
    pub tid: u32,
    /// Of the time of the recording.
    pub busy_percent: f64,
}

/// What holds the target up.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[expect(missing_docs, reason = "as above")]
pub struct Bottleneck {
    /// What it is sorted by: of all time of the threads that it holds up.
    pub weight_percent: f64,
    pub what: String,
    pub evidence: String,
}

impl Analysis {
    /// Puts first what weighs most.
    pub(super) fn finish(&mut self) {
        self.bottlenecks
            .sort_by(|a, b| b.weight_percent.total_cmp(&a.weight_percent).then_with(|| a.what.cmp(&b.what)));
        self.advice.sort_by(|a, b| b.gain.cpu_percent_high.total_cmp(&a.gain.cpu_percent_high));
        for advice in &mut self.advice {
            let gain = &mut advice.gain;
            (gain.cpu_percent_low, gain.cpu_percent_high) =
                (rounded(gain.cpu_percent_low), rounded(gain.cpu_percent_high));
        }
    }
}

pub(super) fn add_cpu(analysis: &mut Analysis, profile: &Profile, n_requests: Option<u64>) {
    let meta = profile.meta();
    (analysis.target, analysis.host) = (meta.command.clone(), meta.host.clone());
    analysis.duration_ns = meta.duration_ns;
    analysis.proxy = proxy::recognize(profile);
    let column = |kind: &str| profile.value_types().iter().position(|it| it.kind == kind);
    let weight_idx = profile.weight_idx();
    let total = profile.total(weight_idx);
    let samples = column("samples").map_or(total, |at| profile.total(at));
    let cpu_ns = column("cpu").map(|at| profile.total(at) as f64);
    let cpu_percent = cpu_ns
        .filter(|_| meta.duration_ns > 0)
        .map(|cpu_ns| rounded(100.0 * cpu_ns / meta.duration_ns as f64));
    let cpu = CpuAnalysis {
        samples,
        cpu_percent,
        ns_per_request: cpu_ns.zip(n_requests).filter(|(_, n)| *n > 0).map(|(ns, n)| (ns / n as f64).round()),
        hotspots: hot_functions(profile),
        groups: groups(profile),
        threads: threads(profile),
    };
    let is_idle = cpu_percent.is_some_and(|percent| percent < MIN_CPU_PERCENT);
    if samples < MIN_SAMPLES {
        analysis.notes.push(format!(
            "{samples} samples are too few to say what is slow: record for longer, or at a higher rate"
        ));
    } else if is_idle {
        analysis.notes.push(format!(
            "the target took {:.1} % of a CPU: CPU time does not hold it up, and nothing is advised about it",
            cpu_percent.unwrap_or(0.0)
        ));
    } else {
        analysis.bottlenecks.extend(bottlenecks(&cpu));
        analysis.advice.extend(cpu_advice::of(profile, analysis.proxy));
        analysis.notes.extend(unnamed_libraries(profile, &cpu));
    }
    analysis.cpu = Some(cpu);
}

fn hot_functions(profile: &Profile) -> Vec<HotFunction> {
    let weight_idx = profile.weight_idx();
    let total = profile.total(weight_idx).max(1) as f64;
    let attribution = Attribution::of(profile);
    let mut group_of = BTreeMap::new();
    for (index, frame) in profile.frames().enumerate() {
        let key = (profile.frame_name(frame).into_owned(), profile.module_name(frame).map(str::to_owned));
        group_of.entry(key).or_insert_with(|| attribution.group_of_frame(index));
    }
    let percent = |value: i64| rounded(100.0 * value as f64 / total);
    let hot = hotspots::top(profile, weight_idx).into_iter();
    hot.map(|spot| HotFunction {
        self_percent: percent(spot.self_value),
        total_percent: percent(spot.total_value),
        group: group_of.get(&(spot.name.clone(), spot.module.clone())).copied().unwrap_or(Group::Other),
        name: spot.name,
        module: spot.module,
    })
    .filter(|spot| spot.self_percent >= HOT_PERCENT || spot.total_percent >= HOT_PERCENT)
    .collect()
}

fn groups(profile: &Profile) -> Vec<GroupShare> {
    const MAX_TOP: usize = 3;
    let weight_idx = profile.weight_idx();
    let total = profile.total(weight_idx).max(1) as f64;
    let attribution = Attribution::of(profile);
    let mut sums: BTreeMap<Group, (f64, BTreeMap<String, f64>)> = BTreeMap::new();
    for sample in profile.samples() {
        let value = sample.values.get(weight_idx).map_or(0.0, |&value| value.max(0) as f64);
        let (sum, by_leaf) = sums.entry(attribution.group(profile.leaf_to_root(sample.stack))).or_default();
        *sum += value;
        let leaf = profile.leaf_to_root(sample.stack).next().and_then(|leaf| profile.frame_at(leaf));
        if let Some(leaf) = leaf {
            *by_leaf.entry(profile.frame_name(leaf).into_owned()).or_default() += value;
        }
    }
    let percent = |value: f64| rounded(100.0 * value / total);
    let mut groups: Vec<GroupShare> = sums
        .into_iter()
        .filter(|(_, (sum, _))| *sum > 0.0)
        .map(|(group, (sum, by_leaf))| {
            let mut top: Vec<(String, f64)> =
                by_leaf.into_iter().map(|(name, value)| (name, percent(value))).collect();
            top.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            top.truncate(MAX_TOP);
            GroupShare { group, percent: percent(sum), top }
        })
        .collect();
    groups.sort_by(|a, b| b.percent.total_cmp(&a.percent));
    groups
}

/// What has no names cannot be seen to be set wrong, and that should be known.
fn unnamed_libraries(profile: &Profile, cpu: &CpuAnalysis) -> Option<String> {
    let unnamed = cpu.hotspots.iter().filter(|spot| {
        let starts_so = |module: &String| {
            spot.name.strip_prefix(module.as_str()).is_some_and(|rest| rest.starts_with("+0x"))
        };
        spot.group != Group::Other && spot.module.as_ref().is_some_and(starts_so)
    });
    let mut modules: Vec<&str> = unnamed.filter_map(|spot| spot.module.as_deref()).collect();
    modules.sort_unstable();
    modules.dedup();
    let has_all = profile.frames().all(|frame| frame.function.is_some());
    (!has_all && !modules.is_empty()).then(|| {
        format!(
            "functions of {} have no names, so it cannot be seen how it is used: `agent record --debuginfod` asks for them",
            modules.join(", ")
        )
    })
}

/// None where the profile does not say how long it is, or has no threads.
fn threads(profile: &Profile) -> Vec<ThreadShare> {
    let duration_ns = profile.meta().duration_ns;
    let Some(cpu) = profile.value_types().iter().position(|it| it.kind == "cpu").filter(|_| duration_ns > 0)
    else {
        return Vec::new();
    };
    let sums = hotspots::by_thread(profile, cpu).into_iter().take(MAX_THREADS);
    sums.filter_map(|(handle, value)| {
        let thread = profile.thread_at(handle).filter(|thread| thread.tid != 0)?;
        let process = profile.process_at(thread.process)?;
        Some(ThreadShare {
            process: profile.text(process.name).to_owned(),
            pid: process.pid,
            thread: profile.text(thread.name).to_owned(),
            tid: thread.tid,
            busy_percent: rounded(100.0 * value as f64 / duration_ns as f64),
        })
    })
    .collect()
}

/// Threads that have no time left, and the groups and functions that took it.
fn bottlenecks(cpu: &CpuAnalysis) -> Vec<Bottleneck> {
    let mut bottlenecks = Vec::new();
    let saturated: Vec<&ThreadShare> =
        cpu.threads.iter().filter(|thread| thread.busy_percent >= SATURATED_PERCENT).collect();
    if let Some(first) = saturated.first() {
        bottlenecks.push(Bottleneck {
            weight_percent: first.busy_percent,
            what: format!(
                "{} of {} threads that run {} no time left",
                saturated.len(),
                cpu.threads.len(),
                if saturated.len() == 1 { "has" } else { "have" }
            ),
            evidence: format!(
                "{} ({}) was on a CPU for {:.0} % of the time",
                first.thread, first.tid, first.busy_percent
            ),
        });
    }
    let named = cpu.groups.iter().filter(|it| it.percent >= HOT_PERCENT && it.group != Group::Other);
    bottlenecks.extend(named.map(|it| {
        Bottleneck {
            weight_percent: it.percent,
            what: it.group.name().to_owned(),
            evidence: it
                .top
                .iter()
                .map(|(name, percent)| format!("{name} {percent:.1} %"))
                .collect::<Vec<_>>()
                .join(", "),
        }
    }));
    let own = cpu.hotspots.iter().filter(|it| it.self_percent >= HOT_PERCENT && it.group == Group::Other);
    bottlenecks.extend(own.map(|it| Bottleneck {
        weight_percent: it.self_percent,
        what: it.name.clone(),
        evidence: format!("{:.1} % in the function itself", it.self_percent),
    }));
    bottlenecks
}
