//! Programs to events.

mod ways;

use std::{fs, io};

use abi::{event::Event, names};
use aya::{
    Btf, Ebpf,
    programs::{
        BtfTracePoint, PerfEvent, ProgramError, RawTracePoint, TracePoint,
        perf_event::{
            HardwareEvent, PerfEventConfig, PerfEventLinkId, PerfEventScope, SamplePolicy, SoftwareEvent,
        },
        raw_trace_point::RawTracePointLinkId,
        tp_btf::BtfTracePointLinkId,
        trace_point::TracePointLinkId,
    },
    util::online_cpus,
};

use super::{
    KernelError, tracepoint,
    uprobe::{ALLOCATORS, Programs, TLS},
};
pub use ways::{OffCpu, Requests};

/// Programs whose arguments have the kernel's own types, each with its tracepoint.
type Typed = &'static [(&'static str, &'static str)];

/// The programs of event loops, and the tracepoints that they are attached to.
const WAIT_PROGRAMS: Typed = &[(names::PROGRAM_WAIT, "sys_enter"), (names::PROGRAM_WAITED, "sys_exit")];

/// The program of requests, likewise.
const REQUEST_PROGRAMS: Typed = &[(names::PROGRAM_REQUEST, "sys_exit")];

/// The programs of time off the CPU, and the tracepoints that they are attached to, in this order.
const SWITCH_PROGRAMS: Typed =
    &[(names::PROGRAM_WOKEN, "sched_waking"), (names::PROGRAM_SWITCH, "sched_switch")];
/// What else they are attached to.
const SYS_EXIT: &str = "raw tracepoint sys_exit";

const MAX_SAMPLE_RATE: &str = "/proc/sys/kernel/perf_event_max_sample_rate";

/// What to sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// CPU time.
    Cpu {
        /// Samples a second on each CPU.
        frequency_hz: u64,
    },
    /// Growth and release of resident memory.
    Resident {
        /// Mean distance of two samples.
        interval_bytes: u64,
    },
    /// Allocations.
    Alloc {
        /// Mean distance of two samples.
        interval_bytes: u64,
        /// Whether they are followed until they are freed.
        live_heap: bool,
    },
    /// Time off the CPU.
    OffCpu(OffCpu),
    /// Iterations of event loops: what the other sources sample within those that take long.
    Loop {
        /// From this time on, an iteration takes long.
        stall_ns: u64,
        /// Samples a second of the CPU time.
        frequency_hz: u64,
    },
    /// Messages of HTTP on the connections of targets.
    Requests(Requests),
}

impl Source {
    /// Whether a sample of this event comes from it.
    #[must_use]
    pub fn gives(self, event: Event) -> bool {
        match self {
            Self::Cpu { .. } => event == Event::CPU,
            Self::Resident { .. } => event.is_of_resident_memory(),
            Self::Alloc { .. } => matches!(event, Event::ALLOCATED | Event::POOLED | Event::FREED),
            Self::OffCpu(_) => matches!(event, Event::BLOCKED | Event::IDLE | Event::RUNNABLE),
            Self::Loop { .. } => event == Event::STALLED,
            Self::Requests(_) => false,
        }
    }

    /// Whether allocations are followed until they are freed.
    #[must_use]
    pub const fn has_live_heap(self) -> bool {
        matches!(self, Self::Alloc { live_heap: true, .. })
    }

    /// Samples a second on each CPU; 0 where samples do not fall due by time.
    #[must_use]
    pub const fn frequency_hz(self) -> u64 {
        match self {
            Self::Cpu { frequency_hz } | Self::Loop { frequency_hz, .. } => frequency_hz,
            Self::OffCpu(off_cpu) => off_cpu.cpu_frequency_hz,
            Self::Resident { .. } | Self::Alloc { .. } | Self::Requests(_) => 0,
        }
    }

    /// The programs of probes that it needs.
    pub(super) fn probes(self) -> Option<&'static Programs> {
        match self {
            Self::Alloc { .. } => Some(&ALLOCATORS),
            Self::Requests(Requests { has_tls: true, .. }) => Some(&TLS),
            _ => None,
        }
    }

    /// Whether allocators are probed, and if so, whether allocations are followed.
    #[must_use]
    pub const fn probes_for_live_heap(self) -> Option<bool> {
        match self {
            Self::Alloc { live_heap, .. } => Some(live_heap),
            _ => None,
        }
    }

    /// How time off the CPU is measured, if it is.
    #[must_use]
    pub const fn off_cpu(self) -> Option<OffCpu> {
        match self {
            Self::OffCpu(off_cpu) => Some(off_cpu),
            _ => None,
        }
    }

    /// From which time on an iteration of an event loop takes long, if those are looked at.
    #[must_use]
    pub const fn stall_ns(self) -> Option<u64> {
        match self {
            Self::Loop { stall_ns, .. } => Some(stall_ns),
            _ => None,
        }
    }

    /// How requests are followed, if they are.
    #[must_use]
    pub const fn requests(self) -> Option<Requests> {
        match self {
            Self::Requests(requests) => Some(requests),
            _ => None,
        }
    }

    /// Mean distance of two samples, where it is measured in bytes.
    #[must_use]
    pub const fn interval_bytes(self) -> Option<u64> {
        match self {
            Self::Cpu { .. } | Self::OffCpu(_) | Self::Loop { .. } | Self::Requests(_) => None,
            Self::Resident { interval_bytes } | Self::Alloc { interval_bytes, .. } => Some(interval_bytes),
        }
    }
}

/// What makes a sample fall due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The processor's cycle counter: also ticks in code that has interrupts off.
    Cycles,
    /// A timer of the kernel, everywhere there.
    CpuClock,
    /// A change of resident memory.
    RssStat,
    /// A call of an allocator.
    Alloc,
    /// A thread that comes back to a CPU.
    SchedSwitch,
    /// A wait for events.
    Wait,
    /// The end of a system call.
    SysExit,
}

impl Clock {
    /// Name of the event, as perf calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::CpuClock => "cpu-clock",
            Self::RssStat => "rss_stat",
            Self::Alloc => "alloc",
            Self::SchedSwitch => "sched_switch",
            Self::Wait => "waits for events",
            Self::SysExit => "sys_exit",
        }
    }
}

/// A source that samples are taken from.
pub(super) struct Sampling {
    pub(super) source: Source,
    pub(super) clock: Clock,
    links: Links,
}

enum Links {
    Cpu(Vec<PerfEventLinkId>),
    Tracepoint(TracePointLinkId),
    Switch(Vec<BtfTracePointLinkId>, RawTracePointLinkId),
    Typed(Typed, Vec<BtfTracePointLinkId>),
    /// [`super::uprobe`] holds them.
    Elsewhere,
}

/// Highest rate that the kernel samples at (`kernel.perf_event_max_sample_rate`).
///
/// # Errors
/// If the limit cannot be read.
pub fn max_frequency_hz() -> io::Result<u64> {
    let text = fs::read_to_string(MAX_SAMPLE_RATE)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, MAX_SAMPLE_RATE))
}

/// Attaches what keeps the set of targets right.
pub(super) fn follow(ebpf: &mut Ebpf) -> Result<(), KernelError> {
    tracepoint::check("task/task_newtask", &[(" pid", 8, 4), (" clone_flags", 32, 8)])?;
    let fork: &mut TracePoint = loaded(ebpf, names::PROGRAM_FORK, TracePoint::load)?;
    fork.attach("task", "task_newtask")
        .map_err(attach_error(names::PROGRAM_FORK, "tracepoint task:task_newtask"))?;
    let exec: &mut RawTracePoint = loaded(ebpf, names::PROGRAM_EXEC, RawTracePoint::load)?;
    exec.attach("sched_process_exec")
        .map_err(attach_error(names::PROGRAM_EXEC, "raw tracepoint sched_process_exec"))?;
    Ok(())
}

/// Loads the program that takes the samples, so that nothing but its attachment is left to do.
pub(super) fn load(ebpf: &mut Ebpf, source: Source) -> Result<(), KernelError> {
    match source {
        Source::Cpu { .. } => loaded(ebpf, names::PROGRAM_CPU, PerfEvent::load).map(drop),
        Source::Resident { .. } => {
            let (name, fields) = tracepoint::RSS_STAT;
            tracepoint::check(name, &fields)?;
            loaded(ebpf, names::PROGRAM_RESIDENT, TracePoint::load).map(drop)
        }
        // [`super::uprobe`] loads what it attaches.
        Source::Alloc { .. } => Ok(()),
        Source::Loop { .. } => load_typed(ebpf, WAIT_PROGRAMS),
        Source::Requests(_) => load_typed(ebpf, REQUEST_PROGRAMS),
        Source::OffCpu(_) => {
            load_typed(ebpf, SWITCH_PROGRAMS)?;
            loaded(ebpf, names::PROGRAM_SYS_EXIT, RawTracePoint::load).map(drop)
        }
    }
}

/// Begins to sample.
pub(super) fn sample(ebpf: &mut Ebpf, source: Source) -> Result<Sampling, KernelError> {
    match source {
        Source::Cpu { frequency_hz } => sample_cpus(ebpf, frequency_hz),
        Source::Resident { .. } => {
            let program: &mut TracePoint = program(ebpf, names::PROGRAM_RESIDENT)?;
            let link = program
                .attach("kmem", "rss_stat")
                .map_err(attach_error(names::PROGRAM_RESIDENT, "tracepoint kmem:rss_stat"))?;
            Ok(Sampling { source, clock: Clock::RssStat, links: Links::Tracepoint(link) })
        }
        Source::Alloc { .. } => Ok(Sampling { source, clock: Clock::Alloc, links: Links::Elsewhere }),
        Source::Loop { .. } => {
            let links = Links::Typed(WAIT_PROGRAMS, attach_typed(ebpf, WAIT_PROGRAMS)?);
            Ok(Sampling { source, clock: Clock::Wait, links })
        }
        Source::Requests(_) => {
            let links = Links::Typed(REQUEST_PROGRAMS, attach_typed(ebpf, REQUEST_PROGRAMS)?);
            Ok(Sampling { source, clock: Clock::SysExit, links })
        }
        Source::OffCpu(_) => {
            let at_exit: &mut RawTracePoint = program(ebpf, names::PROGRAM_SYS_EXIT)?;
            let exit = at_exit.attach("sys_exit").map_err(attach_error(names::PROGRAM_SYS_EXIT, SYS_EXIT))?;
            let links = Links::Switch(attach_typed(ebpf, SWITCH_PROGRAMS)?, exit);
            Ok(Sampling { source, clock: Clock::SchedSwitch, links })
        }
    }
}

/// Opens one sampling event on each CPU.
fn sample_cpus(ebpf: &mut Ebpf, frequency_hz: u64) -> Result<Sampling, KernelError> {
    let cpus =
        online_cpus().map_err(|(path, source)| KernelError::OnlineCpus { path: path.to_owned(), source })?;
    let program: &mut PerfEvent = program(ebpf, names::PROGRAM_CPU)?;
    let mut links = Vec::with_capacity(cpus.len());
    let (mut clock, mut event) = (Clock::Cycles, PerfEventConfig::Hardware(HardwareEvent::CpuCycles));
    for cpu in cpus {
        let mut attach = |event: PerfEventConfig| {
            let scope = PerfEventScope::AllProcessesOneCpu { cpu };
            program.attach(event, scope, SamplePolicy::Frequency(frequency_hz), false)
        };
        let link = match attach(event) {
            // No cycle counter (a virtual machine, mostly): the first CPU decides for all.
            Err(_) if links.is_empty() => {
                (clock, event) = (Clock::CpuClock, PerfEventConfig::Software(SoftwareEvent::CpuClock));
                attach(event)
            }
            other => other,
        };
        links.push(link.map_err(attach_error(names::PROGRAM_CPU, "the CPU clock"))?);
    }
    Ok(Sampling { source: Source::Cpu { frequency_hz }, clock, links: Links::Cpu(links) })
}

/// Closes the sampling events.
pub(super) fn detach(ebpf: &mut Ebpf, sampling: Sampling) -> Result<(), KernelError> {
    match sampling.links {
        Links::Cpu(links) => {
            let program: &mut PerfEvent = program(ebpf, names::PROGRAM_CPU)?;
            for link in links {
                program.detach(link).map_err(attach_error(names::PROGRAM_CPU, "the CPU clock"))?;
            }
            Ok(())
        }
        Links::Tracepoint(link) => {
            let program: &mut TracePoint = program(ebpf, names::PROGRAM_RESIDENT)?;
            program.detach(link).map_err(attach_error(names::PROGRAM_RESIDENT, "tracepoint kmem:rss_stat"))
        }
        Links::Switch(links, exit) => {
            detach_typed(ebpf, SWITCH_PROGRAMS, links)?;
            let at_exit: &mut RawTracePoint = program(ebpf, names::PROGRAM_SYS_EXIT)?;
            at_exit.detach(exit).map_err(attach_error(names::PROGRAM_SYS_EXIT, SYS_EXIT))
        }
        Links::Typed(programs, links) => detach_typed(ebpf, programs, links),
        Links::Elsewhere => Ok(()),
    }
}

fn load_typed(ebpf: &mut Ebpf, programs: Typed) -> Result<(), KernelError> {
    let types = Btf::from_sys_fs().map_err(|source| KernelError::Btf { source })?;
    programs.iter().try_for_each(|(name, tracepoint)| {
        loaded(ebpf, name, |program: &mut BtfTracePoint| program.load(tracepoint, &types)).map(drop)
    })
}

fn attach_typed(ebpf: &mut Ebpf, programs: Typed) -> Result<Vec<BtfTracePointLinkId>, KernelError> {
    let mut attach = |(name, tracepoint): &(&'static str, &'static str)| {
        let program: &mut BtfTracePoint = program(ebpf, name)?;
        program.attach().map_err(attach_error(name, tracepoint))
    };
    programs.iter().map(&mut attach).collect()
}

fn detach_typed(
    ebpf: &mut Ebpf,
    programs: Typed,
    links: Vec<BtfTracePointLinkId>,
) -> Result<(), KernelError> {
    links.into_iter().zip(programs).try_for_each(|(link, (name, tracepoint))| {
        let program: &mut BtfTracePoint = program(ebpf, name)?;
        program.detach(link).map_err(attach_error(name, tracepoint))
    })
}

pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, KernelError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or(KernelError::Missing { name })?;
    program.try_into().map_err(|source| KernelError::Load { program: name, source: Box::new(source) })
}

pub(super) fn loaded<'a, P: 'a>(
    ebpf: &'a mut Ebpf,
    name: &'static str,
    load: impl FnOnce(&mut P) -> Result<(), ProgramError>,
) -> Result<&'a mut P, KernelError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let found: &mut P = program(ebpf, name)?;
    load(found).map_err(|source| KernelError::Load { program: name, source: Box::new(source) })?;
    Ok(found)
}

pub(super) fn attach_error(
    program: &'static str,
    to: &'static str,
) -> impl FnOnce(ProgramError) -> KernelError {
    move |source| KernelError::Attach { program, to, source: Box::new(source) }
}
