//! From the object in this binary to programs in the kernel.

use abi::{
    config::{Config, TELL_SERVED},
    limits, names,
};
use aya::{Ebpf, EbpfLoader, maps::MapError};

use super::{KernelError, Source};

/// The object is committed beside its source; `build.rs` refuses one that is older than its source.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../ebpf/brazier.bpf.o");

/// Largest ring, whatever the number of CPUs.
const MAX_RING_BYTES: u32 = 64 << 20;

/// A thread that only allocates is sampled half a million times a second where every call is, and 64 bytes cross each
/// time: four times what other sources need lasts until the next reading.
const ALLOC_RING_FACTOR: u32 = 4;

/// At 10,000 proxied requests a second 5 MB cross: so much lasts for a second on two CPUs.
const REQUESTS_RING_FACTOR: u32 = 8;

/// The slot of programs that cannot be preempted, and one for those of time off the CPU: they cannot either, but a timer of
/// the CPU clock may interrupt them. Another where an interrupt that wakes a thread is told of.
const SWITCH_SLOTS: u32 = 2;
const WAKER_SLOTS: u32 = 3;

/// Loads maps and programs, with room for what is to be sampled: memory is taken when maps are made.
pub(super) fn load(config: Config, sources: &[Source]) -> Result<Ebpf, KernelError> {
    let has_probes = sources.iter().any(|source| matches!(source, Source::Alloc { .. }));
    let has_switches = sources.iter().any(|source| source.off_cpu().is_some());
    let has_wakers = sources.iter().any(|source| source.off_cpu().is_some_and(|it| it.has_wakers));
    let (n_slots, ring_factor) = match (has_probes, has_switches) {
        (true, _) => (limits::N_SLOTS, ALLOC_RING_FACTOR),
        (false, true) if has_wakers => (WAKER_SLOTS, 1),
        (false, true) => (SWITCH_SLOTS, 1),
        (false, false) => (1, 1),
    };
    let requests = sources.iter().find_map(|source| source.requests());
    let (has_requests, has_tls) = (requests.is_some(), requests.is_some_and(|it| it.has_tls));
    let ring_factor = if has_requests { REQUESTS_RING_FACTOR } else { ring_factor };
    let n_connections = if has_requests { limits::MAX_CONNECTIONS } else { 1 };
    let n_served = if request_flags(sources) & TELL_SERVED != 0 { limits::MAX_THREADS } else { 1 };
    let (n_rooms, n_tls_calls, n_tls_connections) =
        if has_tls { (limits::N_ROOMS, limits::MAX_TLS_CALLS, limits::MAX_CONNECTIONS) } else { (1, 1, 1) };
    let n_threads = if has_switches { limits::MAX_THREADS } else { 1 };
    let has_live_heap = sources.iter().any(|source| source.has_live_heap());
    let (n_pending, n_live) = if has_live_heap { (limits::MAX_PENDING, limits::MAX_LIVE) } else { (1, 1) };
    EbpfLoader::new()
        .override_global(names::GLOBAL_CONFIG, &config, true)
        .map_max_entries(names::MAP_RING, ring_factor * ring_bytes(n_cpus()))
        .map_max_entries(names::MAP_SCRATCH, n_slots)
        .map_max_entries(names::MAP_CACHE, n_slots)
        .map_max_entries(names::MAP_CAPTURE, n_slots)
        .map_max_entries(names::MAP_PENDING, n_pending)
        .map_max_entries(names::MAP_LIVE, n_live)
        .map_max_entries(names::MAP_THREADS, n_threads)
        .map_max_entries(names::MAP_CONNECTIONS, n_connections)
        .map_max_entries(names::MAP_SERVED, n_served)
        .map_max_entries(names::MAP_IO, n_rooms)
        .map_max_entries(names::MAP_TLS_CALLS, n_tls_calls)
        .map_max_entries(names::MAP_TLS_CONNECTIONS, n_tls_connections)
        .load(OBJECT)
        .map_err(|source| KernelError::Object { source: Box::new(source) })
}

/// How requests are followed: beside samples, it is told which of them those belong to.
pub(super) fn request_flags(sources: &[Source]) -> u64 {
    let Some(requests) = sources.iter().find_map(|source| source.requests()) else { return 0 };
    requests.flags() | if sources.len() > 1 { TELL_SERVED } else { 0 }
}

/// Takes a map out of the loaded object, as the type it is used as.
pub(super) fn take<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, KernelError>
where
    M: TryFrom<aya::maps::Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(KernelError::Missing { name })?;
    M::try_from(map).map_err(|source| KernelError::Map { map: name, source })
}

/// All CPUs are sampled, whatever CPUs this process may run on.
fn n_cpus() -> u32 {
    aya::util::nr_cpus().map_or(1, |n| u32::try_from(n).unwrap_or(u32::MAX))
}

/// The kernel takes powers of two.
fn ring_bytes(n_cpus: u32) -> u32 {
    limits::RING_BYTES_PER_CPU
        .saturating_mul(n_cpus)
        .clamp(limits::MIN_RING_BYTES, MAX_RING_BYTES)
        .next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::{super::Requests, Source, request_flags, ring_bytes};
    use abi::config::{HIDE_PATHS, TELL_SERVED};

    #[test]
    fn the_ring_is_a_power_of_two_between_its_bounds() {
        let sizes = [1, 2, 5, 64, 100, 4096].map(|n_cpus| ring_bytes(n_cpus) >> 20);
        assert_eq!(sizes, [1, 1, 2, 16, 32, 64]);
    }

    #[test]
    fn whose_samples_are_is_told_where_there_are_samples() {
        let (cpu, requests) = (
            Source::Cpu { frequency_hz: 99 },
            Source::Requests(Requests { hides_paths: true, has_tls: false }),
        );
        let flags = [&[cpu][..], &[requests], &[requests, cpu]].map(request_flags);
        assert_eq!(flags, [0, HIDE_PATHS, HIDE_PATHS | TELL_SERVED]);
    }
}
