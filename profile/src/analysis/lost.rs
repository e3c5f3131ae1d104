//! What holds workers up besides their CPU time: waits, stalls, and work that is not shared out.

use std::collections::BTreeMap;

use super::{
    event_loop::{self, LoopAnalysis},
    groups::Group,
    off_cpu,
    report::Bottleneck,
    waits::{self, WaitKind},
    whose::Whose,
};
use crate::{FrameHandle, LoopGroup, Profile, units::time_text};

/// A worker that loses less of its time does not lose enough to speak of.
const WORTH_PERCENT: f64 = 0.5;
/// A worker that is so much busier than the average, and has so little time left, has too much to do.
const IMBALANCE: f64 = 1.5;
const BUSY_PERCENT: f64 = 50.0;
/// Of what a thread waits, which its stalls explain.
const EXPLAINED_SHARE: f64 = 0.5;

const PLAIN_WRITE: &str = "ksys_write __x64_sys_write";
const LOG: &str = "ngx_http_log_* ngx_log_* ngx_stream_log_* __send_log* Envoy::AccessLog::*";

/// Something that holds a worker up.
pub(super) struct Loss {
    pub(super) bottleneck: Bottleneck,
    pub(super) whose: Whose,
    /// What is waited for; none if something runs.
    pub(super) waits_for: Option<WaitKind>,
    pub(super) function: Option<String>,
    pub(super) has_loop: bool,
    pub(super) hints: Hints,
}

/// What the heaviest stack tells of the call that waits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hints {
    /// `write`, and not `pwrite` or `writev`.
    pub(super) is_plain_write: bool,
    /// The part of a server that writes its log.
    pub(super) is_log: bool,
    /// Where its files are.
    pub(super) elsewhere: Option<&'static str>,
}

impl Hints {
    fn of(profile: &Profile, stack: &[FrameHandle]) -> Self {
        Self {
            is_plain_write: waits::has(profile, stack, PLAIN_WRITE),
            is_log: waits::has(profile, stack, LOG),
            elsewhere: waits::elsewhere(profile, stack),
        }
    }
}

/// Workers of one process name that lose time in the same way.
type Key = (String, Option<WaitKind>, Option<String>);

/// Everything that stalls and waits say, each of it once.
pub(super) fn of(
    stalls: Option<(&Profile, &LoopAnalysis, &[event_loop::Found])>,
    off_cpu: Option<(&Profile, &[off_cpu::Found])>,
) -> Vec<Loss> {
    let mut losses: BTreeMap<Key, Vec<Loss>> = BTreeMap::new();
    let mut stalled_percent: BTreeMap<(u32, WaitKind), f64> = BTreeMap::new();
    if let Some((profile, analysis, found)) = stalls {
        for it in found {
            let stall = &it.stall;
            let explained = [(stall.waits_for, stall.percent), (Some(WaitKind::Cpu), it.runnable_percent)];
            for (kind, percent) in explained {
                if let Some(kind) = kind {
                    *stalled_percent.entry((stall.whose.tid, kind)).or_default() += percent;
                }
            }
            // Of one function, or of one kind of wait, whichever function that is in.
            let function = stall.function.clone().filter(|_| stall.waits_for.is_none());
            let key = (stall.whose.process.clone(), stall.waits_for, function);
            losses.entry(key).or_default().push(of_stall(profile, analysis, it));
        }
    }
    if let Some((profile, found)) = off_cpu {
        for it in found.iter().filter(|it| it.holds_up) {
            let wait = &it.wait;
            let stalled = stalled_percent.get(&(wait.whose.tid, wait.kind)).copied().unwrap_or(0.0);
            // Its stalls say the same, and more.
            if stalled >= EXPLAINED_SHARE * wait.percent {
                continue;
            }
            let known = losses.entry((wait.whose.process.clone(), Some(wait.kind), None)).or_default();
            // Of the same thread, this is the larger sum.
            known.retain(|loss| loss.whose.tid != wait.whose.tid);
            known.push(of_wait(profile, it));
        }
    }
    let worth = losses.into_values().filter_map(merged);
    worth.filter(|loss| loss.bottleneck.weight_percent >= WORTH_PERCENT).collect()
}

/// The heaviest of several workers, and how many there are.
fn merged(mut all: Vec<Loss>) -> Option<Loss> {
    all.sort_by(|a, b| b.bottleneck.weight_percent.total_cmp(&a.bottleneck.weight_percent));
    let n_all = all.iter().filter(|it| it.bottleneck.weight_percent >= WORTH_PERCENT).count();
    let mut heaviest = all.into_iter().next()?;
    if n_all > 1 {
        heaviest.bottleneck.evidence.push_str(&format!("; {n_all} threads of that process name do"));
    }
    Some(heaviest)
}

fn of_stall(profile: &Profile, analysis: &LoopAnalysis, found: &event_loop::Found) -> Loss {
    let stall = &found.stall;
    let worker = analysis.workers.iter().find(|it| it.whose.tid == stall.whose.tid);
    let mut evidence = format!("{:.1} % of the time of {}", stall.percent, stall.whose.text());
    if let Some((worker, stall_ns)) = worker.zip(analysis.stall_ns) {
        evidence.push_str(&format!(
            "; {} iterations of {} and longer, the longest {}",
            worker.stalls,
            time_text(stall_ns),
            time_text(worker.max_ns)
        ));
    }
    let within = |what: &str| stall.function.as_ref().map_or(String::new(), |it| format!("{what}{it}"));
    let group = if stall.group == Group::Other { Group::EventLoop } else { stall.group };
    if group != Group::EventLoop && group != Group::Waiting {
        evidence.push_str(&format!("; most of it is {}", group.name()));
    }
    let what = match (stall.waits_for, found.is_sampled) {
        (Some(kind), _) => {
            evidence.push_str(&within("; in "));
            format!("the event loop of {} waits {}", stall.whose.process, kind.name())
        }
        (None, true) => format!("the event loop of {} is held up{}", stall.whose.process, within(" by ")),
        (None, false) => {
            format!("the event loop of {} is held up by what had no sample", stall.whose.process)
        }
    };
    Loss {
        bottleneck: Bottleneck {
            weight_percent: stall.percent,
            group,
            what,
            evidence,
            stack: stall.stack.clone(),
        },
        whose: stall.whose.clone(),
        waits_for: stall.waits_for,
        function: stall.function.clone(),
        has_loop: true,
        hints: Hints::of(profile, found.stacks.heaviest()),
    }
}

fn of_wait(profile: &Profile, found: &off_cpu::Found) -> Loss {
    let wait = &found.wait;
    let within = wait.function.as_ref().map_or(String::new(), |it| format!("; in {it}"));
    let evidence = format!(
        "{:.1} % of the time of {}; {} waits, {} on average{within}",
        wait.percent,
        wait.whose.text(),
        wait.waits,
        time_text(wait.mean_ns)
    );
    Loss {
        bottleneck: Bottleneck {
            weight_percent: wait.percent,
            group: Group::Waiting,
            what: format!("{} waits {}", wait.whose.process, wait.kind.name()),
            evidence,
            stack: wait.stack.clone(),
        },
        whose: wait.whose.clone(),
        waits_for: Some(wait.kind),
        function: wait.function.clone(),
        has_loop: wait.in_event_loop,
        hints: Hints::of(profile, found.stacks.heaviest()),
    }
}

/// Workers of which one has too much to do while others have time left.
pub(super) fn imbalanced(analysis: &LoopAnalysis) -> Vec<(LoopGroup, Bottleneck)> {
    let is_uneven = |group: &&LoopGroup| {
        group.workers > 1 && group.imbalance >= IMBALANCE && group.busiest_percent >= BUSY_PERCENT
    };
    let bottleneck = |group: &LoopGroup| {
        // What others could do in its place, as far as somebody waits for it.
        let lost = (group.busiest_percent - group.busy_percent) * group.busiest_percent / 100.0;
        let bottleneck = Bottleneck {
            weight_percent: lost,
            group: Group::EventLoop,
            what: format!("one worker of {} has most of the work", group.process),
            evidence: format!(
                "the busiest of {} workers is busy for {:.1} % of the time, all of them for {:.1} % on average",
                group.workers, group.busiest_percent, group.busy_percent
            ),
            stack: Vec::new(),
        };
        (group.clone(), bottleneck)
    };
    analysis.groups.iter().filter(is_uneven).map(bottleneck).collect()
}
