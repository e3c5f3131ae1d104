//! What kernel programs can be attached to: each event is opened, and closed before it counts anything.

use std::{io, path::Path};

use aya::util::online_cpus;
use perf_event::{
    Builder,
    events::{Event, Hardware, Software, Tracepoint},
};

use super::{
    Check, Group, Question, bpf, host, names,
    surroundings::{Surroundings, read_number},
};
use crate::kernel::{KernelError, sideband::Sideband, tracepoint};

/// Rate at which the sampling events are opened: one that no kernel's limit is below.
const TRIAL_RATE_HZ: u64 = 99;

/// What is left when privileges are there and the call is refused all the same.
const PERF_REMEDY: &str = "`sysctl -w kernel.perf_event_paranoid=2`; in a container also \
                           `docker run --security-opt seccomp=unconfined`";

/// What resident memory is watched for.
const GROWTH: &str = "stacks of what makes memory grow";

const NO_PERF: &str = "boot a kernel built with CONFIG_PERF_EVENTS=y";

pub(super) fn checks(surroundings: &Surroundings) -> Vec<Check> {
    let mut checks = vec![
        cpu_clock(surroundings),
        cpu_cycles(surroundings),
        process_events(surroundings),
        page_faults(surroundings),
    ];
    checks.extend(tracepoints(surroundings));
    checks.push(uprobes());
    checks.push(kprobes());
    checks.push(fentry(surroundings));
    checks
}

const fn question(name: &'static str, needed_for: &'static str, is_required: bool) -> Question {
    Question { group: Group::EventSources, name, needed_for, is_required }
}

pub(super) fn cpu_clock(surroundings: &Surroundings) -> Check {
    let question = question(names::CPU_CLOCK, "samples by the kernel's timer", true);
    let opened = cpus().and_then(|cpus| {
        cpus.iter().try_for_each(|cpu| open_sampled(Software::CPU_CLOCK, *cpu)).map(|()| cpus.len())
    });
    match opened {
        Ok(n_cpus) => question.ok(format!("opens on {n_cpus} CPUs")),
        Err(error) => refused(question, &error, surroundings),
    }
}

fn cpu_cycles(surroundings: &Surroundings) -> Check {
    let question =
        question("cpu cycles", "samples where interrupts are off (cpu-clock is used instead)", false);
    match first_cpu().and_then(|cpu| open_sampled(Hardware::CPU_CYCLES, cpu)) {
        Ok(()) => question.ok("opens"),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            refused(question, &error, surroundings)
        }
        Err(error) => question.missing(
            format!("no hardware counter ({error})"),
            "none needed; a virtual machine's host can pass its counters on, as `qemu -cpu host,pmu=on` does",
        ),
    }
}

fn process_events(surroundings: &Surroundings) -> Check {
    let question = question(names::PROCESS_EVENTS, "execs, exits and mappings as they happen", true);
    // What `record` opens, rings included.
    match Sideband::open() {
        Ok(_) => question.ok("open on every CPU"),
        Err(KernelError::Sideband { source, .. } | KernelError::OnlineCpus { source, .. }) => {
            refused(question, &source, surroundings)
        }
        Err(error) => question.missing(error.to_string(), NO_PERF),
    }
}

fn page_faults(surroundings: &Surroundings) -> Check {
    let question = question(names::PAGE_FAULTS, "nothing: not needed", false);
    match first_cpu().and_then(|cpu| open_sampled(Software::PAGE_FAULTS, cpu)) {
        Ok(()) => question.ok("opens"),
        Err(error) => refused(question, &error, surroundings),
    }
}

fn tracepoints(surroundings: &Surroundings) -> Vec<Check> {
    let tracepoints = [
        (names::TASK_NEWTASK, "following forks", true),
        ("sched:sched_process_exec", "following execs", true),
        (names::RSS_STAT, GROWTH, false),
        (names::SCHED_SWITCH, "blocked time", false),
        (names::SYS_ENTER, "requests, event loops", false),
        (names::SYS_EXIT, "requests, event loops", false),
        ("syscalls:sys_enter_read", "requests, at less cost", false),
        ("exceptions:page_fault_user", "page faults with their address", false),
    ];
    tracepoints
        .into_iter()
        .map(|(name, needed_for, is_required)| {
            tracepoint_of_host(question(name, needed_for, is_required), surroundings)
        })
        .collect()
}

/// The one that tells what makes memory grow.
pub(super) fn resident(surroundings: &Surroundings) -> Check {
    tracepoint_of_host(question(names::RSS_STAT, GROWTH, false), surroundings)
}

fn tracepoint_of_host(question: Question, surroundings: &Surroundings) -> Check {
    match host::events_directory() {
        Ok(events) => tracepoint(question, &events, surroundings),
        Err(error) => host::no_tracefs(question, &error, surroundings),
    }
}

fn tracepoint(question: Question, events: &str, surroundings: &Surroundings) -> Check {
    let id = match read_number(&format!("{events}/{}/id", question.name.replace(':', "/"))) {
        Ok(id) => id,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return question.missing(
                "not in this kernel",
                "boot a kernel built with CONFIG_TRACEPOINTS=y and CONFIG_FTRACE_SYSCALLS=y",
            );
        }
        Err(error) => return question.refused(&error, surroundings, surroundings.grant()),
    };
    let event = Tracepoint::with_id(id.unsigned_abs());
    match first_cpu().and_then(|cpu| open(builder(event, cpu).sample_period(1))) {
        Ok(()) if question.name == names::RSS_STAT => rss_stat(question),
        Ok(()) => question.ok("opens"),
        Err(error) => refused(question, &error, surroundings),
    }
}

/// It opens; what is in it must be where it is read.
fn rss_stat(question: Question) -> Check {
    let (name, fields) = tracepoint::RSS_STAT;
    match tracepoint::check(name, &fields) {
        Ok(()) => question.ok("opens, and has the fields that are read"),
        Err(error) => question.missing(
            error.to_string(),
            "none: an agent made for this kernel; `agent memory --no-stacks` watches without stacks",
        ),
    }
}

fn uprobes() -> Check {
    let question = question(names::UPROBES, "allocations, TLS requests", false);
    match has_event_source("uprobe") {
        true => question.ok("there"),
        false => question.missing("not in this kernel", "boot a kernel built with CONFIG_UPROBE_EVENTS=y"),
    }
}

fn kprobes() -> Check {
    let question = question("kprobes", "nothing: not needed", false);
    match has_event_source("kprobe") {
        true => question.ok("there, not needed"),
        false => question.missing("not in this kernel", "none needed"),
    }
}

fn fentry(surroundings: &Surroundings) -> Check {
    let question = question("fentry", "nothing: not needed", false);
    match bpf::fentry() {
        Ok(true) => question.ok("attaches, not needed"),
        Ok(false) => question.missing("not in this kernel", "none needed"),
        Err(error) if !surroundings.can_load_and_sample() => {
            question.refused(&error, surroundings, "none needed")
        }
        Err(error) => question.missing(format!("refused ({error})"), "none needed"),
    }
}

fn refused(question: Question, error: &io::Error, surroundings: &Surroundings) -> Check {
    // Not the caller's doing: the kernel has no such call or event.
    let is_absent = matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::ENOENT | libc::ENODEV));
    question.refused(error, surroundings, if is_absent { NO_PERF } else { PERF_REMEDY })
}

fn has_event_source(name: &str) -> bool {
    Path::new("/sys/bus/event_source/devices").join(name).join("type").exists()
}

fn open_sampled(event: impl Event, cpu: usize) -> io::Result<()> {
    open(builder(event, cpu).sample_frequency(TRIAL_RATE_HZ))
}

/// Everything that runs on one CPU, kernel included.
fn builder(event: impl Event, cpu: usize) -> Builder<'static> {
    let mut builder = Builder::new(event);
    builder.any_pid().one_cpu(cpu).include_kernel().include_hv();
    builder
}

fn open(builder: &Builder<'_>) -> io::Result<()> {
    builder.build().map(drop)
}

fn first_cpu() -> io::Result<usize> {
    cpus()?.first().copied().ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn cpus() -> io::Result<Vec<usize>> {
    let cpus = online_cpus().map_err(|(_, source)| source)?;
    Ok(cpus.into_iter().filter_map(|cpu| usize::try_from(cpu).ok()).collect())
}
