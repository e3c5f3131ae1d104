//! One recording under way: the kernel on one side, the tables on the other, and the pump between them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use abi::{
    counter::Counter,
    sample::Sample,
    target::{TARGET_ACTIVE, TARGET_AT_EXEC, TARGET_FOLLOW, Target},
};

use super::{End, ExitStatus, Losses, RunError, Targets, world::World};
use crate::{
    aggregate::Aggregate,
    clock,
    decode::{self, ProcessEvent, Record},
    kernel::{Clock, Cost, Kernel, KernelError, Room, Sideband},
    object::ObjectFile,
    process::{FileId, ImageId, Processes, plan},
    procfs::status,
    symbolize::JitProcess,
    table_op::TableOp,
    unwind::Functions,
};

/// How often the list of targets is read again until it has stopped growing.
const MAX_LOOKS: usize = 16;

/// How often to ask for an unwind table that is being built: until it is there, its file's samples are cut.
const TABLE_POLL: Duration = Duration::from_millis(2);

/// What a recording used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Kernel programs; `None` if this kernel keeps no statistics for us.
    pub kernel: Option<Cost>,
    /// CPU time of the agent, user and system.
    pub agent_cpu: Duration,
    /// Resident memory of the agent.
    pub agent_rss_bytes: Option<u64>,
    /// Kernel memory of our maps.
    pub table_bytes: u64,
}

/// Everything that a recording brought, not symbolized yet.
pub struct Recording {
    /// Processes, images, files.
    pub processes: Processes,
    /// Counted stacks.
    pub aggregate: Aggregate,
    /// Files that were mapped, open since they were first seen.
    pub objects: HashMap<FileId, Arc<ObjectFile>>,
    /// Where the functions of files are, by their unwind information.
    pub functions: HashMap<FileId, Functions>,
    /// Where images that make code at run time describe it.
    pub jit: HashMap<ImageId, JitProcess>,
    /// Counted by the kernel side.
    pub counters: Vec<(Counter, u64)>,
    /// Counted by the agent.
    pub losses: Losses,
    /// What it cost.
    pub usage: Usage,
    /// Why it ended.
    pub end: End,
    /// What samples fell due by.
    pub clock: Clock,
    /// Samples a second on each CPU.
    pub frequency_hz: u64,
    /// How long it lasted.
    pub duration: Duration,
    /// When it began, in nanoseconds since the Unix epoch.
    pub start_unix_ns: u64,
    /// Of the command that was run.
    pub exit_status: Option<ExitStatus>,
}

/// One recording under way.
pub(super) struct Session {
    kernel: Kernel,
    world: World,
    aggregate: Aggregate,
    losses: Losses,
    cpu_before: Duration,
    start_unix_ns: u64,
}

impl Session {
    /// Looks at every target that is there, loads the kernel side with room for their unwind tables, and makes
    /// both sides agree.
    pub(super) fn start(
        targets: &Targets,
        follow_children: bool,
        table_bytes: u64,
    ) -> Result<Self, RunError> {
        let config = targets.config()?;
        // From here on no event is missed: what the first look does not see is seen by the second.
        let sideband = Sideband::open()?;
        let mut world = World::new(targets.interest(follow_children));
        let mut known = targets.present(follow_children)?;
        known.iter().for_each(|pid| world.look_at(*pid));
        let room = Room::for_tables(world.tables.wait(), table_bytes);
        let mut session = Self {
            kernel: Kernel::load(config, room, sideband)?,
            world,
            aggregate: Aggregate::default(),
            losses: Losses::default(),
            cpu_before: Duration::ZERO,
            start_unix_ns: 0,
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
            new.iter().for_each(|pid| session.world.look_at(*pid));
            known.extend(&new);
        }
        session.pump();
        // The first sample is to be walked whole.
        let _ = session.world.tables.wait().count();
        session.write_tables(clock::monotonic_ns());
        Ok(session)
    }

    /// Begins to sample.
    pub(super) fn start_sampling(&mut self, frequency_hz: u64) -> Result<Clock, KernelError> {
        self.start_unix_ns = clock::unix_ns();
        self.cpu_before = own_cpu();
        self.kernel.start_sampling(frequency_hz)
    }

    /// Waits until a process does something, an unwind table is likely to be ready, or `timeout` is over.
    pub(super) fn wait(&self, timeout: Duration) {
        let timeout = if self.world.tables.is_busy() { timeout.min(TABLE_POLL) } else { timeout };
        self.kernel.wait(timeout);
    }

    /// Samples so far.
    pub(super) fn n_samples(&self) -> u64 {
        self.aggregate.n_samples()
    }

    /// Whether any target still runs.
    pub(super) fn any_target_alive(&self) -> bool {
        self.world.processes.any_alive()
    }

    /// Moves everything that the kernel has for us one stage on.
    pub(super) fn pump(&mut self) {
        // Whatever happened before this moment is in the events read below, so a table written after them is
        // right as of now.
        let as_of_ns = clock::monotonic_ns();
        // Samples first: the events that they need are older, and so are there when the events are read.
        let mut samples = self.read_samples();
        let mut events = self.read_events();
        samples.sort_by_key(|sample| sample.time_ns);
        events.sort_by_key(|event| event.time_ns);

        let mut events = events.into_iter().peekable();
        for sample in samples {
            while let Some(event) = events.next_if(|event| event.time_ns <= sample.time_ns) {
                self.world.apply(event);
            }
            self.count(&sample);
        }
        events.for_each(|event| self.world.apply(event));

        self.write_tables(as_of_ns);
    }

    /// Writes to the kernel's tables whatever has changed, unwind tables first: a mapping makes its file be walked.
    fn write_tables(&mut self, as_of_ns: u64) {
        while let Some((file, unwinding)) = self.world.tables.next() {
            if let Some(table) = &unwinding.table {
                self.world.functions.insert(file, table.functions.clone());
            }
            match self.kernel.apply(&TableOp::SetUnwindTable { file, unwinding }) {
                Ok(()) => {}
                Err(KernelError::NoTableRoom { .. }) => self.losses.tables_without_room += 1,
                Err(_) => self.losses.table_writes += 1,
            }
        }
        for op in plan::table_ops(&mut self.world.processes, as_of_ns) {
            if self.kernel.apply(&op).is_err() {
                self.losses.table_writes += 1;
            }
        }
    }

    /// Ends sampling, reads what is left, and hands everything over. The kernel side is gone afterwards.
    pub(super) fn finish(
        mut self,
        end: End,
        clock: Clock,
        frequency_hz: u64,
        duration: Duration,
        exit_status: Option<ExitStatus>,
    ) -> Result<Recording, KernelError> {
        self.kernel.stop_sampling()?;
        self.pump();
        let counters = self.kernel.counters()?;
        let counted = |which| counters.iter().find(|(counter, _)| *counter == which).map_or(0, |(_, n)| *n);
        let accounted = self.aggregate.n_samples() + self.losses.unknown_process + counted(Counter::RingFull);
        self.losses.unexplained = counted(Counter::Taken).saturating_sub(accounted);
        let usage = Usage {
            kernel: self.kernel.cost(),
            agent_cpu: own_cpu().saturating_sub(self.cpu_before),
            agent_rss_bytes: status::read(std::process::id()).ok().and_then(|status| status.resident_bytes),
            table_bytes: self.kernel.table_bytes(),
        };
        let Self {
            world: World { processes, objects, functions, jit, .. },
            aggregate,
            losses,
            start_unix_ns,
            ..
        } = self;
        Ok(Recording {
            processes,
            aggregate,
            objects,
            functions,
            jit,
            counters,
            losses,
            usage,
            end,
            clock,
            frequency_hz,
            duration,
            start_unix_ns,
            exit_status,
        })
    }

    fn read_samples(&mut self) -> Vec<Sample> {
        let mut samples = Vec::new();
        let Self { kernel, aggregate, losses, .. } = self;
        kernel.read_records(|bytes| match decode::record(bytes) {
            Ok(Record::Sample(sample)) => samples.push(sample),
            Ok(Record::UserStack(stack)) => aggregate.add_user_stack(stack),
            Ok(Record::KernelStack(stack)) => aggregate.add_kernel_stack(stack),
            Err(_) => losses.undecoded += 1,
        });
        samples
    }

    fn read_events(&mut self) -> Vec<ProcessEvent> {
        let mut events = Vec::new();
        let n_lost = self.kernel.read_process_records(|record| {
            events.extend(decode::process_event(record.record_type, record.misc, record.bytes));
        });
        if n_lost > 0 {
            self.losses.process_events += n_lost;
            self.world.processes.live_pids().into_iter().for_each(|pid| self.world.look_at(pid));
        }
        events
    }

    fn count(&mut self, sample: &Sample) {
        let processes = &self.world.processes;
        let image_id = processes.image_at(sample.tgid, sample.time_ns);
        let known = image_id.and_then(|id| Some((id, processes.image(id)?)));
        match known {
            Some((id, image)) => self.aggregate.add(sample, id, image, processes.files()),
            None => self.losses.unknown_process += 1,
        }
    }
}

/// User and system time of this process.
fn own_cpu() -> Duration {
    // SAFETY: all-zero is a valid rusage, and the call fills it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let of = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    of(usage.ru_utime) + of(usage.ru_stime)
}
