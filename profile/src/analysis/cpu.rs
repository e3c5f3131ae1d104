//! CPU time: hot functions, groups, threads, and what of it holds a worker up.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{
    attribution::Attribution,
    cpu_advice,
    groups::Group,
    proxy::Proxy,
    report::{Analysis, Bottleneck},
    stacks::{self, Stacks},
    whose::Whose,
};
use crate::{Profile, Sample, ThreadHandle, hotspots, units::rounded};

/// From this share on, a function or a group is named.
const HOT_PERCENT: f64 = 10.0;
/// A thread that is busy for so much of the time has none left.
const SATURATED_PERCENT: f64 = 90.0;
/// Shares of fewer samples may be anything.
const MIN_SAMPLES: i64 = 300;
/// A target that takes less of a CPU has no use for advice on CPU time.
const MIN_CPU_PERCENT: f64 = 5.0;
const MAX_THREADS: usize = 64;
/// Probes that take less disturb no share.
const PROBES_PERCENT: f64 = 1.0;

/// Where CPU time went.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the keys are described once, as a table, in docs/analyze.md")]
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
    #[serde(flatten)]
    pub whose: Whose,
    /// Of the time of the recording.
    pub busy_percent: f64,
}

/// Adds what CPU time says; `has_more` where other time was measured, too, and may be what matters.
pub(super) fn add(
    analysis: &mut Analysis,
    profile: &Profile,
    proxy: Option<Proxy>,
    n_requests: Option<u64>,
    has_more: bool,
) {
    let meta = profile.meta();
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
    if is_idle && (has_more || samples >= MIN_SAMPLES) {
        analysis.notes.push(format!(
            "the target took {:.1} % of a CPU: CPU time does not hold it up, and nothing is advised about it",
            cpu_percent.unwrap_or(0.0)
        ));
    } else if samples < MIN_SAMPLES {
        analysis.notes.push(format!(
            "{samples} samples are too few to say what is slow: record for longer, or at a higher rate"
        ));
    } else {
        let lost = Lost::of(profile);
        analysis.bottlenecks.extend(bottlenecks(profile, &cpu, &lost));
        let share = lost.percent(&lost.all);
        analysis.advice.extend(cpu_advice::of(profile, proxy).into_iter().map(|mut advice| {
            advice.weight_percent = share * advice.gain.percent_high / 100.0;
            advice
        }));
        analysis.notes.extend(unnamed_libraries(profile, &cpu));
    }
    analysis.notes.extend(probes(&cpu));
    analysis.cpu = Some(cpu);
}

/// CPU time as time that a worker loses. What arrives while a thread is busy waits: so CPU time counts by how busy its thread
/// is. A thread with half of its time left loses half of what it works; one without any loses all of it.
struct Lost {
    /// By thread, in the unit that samples are weighed by.
    all: HashMap<ThreadHandle, f64>,
    total: f64,
    /// Of such a unit, in the time of the recording; `None` if the profile does not say, or not who.
    share: Option<f64>,
}

impl Lost {
    fn of(profile: &Profile) -> Self {
        let weight_idx = profile.weight_idx();
        let total = profile.total(weight_idx) as f64;
        let all: HashMap<ThreadHandle, f64> = hotspots::by_thread(profile, weight_idx)
            .into_iter()
            .map(|(thread, value)| (thread, value.max(0) as f64))
            .collect();
        let are_known =
            all.keys().all(|thread| profile.thread_at(*thread).is_some_and(|thread| thread.tid != 0));
        let cpu_ns =
            profile.value_types().iter().position(|it| it.kind == "cpu").map(|at| profile.total(at) as f64);
        let duration_ns = profile.meta().duration_ns as f64;
        let share = cpu_ns
            .filter(|_| are_known && duration_ns > 0.0 && total > 0.0)
            .map(|cpu_ns| cpu_ns / total / duration_ns);
        Self { all, total, share }
    }

    /// Of the time of the thread that loses most.
    fn percent(&self, part: &HashMap<ThreadHandle, f64>) -> f64 {
        let Some(share) = self.share else {
            return 100.0 * part.values().sum::<f64>() / self.total.max(1.0);
        };
        let lost = part.iter().map(|(thread, value)| {
            let busy = self.all.get(thread).map_or(0.0, |all| (all * share).min(1.0));
            100.0 * (value * share).min(1.0) * busy
        });
        lost.fold(0.0, f64::max)
    }
}

/// The groups and functions that took a tenth or more, by what that costs a worker.
fn bottlenecks(profile: &Profile, cpu: &CpuAnalysis, lost: &Lost) -> Vec<Bottleneck> {
    let attribution = Attribution::of(profile);
    let full = saturated(cpu);
    let of = |is_part: &dyn Fn(&Sample<'_>) -> bool| {
        let (mut part, mut stacks) = (HashMap::new(), Stacks::default());
        for sample in profile.samples().filter(is_part) {
            let value = sample.values.get(profile.weight_idx()).map_or(0.0, |&value| value.max(0) as f64);
            *part.entry(sample.thread).or_default() += value;
            let leaf_first: Vec<_> = profile.leaf_to_root(sample.stack).collect();
            stacks.add(value, &leaf_first);
        }
        (lost.percent(&part), stacks::names(profile, stacks.heaviest()))
    };
    let mut bottlenecks = Vec::new();
    let is_work = |group| !matches!(group, Group::Other | Group::Probes);
    for it in cpu.groups.iter().filter(|it| it.percent >= HOT_PERCENT && is_work(it.group)) {
        let is_part = |sample: &Sample<'_>| attribution.group(profile.leaf_to_root(sample.stack)) == it.group;
        let (weight_percent, stack) = of(&is_part);
        let top: Vec<String> =
            it.top.iter().map(|(name, percent)| format!("{name} {percent:.1} %")).collect();
        let evidence = format!("{:.1} % of CPU time: {}{}", it.percent, top.join(", "), full);
        let what = it.group.name().to_owned();
        bottlenecks.push(Bottleneck { weight_percent, group: it.group, what, evidence, stack });
    }
    let own = cpu.hotspots.iter().filter(|it| it.self_percent >= HOT_PERCENT && it.group == Group::Other);
    for it in own {
        let is_part = |sample: &Sample<'_>| {
            let leaf = profile.leaf_to_root(sample.stack).next().and_then(|leaf| profile.frame_at(leaf));
            leaf.is_some_and(|leaf| profile.frame_name(leaf) == it.name)
        };
        let (weight_percent, stack) = of(&is_part);
        let evidence = format!("{:.1} % of CPU time in the function itself{}", it.self_percent, full);
        let what = it.name.clone();
        bottlenecks.push(Bottleneck { weight_percent, group: Group::Other, what, evidence, stack });
    }
    if bottlenecks.is_empty() && !full.is_empty() {
        let (weight_percent, stack) = of(&|_| true);
        let evidence = full.trim_start_matches("; ").to_owned();
        let what = "no CPU time is left".to_owned();
        bottlenecks.push(Bottleneck { weight_percent, group: Group::Other, what, evidence, stack });
    }
    bottlenecks
}

/// `; nginx (4711) was on a CPU for 97 % of the time, and so were 2 of 4 threads that run`, if any has no time left.
fn saturated(cpu: &CpuAnalysis) -> String {
    let full: Vec<&ThreadShare> =
        cpu.threads.iter().filter(|thread| thread.busy_percent >= SATURATED_PERCENT).collect();
    let Some(first) = full.first() else { return String::new() };
    let and = match full.len() {
        1 => String::new(),
        n_full => format!("; {n_full} of {} threads that run have no time left", cpu.threads.len()),
    };
    format!("; {} was on a CPU for {:.0} % of the time{and}", first.whose.text(), first.busy_percent)
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

/// What measuring takes is nothing that the target could do without, and makes it seem busier than it is.
fn probes(cpu: &CpuAnalysis) -> Option<String> {
    let it = cpu.groups.iter().find(|it| it.group == Group::Probes && it.percent >= PROBES_PERCENT)?;
    Some(format!(
        "{:.1} % of CPU time went to stops at probes, which the target does not have while nobody measures: those on libraries for \
         TLS are there with --tls only",
        it.percent
    ))
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
            "functions of {} have no names, so little can be seen of how it is used: `agent record --debuginfod` asks for them",
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
        let whose = Whose::of(profile, handle).filter(|whose| whose.tid != 0)?;
        Some(ThreadShare { whose, busy_percent: rounded(100.0 * value as f64 / duration_ns as f64) })
    })
    .collect()
}
