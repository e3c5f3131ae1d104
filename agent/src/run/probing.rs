//! Probes on the allocators of targets: put in where a process maps one, taken out where they would cost too much.

mod duty;
mod report;

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroU32,
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use abi::alloc::{Gate, HAS_RETURN, MAX_PROBES, PROBE_SHIFT};

use duty::Duty;
pub use report::{Probed, ProbingReport, Refusal};

use super::{
    trap::{self, ProbeCost},
    world::World,
};
use crate::{
    alloc::{self, Probe},
    clock,
    kernel::{Cost, Kernel, KernelError, Point, ProbeId},
    object::ObjectFile,
    place::Returns,
    process::{Backing, FileId},
    procfs::cgroup,
    symbolize::CheckBudget,
};

/// What a hit is taken to cost, program included, where it could not be measured.
const DEFAULT_HIT_NS: f64 = 2000.0;
/// What taking all probes out may take, where they are taken out one by one, for them to be put in again.
const LONGEST_TAKE_OUT: Duration = Duration::from_millis(250);
/// Files of processes. Above this, whoever comes is not probed, which the report says.
const MAX_ARMED: usize = 4096;

/// Probes under way.
pub(super) struct Probing {
    /// Whether frees and returns are probed as well.
    live_heap: bool,
    /// For the files with what was stripped from others.
    checks: CheckBudget,
    /// For a control group: where its members are.
    group: Option<PathBuf>,
    /// Where to probe the files that were seen so far, and the numbers of the probes.
    files: HashMap<FileId, Arc<[(usize, Probe)]>>,
    /// A probe stays with its process over an exec: the kernel puts it into whatever maps the file.
    armed: HashMap<(u32, FileId), Armed>,
    n_armed: usize,
    report: ProbingReport,
    /// Of a single probe.
    take_out: Duration,
    /// Until they took themselves off.
    duty: Option<Duty>,
    are_in: bool,
    /// More than the time since then cannot be on.
    began: Instant,
    /// Not counted for the targets: ours, when a hit was measured.
    hits_at_start: Vec<u64>,
    cost_at_start: Cost,
}

/// A file in a process that is probed.
struct Armed {
    object: Arc<ObjectFile>,
    /// Without those that the kernel refused.
    probes: Vec<(usize, Probe)>,
    in_place: Vec<ProbeId>,
    is_new: bool,
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
        let ProbeCost { hit_ns, take_out } =
            trap::measure(kernel).unwrap_or(ProbeCost { hit_ns: DEFAULT_HIT_NS, take_out: LONGEST_TAKE_OUT });
        let mut this = Self {
            live_heap,
            checks: CheckBudget::default(),
            group,
            files: HashMap::new(),
            armed: HashMap::new(),
            n_armed: 0,
            report: ProbingReport {
                hit_ns,
                one_by_one,
                n_times_on: 1,
                wants_frees: live_heap,
                ..ProbingReport::default()
            },
            take_out,
            duty: None,
            are_in: true,
            began: Instant::now(),
            hits_at_start: kernel.hits()?,
            cost_at_start: kernel.cost().unwrap_or_default(),
        };
        let duty = Duty::new(clock::monotonic_ns(), budget_percent / 100.0, this.spent_ns(kernel)?);
        set_gate(kernel, &duty.first_gate())?;
        this.duty = Some(duty);
        Ok(this)
    }

    /// Finds processes that map an allocator and have no probes, and puts probes in if they are in elsewhere.
    pub(super) fn arm(&mut self, kernel: &mut Kernel, world: &World) -> Result<(), KernelError> {
        if self.duty.is_none() {
            return Ok(());
        }
        let live: HashSet<u32> = world.processes.live_pids().into_iter().collect();
        let ended = self.armed.extract_if(|(pid, _), _| !live.contains(pid));
        let left: Vec<ProbeId> = ended.flat_map(|(_, armed)| armed.in_place).collect();
        // One by one that would hold everything up, for memory that nobody runs in.
        if self.report.one_by_one.is_none() {
            left.into_iter().try_for_each(|id| kernel.detach(id))?;
        }
        for pid in live {
            let Some(image) = world.processes.present_image(pid) else { continue };
            for mapping in image.mappings.as_slice() {
                if let Backing::File(file) = mapping.backing
                    && !self.armed.contains_key(&(pid, file))
                    && let Some(object) = world.objects.get(&file)
                {
                    self.arm_file(kernel, object, pid, file);
                }
            }
        }
        Ok(())
    }

    fn arm_file(&mut self, kernel: &mut Kernel, object: &Arc<ObjectFile>, pid: u32, file: FileId) {
        let mut probes = self.probes_of(object, file).to_vec();
        if !probes.is_empty() && !cgroup::is_member(pid, self.group.as_deref()) {
            probes.clear();
        }
        if !probes.is_empty() {
            if self.n_armed == MAX_ARMED {
                self.report.n_beyond += 1;
                probes.clear();
            } else {
                self.n_armed += 1;
            }
        }
        let mut armed = Armed { object: Arc::clone(object), probes, in_place: Vec::new(), is_new: true };
        if self.are_in {
            armed.put_in(kernel, pid, self.live_heap, &mut self.report);
        }
        self.armed.insert((pid, file), armed);
    }

    /// Where a file is probed, found out once.
    fn probes_of(&mut self, object: &ObjectFile, file: FileId) -> Arc<[(usize, Probe)]> {
        if let Some(probes) = self.files.get(&file) {
            return Arc::clone(probes);
        }
        let path = object.path.to_string_lossy().into_owned();
        let found = alloc::search(object, &mut self.checks);
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

    /// Puts probes in and takes them out as it is time for it, so that they cost no more than they may.
    pub(super) fn look(&mut self, kernel: &mut Kernel) -> Result<(), KernelError> {
        let now_ns = clock::monotonic_ns();
        let spent_ns = match &self.duty {
            Some(duty) if duty.is_to_settle(now_ns) => Some(self.spent_ns(kernel)?),
            _ => None,
        };
        let Some(duty) = &mut self.duty else { return Ok(()) };
        if let Some(spent_ns) = spent_ns {
            let gates = duty.settle(now_ns, spent_ns, random());
            if !gates.is_empty() && !self.report.can_be_put_in_again(self.take_out) {
                return self.end(kernel, now_ns);
            }
            gates.iter().try_for_each(|gate| set_gate(kernel, gate))?;
        }
        duty.go_on(now_ns);
        match (duty.wants_probes(now_ns), self.are_in) {
            (true, true) => duty.stayed_in(now_ns),
            (true, false) => {
                self.are_in = true;
                // Frees were missed meanwhile: what lives cannot be told any more, and need not cost anything.
                self.live_heap = false;
                self.report.n_times_on += 1;
                for ((pid, _), armed) in &mut self.armed {
                    armed.probes.retain(|(_, probe)| !probe.arguments.is_free());
                    armed.put_in(kernel, *pid, self.live_heap, &mut self.report);
                }
                let done_ns = clock::monotonic_ns();
                let late = duty.were_put_in(done_ns, Duration::from_nanos(done_ns - now_ns));
                self.report.n_late += u64::from(late.is_some());
                late.iter().try_for_each(|gate| set_gate(kernel, gate))?;
            }
            (false, true) => {
                self.are_in = false;
                self.report.was_taken_out = true;
                let all = self.armed.values_mut().flat_map(|armed| armed.in_place.drain(..));
                all.into_iter().try_for_each(|id| kernel.detach(id))?;
            }
            (false, false) => {}
        }
        Ok(())
    }

    /// The functions that have a probe.
    pub(super) fn functions(&self) -> &[(FileId, Range<u64>)] {
        &self.report.functions
    }

    /// How long to wait at most before the next look.
    pub(super) fn wakes_in(&self) -> Duration {
        let now_ns = clock::monotonic_ns();
        let wait = |duty: &Duty| Duration::from_nanos(duty.wakes_at(now_ns).saturating_sub(now_ns));
        self.duty.as_ref().map_or(Duration::MAX, wait)
    }

    /// What is seen at a moment stands for so many times as much; for nothing, if nothing was to be seen then.
    pub(super) fn weight_at(&self, time_ns: u64) -> f64 {
        self.duty.as_ref().map_or(1.0, |duty| duty.weight_at(time_ns))
    }

    /// Takes the probes out for good.
    fn end(&mut self, kernel: &mut Kernel, now_ns: u64) -> Result<(), KernelError> {
        let Some(duty) = self.duty.take() else { return Ok(()) };
        self.are_in = false;
        self.report.on_for = Duration::from_nanos(duty.on_ns(now_ns));
        let hits_per_second = duty.cost_share() * 1e9 / self.report.hit_ns;
        self.report.ended = Some((self.began.elapsed(), hits_per_second));
        kernel.detach_probes()
    }

    /// What hits have cost, so far.
    fn spent_ns(&self, kernel: &Kernel) -> Result<f64, KernelError> {
        let n_hits = match kernel.cost() {
            Some(cost) => cost.n_runs,
            None => kernel.hits()?.into_iter().sum(),
        };
        Ok(n_hits as f64 * self.report.hit_ns)
    }

    /// What became of them.
    pub(super) fn into_report(mut self, kernel: &Kernel) -> Result<ProbingReport, KernelError> {
        if let Some(duty) = &self.duty {
            self.report.on_for = Duration::from_nanos(duty.on_ns(clock::monotonic_ns()));
        }
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
    let ends = if has_return { Returns::Probed } else { Returns::Unseen };
    Point { file_offset: probe.file_offset, cookie, returns: ends }
}

impl Armed {
    fn put_in(&mut self, kernel: &mut Kernel, pid: u32, live_heap: bool, report: &mut ProbingReport) {
        let Some(number) = NonZeroU32::new(pid).filter(|_| !self.probes.is_empty()) else { return };
        let points: Vec<Point> =
            self.probes.iter().map(|(number, probe)| point(*number, probe, live_heap)).collect();
        match kernel.attach_probes(number, &self.object.file, &points) {
            Ok(id) => self.in_place.push(id),
            Err(error) if error.is_of_ended_process() => return,
            // Together they are refused if one is: the others are put in without it.
            Err(_) => self.probes.retain(|(number_of_probe, probe)| {
                let point = point(*number_of_probe, probe, live_heap);
                let attached = kernel.attach_probes(number, &self.object.file, &[point]);
                match attached {
                    Ok(id) => self.in_place.push(id),
                    Err(ref error) => report.refused(&self.object, probe, error),
                }
                attached.is_ok()
            }),
        }
        if std::mem::take(&mut self.is_new) {
            for (number, _) in &self.probes {
                if let Some(probed) = report.probed.get_mut(*number) {
                    probed.n_processes += 1;
                }
            }
        }
    }
}

fn set_gate(kernel: &mut Kernel, gate: &duty::Gate) -> Result<(), KernelError> {
    let span = Gate { from_ns: gate.window.start, until_ns: gate.window.end };
    kernel.set_gate(gate.number, span)
}

/// From the kernel; without it, from the clock, which targets do not look at either.
fn random() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: writes as many bytes as there are.
    let n_bytes = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    if n_bytes == 8 { u64::from_ne_bytes(bytes) } else { clock::monotonic_ns() }
}
