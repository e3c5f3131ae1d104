//! One recording under way: the kernel on one side, the tables on the other, and the pump between them.

mod bounds;
mod counting;
mod event_loop;
mod living;
mod network;
mod off_cpu;
mod requests;
mod routes;
mod settle;
mod table_writes;
mod window;

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use abi::{
    event_loop::Worker,
    sample::Sample,
    target::{TARGET_ACTIVE, TARGET_AT_EXEC, TARGET_FOLLOW, Target},
};

use super::{
    End, Losses, ProbingReport, Recording, RunError, Targets, beginnings::Beginnings, late::Late,
    probing::Probing, table_use::TableUse, tls, tls::TlsProbing, world::World,
};
use living::Living;
use requests::Serving;

use crate::{
    aggregate::Aggregate,
    clock,
    decode::{self, MessageEvent, ProcessEvent, Record},
    event_loop::Stalls,
    kernel::{Clock, Kernel, KernelError, Sideband, Source},
    off_cpu::ThreadTimes,
    process::ImageId,
    requests::Requests,
    table_cache::TableCache,
    table_op::TableOp,
};

/// How often the list of targets is read again until it has stopped growing.
const MAX_LOOKS: usize = 16;

/// How often to look when an unwind table or the mappings of a new image are about to be ready: until they are
/// written, samples there are cut.
const TABLE_POLL: Duration = Duration::from_millis(2);

/// One recording under way.
pub(super) struct Session {
    probing: Option<Probing>,
    /// Probes on libraries for TLS, if requests within it are followed.
    tls: Option<TlsProbing>,
    kernel: Kernel,
    world: World,
    aggregate: Aggregate,
    losses: Losses,
    first_table_error: Option<KernelError>,
    table_use: TableUse,
    beginnings: Beginnings,
    late: Late,
    living: Living,
    /// Where the time of threads went that no sample tells of, if it is measured.
    threads: Option<ThreadTimes>,
    /// Names of threads that ended waits, by process and thread.
    waker_names: HashMap<(u32, u32), Arc<str>>,
    /// Samples of iterations of event loops under way, if those are looked at.
    stalls: Option<Stalls>,
    /// Requests, if they are followed.
    requests: Option<Requests>,
    /// What became of their messages: read, and not taken in yet.
    messages: Vec<MessageEvent>,
    /// What the network namespaces of targets said when it began, if requests are followed.
    namespaces: network::Namespaces,
    /// The workers at the end.
    workers: Vec<(ImageId, u32, Worker)>,
    /// Who was there when the recording began.
    present: BTreeSet<u32>,
    /// Read, and not counted yet; with the connection that the thread serves, or 0.
    samples: Vec<(Sample, u64)>,
    /// Which connections the threads of samples serve that come next.
    serving: Serving,
    /// Read, and not applied yet.
    events: Vec<ProcessEvent>,
    cpu_before_ns: u64,
    start_unix_ns: u64,
    /// So many images are remembered before the past is forgotten.
    max_images: usize,
    /// When what was counted was handed over last.
    cut_ns: u64,
    /// Samples of resident memory that were read.
    n_growth_samples: u64,
}

impl Session {
    /// Looks at every target that is there, loads the kernel side with room for their unwind tables, and makes
    /// both sides agree.
    pub(super) fn start(
        sources: Vec<Source>,
        targets: &Targets,
        follow_children: bool,
        table_bytes: u64,
        table_cache: Option<TableCache>,
    ) -> Result<Self, RunError> {
        let config = targets.config(follow_children)?;
        // From here on no event is missed: what the first look does not see is seen by the second.
        let sideband = Sideband::open()?;
        let mut world = World::new(targets.interest(follow_children), targets.chooser(), table_cache);
        let mut known = targets.present(follow_children)?;
        for pid in &known {
            world.look_at(*pid);
        }
        // The first samples are to find their tables.
        world.tables.wait();
        let living = Living::new(sources.iter().any(|source| source.has_live_heap()));
        let threads = sources.iter().any(|source| source.off_cpu().is_some()).then(ThreadTimes::default);
        let stalls = sources.iter().any(|source| source.stall_ns().is_some()).then(Stalls::default);
        let requests = requests::followed(&sources);
        let mut session = Self {
            probing: None,
            tls: None,
            kernel: Kernel::load(sources, config, table_bytes, sideband)?,
            world,
            aggregate: Aggregate::default(),
            losses: Losses::default(),
            first_table_error: None,
            table_use: TableUse::default(),
            beginnings: Beginnings::default(),
            late: Late::default(),
            living,
            threads,
            stalls,
            requests,
            messages: Vec::new(),
            namespaces: network::Namespaces::new(),
            workers: Vec::new(),
            present: BTreeSet::new(),
            samples: Vec::new(),
            serving: Serving::default(),
            events: Vec::new(),
            cpu_before_ns: 0,
            start_unix_ns: 0,
            max_images: usize::MAX,
            cut_ns: 0,
            n_growth_samples: 0,
            waker_names: HashMap::new(),
        };

        let flags = match targets {
            Targets::Command(_) => TARGET_AT_EXEC,
            _ => TARGET_ACTIVE,
        } | if follow_children { TARGET_FOLLOW } else { 0 };
        let mut new = known.clone();
        for _ in 0..MAX_LOOKS {
            for pid in &new {
                if targets.are_listed() {
                    let target = Target { image_since_ns: 0, flags, reserved: 0 };
                    session.kernel.apply(&TableOp::SetTarget { pid: *pid, target })?;
                }
            }
            // A child forked between the list and its parent's entry is not followed by the kernel side: list
            // again until there is nothing new.
            let present = targets.present(follow_children)?;
            new = present.difference(&known).copied().collect();
            if new.is_empty() {
                break;
            }
            for pid in &new {
                session.world.look_at(*pid);
            }
            known.extend(&new);
        }
        // A command that is held begins with its first instruction, as the kernel side sees.
        session.present = if matches!(targets, Targets::Command(_)) { BTreeSet::new() } else { known };
        let as_of_ns = clock::monotonic_ns();
        session.pump_until(as_of_ns);
        // The first sample is to be walked whole. What happened while we wait is not in the tables yet, so they
        // are dated before it.
        session.world.tables.wait();
        session.write_tables(as_of_ns);
        Ok(session)
    }

    /// Begins to sample; where allocators are probed, only within this budget, and in this control group.
    pub(super) fn start_sampling(
        &mut self,
        budget_percent: f64,
        group: Option<PathBuf>,
        follow_children: bool,
    ) -> Result<Vec<Clock>, KernelError> {
        // Looking for libraries takes its time; whoever sees the tracepoint attached is to see requests soon.
        self.start_tls(group.as_ref(), follow_children)?;
        let clocks = self.kernel.attach_sampling()?;
        if let Some(live_heap) = self.kernel.sources().iter().find_map(|source| source.probes_for_live_heap())
        {
            let mut probing =
                Probing::start(&mut self.kernel, budget_percent, live_heap, group, follow_children)?;
            probing.arm(&mut self.kernel, &self.world)?;
            self.probing = Some(probing);
        }
        self.start_unix_ns = clock::unix_ns();
        self.cpu_before_ns = clock::process_cpu_ns();
        self.beginnings.start(clock::monotonic_ns());
        self.living.start(clock::monotonic_ns());
        // Before they are followed: that forgets who was there.
        self.begin_network();
        self.follow_workers();
        self.follow_threads();
        self.cut_ns = clock::monotonic_ns();
        self.kernel.switch_sampling(true)?;
        Ok(clocks)
    }

    /// Waits until a process does something, a table is likely to be ready, or `timeout` is over.
    pub(super) fn wait(&self, timeout: Duration) {
        let is_soon = self.world.tables.is_busy()
            || !self.events.is_empty()
            || self.world.processes.has_fresh_images(clock::monotonic_ns());
        let timeout = if is_soon { timeout.min(TABLE_POLL) } else { timeout };
        let probes = self.probing.as_ref().map_or(Duration::MAX, Probing::wakes_in);
        self.kernel.wait(timeout.min(probes));
    }

    /// Samples so far; requests, if nothing else is recorded.
    pub(super) fn n_samples(&self) -> u64 {
        let alone = self.requests.as_ref().filter(|_| self.kernel.sources().len() == 1);
        alone.map_or_else(|| self.aggregate.n_samples(), Requests::n_served)
    }

    /// Whether any target still runs.
    pub(super) fn any_target_alive(&self) -> bool {
        self.world.processes.any_alive()
    }

    /// Moves what the kernel has for us one stage on.
    pub(super) fn pump(&mut self) {
        self.pump_until(clock::monotonic_ns());
        self.keep_bounds();
        // Most of the time nothing writes or reads them.
        self.kernel.close_tables();
        self.arm_tls().unwrap_or_else(|error| self.note_table_error(error));
        if let Some(probing) = &mut self.probing {
            let armed = probing.arm(&mut self.kernel, &self.world);
            let looked = probing.look(&mut self.kernel);
            armed.and(looked).unwrap_or_else(|error| self.note_table_error(error));
        }
    }

    /// Moves on whatever is not younger than a moment that has passed. The rings are read one after another, so
    /// that of two events on two CPUs the later one may be read first; up to the moment before the first ring was
    /// read, everything is there and can be put in order. What is younger waits for the next time.
    fn pump_until(&mut self, as_of_ns: u64) {
        // Samples first: the events that they need are older, and so are there when the events are read.
        self.read_samples();
        let n_lost = self.read_events();
        let samples = take_until(&mut self.samples, as_of_ns, |(sample, _)| sample.time_ns);
        let messages = take_until(&mut self.messages, as_of_ns, |event| event.message.time_ns);
        let events = take_until(&mut self.events, as_of_ns, |event| event.time_ns);

        let (mut events, mut messages) = (events.into_iter().peekable(), messages.into_iter().peekable());
        for (sample, connection) in samples {
            while let Some(event) = events.next_if(|event| event.time_ns <= sample.time_ns) {
                self.world.apply(event);
            }
            let whose = self.whose(&sample, connection, &mut messages);
            self.count(&sample, whose);
        }
        events.for_each(|event| self.world.apply(event));
        if n_lost > 0 {
            self.losses.process_events += n_lost;
            self.world.look_again();
        }
        self.write_tables(as_of_ns);
        self.count_late(false);
        self.settle_requests(messages);
        self.settle_living(as_of_ns);
    }

    /// Ends sampling and reads what is left; when it ended.
    pub(super) fn end(&mut self) -> Result<Instant, KernelError> {
        self.kernel.switch_sampling(false)?;
        let ended = Instant::now();
        // Probes are taken out one after another: from here on a free may be missed.
        let end_ns = clock::monotonic_ns();
        self.living.end(end_ns);
        // To detach takes its time where there are many probes: the rings are not to be full meanwhile.
        self.pump_until(end_ns);
        self.kernel.detach_sampling()?;
        self.pump_until(u64::MAX);
        self.world.tables.wait();
        self.write_tables(u64::MAX);
        self.count_late(true);
        Ok(ended)
    }

    /// Ends sampling that began at `began`, and hands everything over. The kernel side is gone afterwards.
    pub(super) fn finish(
        mut self,
        end: End,
        clocks: Vec<Clock>,
        began: Instant,
    ) -> Result<Recording, KernelError> {
        let duration = self.end()?.saturating_duration_since(began);
        let end_ns = self.living.until_ns();
        let mut counters = self.kernel.counters()?;
        self.finish_living(end, &mut counters)?;
        self.settle_losses(&counters);
        let usage = self.usage();
        self.finish_threads(end_ns)?;
        self.finish_workers(end_ns)?;
        let routes = self.requests.as_ref().filter(|it| it.are_joined()).map(|it| it.routes().to_vec());
        let requests = self.finish_requests(duration, &counters);
        let slowest = self.requests.as_ref().map(Requests::slowest).unwrap_or_default();
        // The last has room for what was sampled beside it.
        let source = self.kernel.sources().last();
        let source = source.copied().unwrap_or(Source::Cpu { frequency_hz: 0 });
        let probing = self.probing.map(|probing| probing.into_report(&self.kernel)).transpose()?;
        let has_all_frees = probing.as_ref().is_some_and(ProbingReport::has_all_frees);
        let Self {
            world: World { processes, objects, functions, jit, .. },
            aggregate,
            losses,
            first_table_error,
            beginnings,
            late,
            living,
            threads,
            workers,
            start_unix_ns,
            ..
        } = self;
        Ok(Recording {
            processes,
            stalled: aggregate.stalled(),
            aggregate,
            objects,
            functions,
            jit,
            counters,
            losses,
            first_table_error,
            first_stacks: beginnings.sum(),
            n_walked_late: late.n_walked,
            heap: living.into_heap().filter(|_| has_all_frees),
            threads,
            workers,
            requests,
            routes,
            slowest,
            end_ns,
            n_cut_late: late.n_cut,
            probing,
            usage,
            end,
            clocks,
            source,
            duration,
            start_unix_ns,
            exit_status: None,
        })
    }

    fn read_samples(&mut self) {
        let Self { kernel, aggregate, losses, late, samples, messages, serving, .. } = self;
        kernel.read_records(|bytes| match decode::record(bytes) {
            Ok(Record::Sample(sample)) => {
                late.pair(&sample);
                samples.push((sample, serving.of(&sample)));
            }
            Ok(Record::UserStack(stack)) => aggregate.add_user_stack(stack),
            Ok(Record::KernelStack(stack)) => aggregate.add_kernel_stack(stack),
            Ok(Record::Capture(capture)) => late.add(capture),
            Ok(Record::Message(message)) => messages.push(message),
            Ok(Record::Served(served)) => serving.note(&served),
            Err(_) => losses.undecoded += 1,
        });
    }

    /// Gives the number of events that the kernel had no room for.
    fn read_events(&mut self) -> u64 {
        let Self { kernel, events, .. } = self;
        kernel.read_process_records(|record| {
            events.extend(decode::process_event(record.record_type, record.misc, record.bytes));
        })
    }
}

/// Takes what is not younger than a moment, oldest first, and leaves the rest.
fn take_until<T>(all: &mut Vec<T>, until_ns: u64, time_ns: impl Fn(&T) -> u64) -> Vec<T> {
    all.sort_by_key(&time_ns);
    let younger = all.split_off(all.partition_point(|it| time_ns(it) <= until_ns));
    std::mem::replace(all, younger)
}
