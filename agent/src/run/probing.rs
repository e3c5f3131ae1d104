//! Probes on the allocators of targets: put in where a process maps one, taken out where they would cost too much.

mod report;

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use abi::alloc::{HAS_RETURN, MAX_PROBES, PROBE_SHIFT};

pub use report::{Probed, ProbingReport, Refusal};

use super::{trap, world::World};
use crate::{
    alloc::{self, Probe},
    kernel::{Cost, Kernel, KernelError, Point},
    object::ObjectFile,
    process::{Backing, FileId},
    procfs::cgroup,
};

/// What a hit is taken to cost, program included, where it could not be measured.
const DEFAULT_HIT_NS: f64 = 2000.0;
/// How often the rate is looked at. Less, and a burst at a start would end a long recording.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Files of processes. Above this, whoever comes is not probed, which the report says.
const MAX_ATTACHED: usize = 4096;

/// Probes under way.
pub(super) struct Probing {
    budget_percent: f64,
    /// Whether frees and returns are probed as well.
    live_heap: bool,
    /// For a control group: where its members are.
    group: Option<PathBuf>,
    /// Where to probe the files that were seen so far, and the numbers of the probes.
    files: HashMap<FileId, Arc<[(usize, Probe)]>>,
    /// A probe stays with its process over an exec: the kernel puts it into whatever maps the file.
    armed: HashSet<(u32, FileId)>,
    report: ProbingReport,
    n_attached: usize,
    began: Instant,
    looked: Instant,
    hits_at_start: Vec<u64>,
    cost_at_start: Cost,
    cost_before: Cost,
}

impl Probing {
    /// Measures what a hit costs; nothing is probed yet.
    pub(super) fn start(
        kernel: &mut Kernel,
        budget_percent: f64,
        live_heap: bool,
        group: Option<PathBuf>,
        follow_children: bool,
    ) -> Result<Self, KernelError> {
        let one_by_one = kernel.load_probes(follow_children)?;
        let hit_ns = trap::measure_ns(kernel).unwrap_or(DEFAULT_HIT_NS);
        let cost_before = kernel.cost().unwrap_or_default();
        let now = Instant::now();
        Ok(Self {
            budget_percent,
            live_heap,
            group,
            files: HashMap::new(),
            armed: HashSet::new(),
            report: ProbingReport { hit_ns, one_by_one, wants_frees: live_heap, ..ProbingReport::default() },
            n_attached: 0,
            began: now,
            looked: now,
            hits_at_start: kernel.hits()?,
            cost_at_start: cost_before,
            cost_before,
        })
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
                    && self.armed.insert((pid, file))
                    && let Some(object) = world.objects.get(&file)
                {
                    self.arm_file(kernel, object, pid, file);
                }
            }
        }
    }

    fn arm_file(&mut self, kernel: &mut Kernel, object: &ObjectFile, pid: u32, file: FileId) {
        let probes = self.probes_of(object, file);
        if probes.is_empty() || !self.is_member(pid) {
            return;
        }
        let Some(pid) = NonZeroU32::new(pid) else { return };
        if self.n_attached == MAX_ATTACHED {
            self.report.n_beyond += 1;
            return;
        }
        self.n_attached += 1;
        let points: Vec<Point> =
            probes.iter().map(|(number, probe)| point(*number, probe, self.live_heap)).collect();
        match kernel.attach_probes(pid, &object.file, &points) {
            Ok(_) => self.count_process(probes.iter().map(|(number, _)| *number)),
            Err(error) if error.is_of_ended_process() => {}
            // Together they are refused if one is: the others are put in without it.
            Err(_) => {
                for ((number, probe), point) in probes.iter().zip(points) {
                    match kernel.attach_probes(pid, &object.file, &[point]) {
                        Ok(_) => self.count_process(std::iter::once(*number)),
                        Err(error) => self.note_refusal(object, probe, &error),
                    }
                }
            }
        }
    }

    /// Where a file is probed, found out once.
    fn probes_of(&mut self, object: &ObjectFile, file: FileId) -> Arc<[(usize, Probe)]> {
        if let Some(probes) = self.files.get(&file) {
            return Arc::clone(probes);
        }
        let path = object.path.to_string_lossy().into_owned();
        let found = alloc::search(object);
        if found.probes.is_empty() {
            self.report.nothing_found.insert(path.clone(), found.looked_in);
        }
        let mut probes = found.probes;
        probes.retain(|probe| self.live_heap || !probe.arguments.is_free());
        // What is allocated while they are put in one by one must not look as if it were never freed.
        probes.sort_by_key(|probe| !probe.arguments.is_free());
        let (slow, good): (Vec<Probe>, Vec<Probe>) =
            probes.into_iter().partition(|probe| probe.is_single_stepped);
        self.report.leaves_frees_out |= slow.iter().any(|probe| probe.arguments.is_free());
        self.report.left_out.extend(slow.into_iter().map(|probe| (path.clone(), probe.function)));
        // What a pool asks for when it is empty counts where it asks.
        let allocators = good.iter().filter(|probe| probe.arguments.allocates());
        let offsets = allocators.map(|probe| (file, probe.function_offsets()));
        self.report.functions.extend(offsets);
        let numbered = good.into_iter().map(|probe| (self.number_of(&path, &probe), probe));
        let numbered: Arc<[(usize, Probe)]> = numbered.collect();
        self.files.insert(file, Arc::clone(&numbered));
        numbered
    }

    /// A probe on another copy of a file, say in another container's image, counts as the same.
    fn number_of(&mut self, path: &str, probe: &Probe) -> usize {
        let known = self.report.probed.iter().position(|it| it.path == path && it.probe == *probe);
        known.unwrap_or_else(|| {
            let (path, probe) = (path.to_owned(), probe.clone());
            self.report.probed.push(Probed { path, probe, n_processes: 0, n_hits: None });
            self.report.probed.len() - 1
        })
    }

    fn count_process(&mut self, numbers: impl Iterator<Item = usize>) {
        for number in numbers {
            if let Some(probed) = self.report.probed.get_mut(number) {
                probed.n_processes += 1;
            }
        }
    }

    fn note_refusal(&mut self, object: &ObjectFile, probe: &Probe, error: &KernelError) {
        let reasons: Vec<String> = anyhow::Chain::new(error).map(ToString::to_string).collect();
        let refusal = Refusal {
            path: object.path.to_string_lossy().into_owned(),
            function: probe.function.clone(),
            reason: reasons.join(": "),
        };
        *self.report.refusals.entry(refusal).or_default() += 1;
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
    pub(super) fn into_report(self, kernel: &Kernel) -> Result<ProbingReport, KernelError> {
        let start = self.cost_at_start;
        let cost = kernel.cost().map(|cost| Cost {
            run_time: cost.run_time.saturating_sub(start.run_time),
            n_runs: cost.n_runs.saturating_sub(start.n_runs),
        });
        let mut report = ProbingReport { cost, ..self.report };
        // The last number is that of all beyond.
        let hits = kernel.hits()?.into_iter().zip(self.hits_at_start).map(|(now, start)| now - start);
        for (probed, n_hits) in report.probed.iter_mut().zip(hits.take(MAX_PROBES as usize - 1)) {
            probed.n_hits = Some(n_hits);
        }
        report.probed.retain(|probed| probed.n_processes > 0);
        report.probed.sort_by_key(|probed| std::cmp::Reverse(probed.n_hits));
        Ok(report)
    }
}

fn point(number: usize, probe: &Probe, live_heap: bool) -> Point {
    let number = (number as u64).min(u64::from(MAX_PROBES - 1));
    let has_return = live_heap && probe.has_return;
    let returns = if has_return { HAS_RETURN } else { 0 };
    let cookie = probe.arguments.cookie() | returns | number << PROBE_SHIFT;
    Point { file_offset: probe.file_offset, cookie, has_return }
}
