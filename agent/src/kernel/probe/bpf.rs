//! Program types, maps and helpers, tried with the smallest program that has them (aya's feature probes).

use std::io;

use aya::{
    maps::MapType,
    programs::{ProgramError, ProgramType},
    sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported},
};

use super::{Check, Group, Question, names, surroundings::Surroundings};

/// What is left when privileges are there and the call is refused all the same.
const SECCOMP: &str = "let the container make bpf calls: `docker run --security-opt seccomp=unconfined`";

pub(super) fn checks(surroundings: &Surroundings) -> Vec<Check> {
    let programs = [
        ("program type perf_event", "samples", ProgramType::PerfEvent, true),
        ("program type tracepoint", "following forks", ProgramType::TracePoint, true),
        ("program type raw_tracepoint", "following execs", ProgramType::RawTracePoint, true),
        (names::UPROBE_PROGRAM, "allocations", ProgramType::KProbe, false),
    ];
    // The sampling program calls all of these: without one of them it does not load.
    let helpers = [
        ("helper bpf_loop", "unwinding of user stacks", BpfHelper::BPF_FUNC_loop),
        (
            "helper bpf_task_pt_regs",
            "user stacks of samples in system calls",
            BpfHelper::BPF_FUNC_task_pt_regs,
        ),
        ("helper bpf_get_stack", "kernel stacks", BpfHelper::BPF_FUNC_get_stack),
        (
            "helper bpf_get_current_ancestor_cgroup_id",
            "the filter by control group",
            BpfHelper::BPF_FUNC_get_current_ancestor_cgroup_id,
        ),
    ];
    let programs = programs.into_iter().map(|(name, needed_for, program, is_required)| {
        let supported = is_program_supported(program).map_err(into_io);
        answer(question(name, needed_for, is_required), supported, surroundings)
    });
    let ring = std::iter::once_with(|| {
        let supported = is_map_supported(MapType::RingBuf).map_err(|error| error.io_error);
        answer(question("map type ring buffer", "every record", true), supported, surroundings)
    });
    let helpers = helpers.into_iter().map(|(name, needed_for, helper)| {
        let supported = is_helper_supported(ProgramType::PerfEvent, helper).map_err(into_io);
        answer(question(name, needed_for, true), supported, surroundings)
    });
    programs.chain(ring).chain(helpers).collect()
}

/// fentry and fexit, which some kernels refuse.
pub(super) fn fentry() -> io::Result<bool> {
    is_program_supported(ProgramType::Tracing).map_err(into_io)
}

const fn question(name: &'static str, needed_for: &'static str, is_required: bool) -> Question {
    Question { group: Group::Host, name, needed_for, is_required }
}

fn answer(question: Question, supported: io::Result<bool>, surroundings: &Surroundings) -> Check {
    match supported {
        Ok(true) => question.ok("loads"),
        Ok(false) => question.missing(
            "not in this kernel",
            "boot a kernel built with CONFIG_BPF_SYSCALL=y, CONFIG_BPF_EVENTS=y and CONFIG_CGROUPS=y",
        ),
        Err(error) => question.refused(&error, surroundings, SECCOMP),
    }
}

fn into_io(error: ProgramError) -> io::Error {
    match error {
        ProgramError::SyscallError(error) => error.io_error,
        other => io::Error::other(other),
    }
}
