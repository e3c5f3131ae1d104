//! What a hit of a probe costs on this machine, measured on a function of our own.

use std::{
    fs::File,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use abi::alloc::{MAX_PROBES, PROBE_SHIFT, SKIP_NULL};

use crate::{
    kernel::{Kernel, Point},
    place::Returns,
    procfs::maps,
};

/// Calls timed at once, and how often: the fastest counts, as the others were interrupted.
const N_CALLS: u32 = 200;
const N_ROUNDS: usize = 10;

/// Not with the hits of any probe on a target.
const COUNTED_APART: u64 = (MAX_PROBES as u64 - 1) << PROBE_SHIFT;

/// Begins with an instruction that the kernel emulates. It says how it is unwound, as compilers do for other functions.
#[unsafe(naked)]
extern "C" fn probed(_: u64) {
    core::arch::naked_asm!(".cfi_startproc", "nop", "ret", ".cfi_endproc");
}

/// What a probe costs.
pub(super) struct ProbeCost {
    /// The time from the call into the probed function to its return, program included, in nanoseconds.
    pub(super) hit_ns: f64,
    /// How long it takes to take it out.
    pub(super) take_out: Duration,
}

/// `None` if this process cannot be probed. No other probe may be in place.
pub(super) fn measure(kernel: &mut Kernel) -> Option<ProbeCost> {
    let address = probed as *const () as u64;
    let pid = std::process::id();
    let region = maps::read_executable(pid)
        .ok()?
        .into_iter()
        .find(|region| (region.start..region.end).contains(&address))?;
    let file = File::open("/proc/self/exe").ok()?;
    let file_offset = address - region.start + region.file_offset;
    // Given a null pointer, the program returns at once.
    let point = Point { file_offset, cookie: SKIP_NULL | COUNTED_APART, returns: Returns::Unseen };
    kernel.attach_probes(NonZeroU32::new(pid)?, &file, &[point]).ok()?;
    let fastest = (0..N_ROUNDS).map(|_| time()).min();
    let began = Instant::now();
    kernel.detach_probes().ok()?;
    let hit_ns = fastest?.as_nanos() as f64 / f64::from(N_CALLS);
    Some(ProbeCost { hit_ns, take_out: began.elapsed() })
}

fn time() -> Duration {
    let began = Instant::now();
    for _ in 0..N_CALLS {
        probed(0);
    }
    began.elapsed()
}
