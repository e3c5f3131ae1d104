//! Probes on the allocators of targets: put in where a process maps one, taken out where they would cost too much.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{trap, world::World};
use crate::{
    alloc::{self, Probe},
    kernel::{Cost, Kernel},
    object::Elf,
    process::{Backing, FileId},
    procfs::cgroup,
};

/// What a hit is taken to cost, program included, where it could not be measured.
const DEFAULT_HIT_NS: f64 = 2000.0;
/// How often the rate is looked at. Less, and a burst at a start would end a long recording.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A process has about ten. Above this, whoever comes is not probed, which the report says.
const MAX_ATTACHED: usize = 4096;

/// A kind of probe that was put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// Of the file.
    pub path: String,
    /// What and where.
    pub probe: Probe,
    /// Processes that have it.
    pub n_processes: u64,
}

/// What became of the probes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbingReport {
    /// Every kind of them.
    pub probed: Vec<Probed>,
    /// The functions that they are on.
    pub functions: Vec<(FileId, Range<u64>)>,
    /// Probes left out because they would have been single-stepped.
    pub left_out: Vec<(String, String)>,
    /// Attachments that the kernel refused, or that were one too many.
    pub n_refused: u64,
    /// Hits and the time that the program took for them.
    pub cost: Option<Cost>,
    /// The rate at which they were taken out, if they were, and when.
    pub ended: Option<(Duration, f64)>,
    /// What one hit costs on this machine, in nanoseconds, without a sample.
    pub hit_ns: f64,
}

/// Probes under way.
pub(super) struct Probing {
    budget_percent: f64,
    /// For a control group: where its members are.
    group: Option<std::path::PathBuf>,
    files: HashMap<FileId, Arc<[Probe]>>,
    /// A probe stays with its process over an exec: the kernel puts it into whatever maps the file.
    armed: HashSet<(u32, FileId)>,
    report: ProbingReport,
    n_attached: usize,
    began: Instant,
    looked: Instant,
    cost_at_start: Cost,
    cost_before: Cost,
}

impl Probing {
    /// Measures what a hit costs; nothing is probed yet.
    pub(super) fn start(kernel: &mut Kernel, budget_percent: f64, group: Option<std::path::PathBuf>) -> Self {
        let hit_ns = trap::measure_ns(kernel).unwrap_or(DEFAULT_HIT_NS);
        let cost_before = kernel.cost().unwrap_or_default();
        let now = Instant::now();
        Self {
            budget_percent,
            group,
            files: HashMap::new(),
            armed: HashSet::new(),
            report: ProbingReport { hit_ns, ..ProbingReport::default() },
            n_attached: 0,
            began: now,
            looked: now,
            cost_at_start: cost_before,
            cost_before,
        }
    }

    /// Puts probes into processes that map an allocator and have none.
    pub(super) fn arm(&mut self, kernel: &mut Kernel, world: &World) {
        if self.report.ended.is_some() {
            return;
        }
        let live: HashSet<u32> = world.processes.live_pids().into_iter().collect();
        self.armed.retain(|(pid, _)| live.contains(pid));
        for pid in live {
            let Some(image) = world.processes.present_image(pid) else { continue };
            for mapping in image.mappings.as_slice() {
                if let Backing::File(file) = mapping.backing
                    && !self.armed.contains(&(pid, file))
                {
                    self.armed.insert((pid, file));
                    self.arm_file(kernel, world, pid, file);
                }
            }
        }
    }

    fn arm_file(&mut self, kernel: &mut Kernel, world: &World, pid: u32, file: FileId) {
        let Some(object) = world.objects.get(&file) else { return };
        let path = || object.path.to_string_lossy().into_owned();
        let probes = match self.files.get(&file) {
            Some(probes) => Arc::clone(probes),
            None => {
                let found = Elf::parse(&object.file).map(|elf| alloc::probes(&elf)).unwrap_or_default();
                let (slow, good): (Vec<Probe>, Vec<Probe>) =
                    found.into_iter().partition(|probe| probe.is_single_stepped);
                self.report.left_out.extend(slow.into_iter().map(|probe| (path(), probe.function)));
                let offsets = good.iter().map(|probe| (file, probe.function_offsets()));
                self.report.functions.extend(offsets);
                let good: Arc<[Probe]> = good.into();
                self.files.insert(file, Arc::clone(&good));
                good
            }
        };
        if probes.is_empty() || !self.is_member(pid) {
            return;
        }
        let Some(number) = NonZeroU32::new(pid) else { return };
        for probe in probes.iter() {
            let cookie = probe.arguments.cookie();
            if self.n_attached == MAX_ATTACHED
                || kernel.attach_probe(number, &object.file, probe.file_offset, cookie).is_err()
            {
                self.report.n_refused += 1;
                continue;
            }
            self.n_attached += 1;
            let path = path();
            match self.report.probed.iter_mut().find(|it| it.path == path && it.probe == *probe) {
                Some(probed) => probed.n_processes += 1,
                None => self.report.probed.push(Probed { path, probe: probe.clone(), n_processes: 1 }),
            }
        }
    }

    /// Whether a process is in the control group, where there is one.
    fn is_member(&self, pid: u32) -> bool {
        let Some(group) = &self.group else { return true };
        cgroup::path_of(pid).is_ok_and(|path| path.is_some_and(|path| path.starts_with(group)))
    }

    /// Takes the probes out if they cost more than they may.
    pub(super) fn look(&mut self, kernel: &mut Kernel) {
        let since = self.looked.elapsed();
        if since < LOOK_EVERY || self.report.ended.is_some() {
            return;
        }
        let Some(cost) = kernel.cost() else { return };
        let n_hits = cost.n_runs.saturating_sub(self.cost_before.n_runs) as f64;
        self.looked = Instant::now();
        self.cost_before = cost;
        let percent = 100.0 * n_hits * self.report.hit_ns / since.as_nanos().max(1) as f64;
        if percent > self.budget_percent {
            // What cannot be detached now ends with the recording.
            let _ = kernel.detach_probes();
            self.report.ended = Some((self.began.elapsed(), n_hits / since.as_secs_f64()));
        }
    }

    /// What became of them.
    pub(super) fn into_report(self, kernel: &Kernel) -> ProbingReport {
        let start = self.cost_at_start;
        let cost = kernel.cost().map(|cost| Cost {
            run_time: cost.run_time.saturating_sub(start.run_time),
            n_runs: cost.n_runs.saturating_sub(start.n_runs),
        });
        ProbingReport { cost, ..self.report }
    }
}
