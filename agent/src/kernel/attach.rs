//! Programs to events.

use std::{fs, io};

use abi::names;
use aya::{
    Ebpf,
    programs::{
        PerfEvent, ProgramError, RawTracePoint, TracePoint,
        perf_event::{
            HardwareEvent, PerfEventConfig, PerfEventLinkId, PerfEventScope, SamplePolicy, SoftwareEvent,
        },
    },
    util::online_cpus,
};

use super::KernelError;

const MAX_SAMPLE_RATE: &str = "/proc/sys/kernel/perf_event_max_sample_rate";
/// Where tracefs is mounted by custom.
pub(super) const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// What makes a sample fall due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The processor's cycle counter: also ticks in code that has interrupts off.
    Cycles,
    /// A timer of the kernel, everywhere there.
    CpuClock,
}

impl Clock {
    /// Name of the event, as perf calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::CpuClock => "cpu-clock",
        }
    }

    const fn config(self) -> PerfEventConfig {
        match self {
            Self::Cycles => PerfEventConfig::Hardware(HardwareEvent::CpuCycles),
            Self::CpuClock => PerfEventConfig::Software(SoftwareEvent::CpuClock),
        }
    }
}

/// Sampling under way.
pub(super) struct Sampling {
    pub(super) clock: Clock,
    links: Vec<PerfEventLinkId>,
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
    check_task_newtask()?;
    let fork: &mut TracePoint = loaded(ebpf, names::PROGRAM_FORK, TracePoint::load)?;
    fork.attach("task", "task_newtask")
        .map_err(attach_error(names::PROGRAM_FORK, "tracepoint task:task_newtask"))?;
    let exec: &mut RawTracePoint = loaded(ebpf, names::PROGRAM_EXEC, RawTracePoint::load)?;
    exec.attach("sched_process_exec")
        .map_err(attach_error(names::PROGRAM_EXEC, "raw tracepoint sched_process_exec"))?;
    loaded(ebpf, names::PROGRAM_CPU, PerfEvent::load)?;
    Ok(())
}

/// Opens one sampling event on each CPU.
pub(super) fn sample(ebpf: &mut Ebpf, frequency_hz: u64) -> Result<Sampling, KernelError> {
    let cpus =
        online_cpus().map_err(|(path, source)| KernelError::OnlineCpus { path: path.to_owned(), source })?;
    let program: &mut PerfEvent = program(ebpf, names::PROGRAM_CPU)?;
    let mut sampling = Sampling { clock: Clock::Cycles, links: Vec::with_capacity(cpus.len()) };
    for cpu in cpus {
        let mut attach = |clock: Clock| {
            let scope = PerfEventScope::AllProcessesOneCpu { cpu };
            program.attach(clock.config(), scope, SamplePolicy::Frequency(frequency_hz), false)
        };
        let link = match attach(sampling.clock) {
            // No cycle counter (a virtual machine, mostly): the first CPU decides for all.
            Err(_) if sampling.links.is_empty() => {
                sampling.clock = Clock::CpuClock;
                attach(sampling.clock)
            }
            other => other,
        };
        sampling.links.push(link.map_err(attach_error(names::PROGRAM_CPU, "the CPU clock"))?);
    }
    Ok(sampling)
}

/// Closes the sampling events.
pub(super) fn detach(ebpf: &mut Ebpf, sampling: Sampling) -> Result<(), KernelError> {
    let program: &mut PerfEvent = program(ebpf, names::PROGRAM_CPU)?;
    for link in sampling.links {
        program.detach(link).map_err(attach_error(names::PROGRAM_CPU, "the CPU clock"))?;
    }
    Ok(())
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, KernelError>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or(KernelError::Missing { name })?;
    program.try_into().map_err(|source| KernelError::Load { program: name, source: Box::new(source) })
}

fn loaded<'a, P: 'a>(
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

fn attach_error(program: &'static str, to: &'static str) -> impl FnOnce(ProgramError) -> KernelError {
    move |source| KernelError::Attach { program, to, source: Box::new(source) }
}

/// The program reads two fields at fixed offsets. The kernel promises no layout, so compare before believing.
fn check_task_newtask() -> Result<(), KernelError> {
    let format = TRACEFS
        .iter()
        .find_map(|tracefs| fs::read_to_string(format!("{tracefs}/events/task/task_newtask/format")).ok());
    match format {
        Some(format) if has_known_fields(&format) => Ok(()),
        _ => Err(KernelError::TracepointFormat { tracepoint: "task:task_newtask" }),
    }
}

fn has_known_fields(format: &str) -> bool {
    let field = |name: &str, place: &str| {
        format.lines().any(|line| {
            line.split(';').next().is_some_and(|declaration| declaration.ends_with(name))
                && line.contains(place)
        })
    };
    field(" pid", "\toffset:8;\tsize:4;") && field(" clone_flags", "\toffset:32;\tsize:8;")
}

#[cfg(test)]
mod tests {
    use super::has_known_fields;

    #[test]
    fn a_tracepoint_with_moved_fields_is_refused() {
        let format = "\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n\
                      \tfield:unsigned long clone_flags;\toffset:32;\tsize:8;\tsigned:0;\n";
        assert!(has_known_fields(format));
        assert!(!has_known_fields(&format.replace("offset:32", "offset:24")));
        assert!(!has_known_fields(&format.replace("size:4", "size:8")));
        assert!(!has_known_fields(""));
    }
}
