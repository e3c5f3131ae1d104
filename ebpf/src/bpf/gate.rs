//! Whether probes count. The agent puts them in before they are to count and takes them out afterwards; when they do
//! is exact to the nanosecond.

use abi::alloc::N_GATES;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;

use super::maps::GATES;

/// Whether what happens now is to be seen.
#[inline(always)]
pub(super) fn is_open() -> bool {
    // SAFETY: a helper without arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    (0..N_GATES)
        .any(|number| GATES.get(number).is_some_and(|gate| gate.from_ns <= now && now < gate.until_ns))
}
