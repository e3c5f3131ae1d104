//! All the time of each thread: what samples tell of, and what they do not.

use std::collections::{BTreeMap, HashMap};

use abi::off_cpu::{BLOCKED, IDLE, N_KINDS, ON_CPU, RUNNABLE};
use profile::{Profile, ThreadTime, Times};

use super::{Collected, values};
use crate::{
    kernel::OffCpu,
    off_cpu::{Untold, kind_of},
    process::ImageId,
};

/// A thread of a process, whatever images that has had.
type Whose = (u32, u32);

/// Frames in the place of a stack.
const BETWEEN_SAMPLES: &str = "[on a CPU, never sampled]";
const SHORT: [&str; N_KINDS] = ["", "[blocked, shorter than --min-block]", "[idle]", "[waiting for a CPU]"];
const UNDER_WAY: [&str; N_KINDS] = ["", "[blocked, not over at the end]", "[idle]", "[waiting for a CPU]"];

/// What the kernel side has measured of each thread, beside its samples.
pub(super) struct Measured {
    off_cpu: OffCpu,
    /// With the last image of each.
    untold: BTreeMap<Whose, (ImageId, Untold)>,
    /// Samples of CPU time.
    n_cpu_samples: HashMap<Whose, u64>,
    /// Time off the CPU that samples tell of.
    told_ns: HashMap<Whose, [u64; N_KINDS]>,
}

impl Measured {
    /// Of what was collected, if time off the CPU was measured.
    pub(super) fn of(collected: Collected<'_>) -> Option<Self> {
        let (off_cpu, threads) = (collected.source.off_cpu()?, collected.threads?);
        let pid = |image| Some(collected.processes.image(image)?.pid);
        let mut measured =
            Self { off_cpu, untold: BTreeMap::new(), n_cpu_samples: HashMap::new(), told_ns: HashMap::new() };
        for (image, tid, untold) in threads.all() {
            let Some(whose) = pid(image).map(|pid| (pid, tid)) else { continue };
            let (last, sums) = measured.untold.entry(whose).or_insert((image, Untold::default()));
            *last = image.max(*last);
            sums.add(untold);
        }
        for (key, counted) in collected.aggregate.counted() {
            let Some(whose) = pid(key.image).map(|pid| (pid, key.tid)) else { continue };
            match kind_of(key.event) {
                Some(kind) => {
                    let sum = &mut measured.told_ns.entry(whose).or_default()[kind];
                    *sum = sum.saturating_add(counted.weight);
                }
                None => *measured.n_cpu_samples.entry(whose).or_default() += counted.n_samples,
            }
        }
        Some(measured)
    }

    /// What a sample of CPU time stands for: where all is to add up, its part of the time that the thread had a CPU.
    pub(super) fn cpu_sample_ns(&self, pid: u32, tid: u32) -> f64 {
        let whose = (pid, tid);
        match (self.untold.get(&whose), self.n_cpu_samples.get(&whose)) {
            (Some((_, untold)), Some(n_samples @ 1..)) if self.off_cpu.is_wall => {
                untold.over_ns[ON_CPU] as f64 / *n_samples as f64
            }
            _ => 1e9 / self.off_cpu.cpu_frequency_hz.max(1) as f64,
        }
    }

    /// Adds to the profile what no sample tells of, where all is to add up.
    pub(super) fn add_rest(&self, profile: &mut Profile, collected: Collected<'_>) {
        if !self.off_cpu.is_wall {
            return;
        }
        for (whose, (image, untold)) in &self.untold {
            let Some(image) = collected.processes.image(*image) else { continue };
            let process = profile.process(image.pid, &image.name);
            let thread = profile.thread(process, whose.1, image.thread_name(whose.1));
            let mut add = |frame, kind, n_ns| {
                if n_ns > 0 {
                    let stack = [profile.reason(frame)];
                    let stack = profile.stack(stack);
                    // The profile was made with the types of these values, so it cannot refuse them.
                    let added = profile.add(stack, thread, &values::of_time(self.off_cpu, kind, 0, n_ns));
                    debug_assert!(added.is_ok(), "{added:?}");
                }
            };
            if !self.n_cpu_samples.contains_key(whose) {
                add(BETWEEN_SAMPLES, ON_CPU, untold.over_ns[ON_CPU]);
            }
            for kind in [BLOCKED, IDLE, RUNNABLE] {
                add(SHORT[kind], kind, untold.over_ns[kind]);
                add(UNDER_WAY[kind], kind, untold.under_way_ns[kind]);
            }
        }
    }

    /// Where the time of each thread went, those that waited for something first.
    pub(super) fn into_report(self, collected: Collected<'_>) -> Times {
        let time = |(whose, (image, untold)): (&Whose, &(ImageId, Untold))| {
            let image = collected.processes.image(*image)?;
            let told = self.told_ns.get(whose).copied().unwrap_or_default();
            let sum = |kind: usize| {
                untold.over_ns[kind].saturating_add(untold.under_way_ns[kind]).saturating_add(told[kind])
            };
            let [on_cpu_ns, blocked_ns, idle_ns, runnable_ns] = [ON_CPU, BLOCKED, IDLE, RUNNABLE].map(sum);
            Some(ThreadTime {
                pid: image.pid,
                process: image.name.clone(),
                tid: whose.1,
                name: image.thread_name(whose.1).to_owned(),
                elapsed_ns: on_cpu_ns + blocked_ns + idle_ns + runnable_ns,
                on_cpu_ns,
                blocked_ns,
                idle_ns,
                runnable_ns,
            })
        };
        let mut threads: Vec<ThreadTime> = self.untold.iter().filter_map(time).collect();
        threads.sort_by_key(|it| std::cmp::Reverse((it.blocked_ns + it.runnable_ns, it.on_cpu_ns)));
        Times { min_block_ns: self.off_cpu.min_block_ns, threads }
    }
}
