//! The only door to the kernel: nothing else in the agent uses aya or makes bpf and perf system calls.
//!
//! Everything here lives in file descriptors of this process: when it ends, however it ends, the kernel removes
//! programs, maps and events.

mod attach;
mod btf;
mod by_thread;
mod cost;
mod error;
mod live;
mod load;
pub mod probe;
mod probes;
mod shared;
mod sideband;
mod table_room;
mod tables;
mod tracefs;
mod tracepoint;
mod unwind_tables;
mod uprobe;
mod uprobe_load;
mod uprobe_multi;

use std::time::Duration;

use abi::{
    alloc::Gate,
    config::{Config, Controls},
    counter::Counter,
    event_loop::Worker,
    names,
    off_cpu::Thread,
    unwind::UnwindRule,
};
use aya::{
    Ebpf,
    maps::{Array, MapData, PerCpuArray, RingBuf},
};

pub use attach::{Clock, OffCpu, Requests, Source, max_frequency_hz};
pub use cost::{Cost, keep_statistics};
pub use error::KernelError;
pub use live::LiveObject;
pub use sideband::{RawProcessRecord, Sideband};
pub use tracefs::mount_if_missing as mount_tracefs_if_missing;
pub use uprobe::{Point, ProbeId};

use by_thread::ByThread;

use crate::{process::FileId, table_op::TableOp, unwind::Table};

/// The kernel programs, loaded, with everything that is read from and written to them.
pub struct Kernel {
    ebpf: Ebpf,
    ring: RingBuf<MapData>,
    counters: PerCpuArray<MapData, u64>,
    gates: Array<MapData, Gate>,
    hits: PerCpuArray<MapData, u64>,
    controls_map: Array<MapData, Controls>,
    controls: Controls,
    tables: tables::Tables,
    sideband: Sideband,
    sources: Vec<Source>,
    sampling: Vec<attach::Sampling>,
    uprobes: uprobe::Uprobes,
    tls_probes: uprobe::Uprobes,
    live: live::LiveTables,
    threads: ByThread<Thread>,
    workers: ByThread<Worker>,
    /// Statistics of program run time are kept by the kernel while this is open.
    _statistics: Option<cost::Statistics>,
}

impl Kernel {
    /// Loads the programs, which may have `table_limit_bytes` of unwind tables, and begins to follow processes.
    /// Nothing is sampled yet. Of the sources, one at most is measured in bytes: they share the distance.
    ///
    /// # Errors
    /// If the kernel refuses a program, a map or an event; the error says which and what to do.
    pub fn load(
        sources: Vec<Source>,
        config: Config,
        table_limit_bytes: u64,
        sideband: Sideband,
    ) -> Result<Self, KernelError> {
        let statistics = cost::enable_statistics_of(&sources);
        let mut intervals_bytes = sources.iter().filter_map(|source| source.interval_bytes());
        let interval_bytes = intervals_bytes.next();
        let config = Config { is_in_bytes: interval_bytes.is_some().into(), ..config };
        debug_assert!(intervals_bytes.next().is_none(), "{sources:?}");
        let config = match sources.iter().find_map(|source| source.off_cpu()) {
            Some(off_cpu) => Config {
                // What is measured has a length.
                min_block_ns: off_cpu.min_block_ns.max(1),
                task_pid_at: btf::offset_of("task_struct", "pid")?,
                off_cpu: off_cpu.flags(),
                ..config
            },
            None => config,
        };
        let stall_ns = sources.iter().find_map(|source| source.stall_ns()).map_or(0, |ns| ns.max(1));
        let config = Config { stall_ns, requests: load::request_flags(&sources), ..config };
        let mut ebpf = load::load(config, &sources)?;
        attach::follow(&mut ebpf)?;
        sources.iter().try_for_each(|source| attach::load(&mut ebpf, *source))?;
        let uprobes = |programs| {
            let are_wanted = sources.iter().any(|source| source.probes() == Some(programs));
            uprobe::Uprobes::new(programs, are_wanted.then_some(&ebpf))
        };
        let (uprobes, tls_probes) = (uprobes(&uprobe::ALLOCATORS), uprobes(&uprobe::TLS));
        Ok(Self {
            ring: load::take(&mut ebpf, names::MAP_RING)?,
            counters: load::take(&mut ebpf, names::MAP_COUNTERS)?,
            gates: load::take(&mut ebpf, names::MAP_GATES)?,
            hits: load::take(&mut ebpf, names::MAP_HITS)?,
            controls_map: load::take(&mut ebpf, names::MAP_CONTROLS)?,
            controls: Controls { is_sampling: 0, interval_bytes: interval_bytes.unwrap_or(0) },
            tables: tables::Tables::take(&mut ebpf, table_limit_bytes)?,
            live: live::LiveTables::take(&mut ebpf)?,
            threads: ByThread::take(&mut ebpf, names::MAP_THREADS)?,
            workers: ByThread::take(&mut ebpf, names::MAP_WORKERS)?,
            ebpf,
            sideband,
            sources,
            sampling: Vec::new(),
            uprobes,
            tls_probes,
            _statistics: statistics,
        })
    }

    /// Has samples taken by whatever is attached, or has it stop, all in one moment.
    ///
    /// # Errors
    /// If the switch cannot be written.
    pub fn switch_sampling(&mut self, is_on: bool) -> Result<(), KernelError> {
        self.control(Controls { is_sampling: is_on.into(), ..self.controls })
    }

    /// Has growth of resident memory sampled at another distance from now on; samples say at which they were taken.
    ///
    /// # Errors
    /// If it cannot be written: then all is as it was.
    pub fn set_growth_interval(&mut self, interval_bytes: u64) -> Result<(), KernelError> {
        let of_growth = |source: &Source| matches!(source, Source::Resident { .. });
        if !self.sources.iter().any(of_growth) {
            return Ok(());
        }
        self.control(Controls { interval_bytes, ..self.controls })?;
        let source = Source::Resident { interval_bytes };
        self.sources.iter_mut().filter(|it| of_growth(it)).for_each(|it| *it = source);
        Ok(())
    }

    fn control(&mut self, controls: Controls) -> Result<(), KernelError> {
        let written = self.controls_map.set(0, controls, 0);
        written.map_err(|source| KernelError::Map { map: names::MAP_CONTROLS, source })?;
        self.controls = controls;
        Ok(())
    }

    /// Attaches what samples; it takes none before [`Self::switch_sampling`]. Gives what samples of each source fall
    /// due by on this machine.
    ///
    /// # Errors
    /// If an event cannot be opened.
    pub fn attach_sampling(&mut self) -> Result<Vec<Clock>, KernelError> {
        for source in &self.sources {
            self.sampling.push(attach::sample(&mut self.ebpf, *source)?);
        }
        Ok(self.sampling.iter().map(|sampling| sampling.clock).collect())
    }

    /// Has CPU time sampled at another rate from now on.
    ///
    /// # Errors
    /// If an event cannot be opened: then CPU time is not sampled any more.
    pub fn set_frequency(&mut self, frequency_hz: u64) -> Result<(), KernelError> {
        let is_cpu = |source: &Source| matches!(source, Source::Cpu { .. });
        let Some(at) = self.sampling.iter().position(|sampling| is_cpu(&sampling.source)) else {
            return Ok(());
        };
        let source = Source::Cpu { frequency_hz };
        attach::detach(&mut self.ebpf, self.sampling.remove(at))?;
        self.sampling.insert(at, attach::sample(&mut self.ebpf, source)?);
        self.sources.iter_mut().filter(|source| is_cpu(source)).for_each(|it| *it = source);
        Ok(())
    }

    /// What is sampled.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Detaches what samples; what was sampled can still be read.
    ///
    /// # Errors
    /// If an event cannot be detached.
    pub fn detach_sampling(&mut self) -> Result<(), KernelError> {
        self.detach_probes()?;
        self.tls_probes.detach_all(&mut self.ebpf)?;
        self.sampling.drain(..).try_for_each(|sampling| attach::detach(&mut self.ebpf, sampling))
    }

    /// Waits until a process does something or `timeout` is over. Samples do not end the wait: they are read on
    /// a timer.
    pub fn wait(&self, timeout: Duration) {
        self.sideband.wait(timeout);
    }

    /// Hands every record that the ring holds to `each`.
    pub fn read_records(&mut self, mut each: impl FnMut(&[u8])) {
        while let Some(record) = self.ring.next() {
            each(&record);
        }
    }

    /// Hands what processes did to `each`; gives the number of events that the kernel could not keep.
    pub fn read_process_records(&mut self, each: impl FnMut(RawProcessRecord<'_>)) -> u64 {
        self.sideband.read(each)
    }

    /// Carries out one change to the tables.
    ///
    /// # Errors
    /// If a table has no room.
    pub fn apply(&mut self, op: &TableOp) -> Result<(), KernelError> {
        self.tables.apply(op)
    }

    /// Makes room for the table of a file for which there was none, and gives the files whose tables had to go: the
    /// first of `coldest_first` before others, none if all of them would not be enough. Such a file is pending again.
    ///
    /// # Errors
    /// If the kernel does not say when its programs are done with a table.
    pub fn make_table_room(
        &mut self,
        table: &Table,
        coldest_first: &[FileId],
    ) -> Result<Vec<FileId>, KernelError> {
        self.tables.make_room(table, coldest_first)
    }

    /// Lets go of the memory of unwind tables, which the kernel side keeps: it counts as the agent's while it is mapped.
    pub fn close_tables(&mut self) {
        self.tables.unwind.close();
    }

    /// How the kernel side would unwind an instruction of a file.
    #[must_use]
    pub fn rule_of(&self, file: FileId, offset: u64) -> UnwindRule {
        self.tables.unwind.rule_of(file, offset)
    }

    /// What the kernel side has counted, summed over all CPUs.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn counters(&self) -> Result<Vec<(Counter, u64)>, KernelError> {
        let count =
            |counter: &Counter| Ok((*counter, sum(&self.counters, names::MAP_COUNTERS, *counter as u32)?));
        Counter::ALL.iter().map(count).collect()
    }

    /// Run time of the sampling programs so far; `None` if this kernel keeps no statistics for us.
    #[must_use]
    pub fn cost(&self) -> Option<Cost> {
        self.sources.iter().map(|source| self.cost_of(*source)).sum()
    }

    /// The same of the programs of one source.
    #[must_use]
    pub fn cost_of(&self, source: Source) -> Option<Cost> {
        let _kept = self._statistics.as_ref()?;
        match source {
            Source::Cpu { .. } => cost::of_program(&self.ebpf, names::PROGRAM_CPU),
            Source::Resident { .. } => cost::of_program(&self.ebpf, names::PROGRAM_RESIDENT),
            Source::Alloc { .. } => self.uprobes.cost(&self.ebpf),
            Source::Loop { .. } => {
                let programs = [names::PROGRAM_WAIT, names::PROGRAM_WAITED];
                programs.into_iter().map(|name| cost::of_program(&self.ebpf, name)).sum()
            }
            Source::Requests(requests) => {
                let calls = cost::of_program(&self.ebpf, names::PROGRAM_REQUEST)?;
                let tls = requests.has_tls.then(|| self.tls_probes.cost(&self.ebpf)).flatten();
                Some([calls].into_iter().chain(tls).sum())
            }
            Source::OffCpu(_) => {
                let programs = [names::PROGRAM_SWITCH, names::PROGRAM_WOKEN, names::PROGRAM_SYS_EXIT];
                programs.into_iter().map(|name| cost::of_program(&self.ebpf, name)).sum()
            }
        }
    }

    /// Follows a thread that is there, for time off the CPU; gives `false` without room for it.
    pub fn follow_thread(&mut self, tid: u32, thread: &Thread) -> bool {
        self.threads.follow(tid, thread)
    }

    /// The threads that are followed, by their IDs, as they stand.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn threads(&self) -> Result<Vec<(u32, Thread)>, KernelError> {
        self.threads.read()
    }

    /// Follows a thread that waits for events; gives `false` without room for it.
    pub fn follow_worker(&mut self, tid: u32, worker: &Worker) -> bool {
        self.workers.follow(tid, worker)
    }

    /// The threads that wait for events, by their IDs, as they stand.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn workers(&self) -> Result<Vec<(u32, Worker)>, KernelError> {
        self.workers.read()
    }

    /// Forgets live objects, as nobody will free them: their process has ended.
    ///
    /// # Errors
    /// If the map cannot be changed.
    pub fn forget_live(&mut self, objects: &[LiveObject]) -> Result<(), KernelError> {
        self.live.forget(objects)
    }

    /// Whether the kernel side has not seen an object freed.
    #[must_use]
    pub fn is_live(&self, object: &LiveObject) -> bool {
        self.live.holds(object)
    }

    /// Forgets the calls of allocators in which processes were when they ended; gives how many of them were sampled.
    ///
    /// # Errors
    /// If the map cannot be read or changed.
    pub fn forget_calls(&mut self, is_of: impl Fn(u32) -> bool) -> Result<u64, KernelError> {
        self.live.forget_calls(is_of)
    }

    /// Memory that the kernel holds for our maps.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        cost::table_bytes()
    }
}

/// An entry, over all CPUs.
fn sum(map: &PerCpuArray<MapData, u64>, name: &'static str, index: u32) -> Result<u64, KernelError> {
    let values = map.get(&index, 0).map_err(|source| KernelError::Map { map: name, source })?;
    Ok(values.iter().sum())
}
