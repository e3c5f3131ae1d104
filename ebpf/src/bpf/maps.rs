//! Every map and global of the programs, and the scratch space of one CPU.

use abi::{
    alloc::{Call, Gate, Live, LiveKey, MAX_PROBES, N_GATES, Pending},
    config::{Config, Controls},
    counter::{Counter, N_COUNTERS},
    event_loop::Worker,
    limits::{
        MAX_CONNECTIONS, MAX_LARGE_PROCESSES, MAX_LIVE, MAX_PENDING, MAX_PROCESSES, MAX_SEEN_STACKS,
        MAX_TABLE_PIECES, MAX_TARGETS, MAX_THREADS, MAX_TLS_CALLS, MAX_UNWIND_FILES, MAX_WORKERS,
        MIN_RING_BYTES, N_ROOMS,
    },
    mapping::{LargeTable, SmallTable},
    off_cpu::Thread,
    request::Connection,
    resident::Resident,
    sample::{Capture, KernelStack, UserStack},
    target::Target,
    tls::TlsCall,
    unwind::{FileTable, TablePiece},
};
use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{self, ArrayOfMaps},
    macros::{btf_map, map},
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
};
use ebpf::walk::Walk;

use super::{
    code::{Cache, KnownTable},
    due::Countdowns,
    read::Memory,
    requests::Room,
    swap::{add, swap},
};

/// Set by the agent before loading.
#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    cgroup_id: 0,
    cgroup_level: 0,
    scope: 0,
    comm: [0; 16],
    is_in_bytes: 0,
    min_block_ns: 0,
    task_pid_at: 0,
    off_cpu: 0,
    stall_ns: 0,
    requests: 0,
};

/// The agent has samples taken when everything is attached, and no more before it detaches anything: all that is sampled
/// began and ended in one moment, however long it takes to attach to many processes.
#[unsafe(no_mangle)]
static mut CONTROLS: Controls = Controls { is_sampling: 0, interval_bytes: 0 };

#[map]
pub(super) static RING: RingBuf = RingBuf::with_byte_size(MIN_RING_BYTES, 0);
#[map]
pub(super) static TARGETS: HashMap<u32, Target> = HashMap::with_max_entries(MAX_TARGETS, BPF_F_NO_PREALLOC);
#[map]
pub(super) static MAPPINGS: HashMap<u32, SmallTable> =
    HashMap::with_max_entries(MAX_PROCESSES, BPF_F_NO_PREALLOC);
#[map]
pub(super) static LARGE_MAPPINGS: HashMap<u32, LargeTable> =
    HashMap::with_max_entries(MAX_LARGE_PROCESSES, BPF_F_NO_PREALLOC);
/// Preallocated: it is written from interrupts, on the sampling path.
#[map]
pub(super) static SEEN: HashMap<[u64; 2], u64> = HashMap::with_max_entries(MAX_SEEN_STACKS, 0);
/// File ID -> where its unwind table is.
#[map]
pub(super) static FILES: Array<FileTable> = Array::with_max_entries(MAX_UNWIND_FILES, BPF_F_MMAPABLE);
/// The unwind tables of all files, in pieces that the agent adds as it needs them. A piece is never taken away, and
/// all have one size, so that both searches are compiled into the program.
#[btf_map]
pub(super) static PIECES: ArrayOfMaps<Piece, { MAX_TABLE_PIECES as usize }> = ArrayOfMaps::new();
/// By the hash of the address space. Only a target's own change makes an entry, and the end of the memory takes it away.
#[map]
pub(super) static RESIDENT: HashMap<u32, Resident> =
    HashMap::with_max_entries(MAX_TARGETS, BPF_F_NO_PREALLOC);
/// Both preallocated: they are written on every path of a sampled allocation, in whatever a probe interrupts.
#[map]
pub(super) static PENDING: HashMap<Call, Pending> = HashMap::with_max_entries(MAX_PENDING, 0);
#[map]
pub(super) static LIVE: HashMap<LiveKey, Live> = HashMap::with_max_entries(MAX_LIVE, 0);
/// Preallocated: it is written while the scheduler holds its lock.
#[map]
pub(super) static THREADS: HashMap<u32, Thread> = HashMap::with_max_entries(MAX_THREADS, 0);
/// The thread of this CPU that was away for long and has not been walked; 0 if there is none.
#[map]
pub(super) static UNTOLD: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub(super) static WORKERS: HashMap<u32, Worker> = HashMap::with_max_entries(MAX_WORKERS, BPF_F_NO_PREALLOC);
/// A worker without anything, to copy.
#[map]
pub(super) static NEW_WORKER: Array<Worker> = Array::with_max_entries(1, 0);
/// Process ID and descriptor -> its connection.
#[map]
pub(super) static CONNECTIONS: LruHashMap<u64, Connection> = LruHashMap::with_max_entries(MAX_CONNECTIONS, 0);
/// A connection without anything, to copy.
#[map]
pub(super) static NEW_CONNECTION: Array<Connection> = Array::with_max_entries(1, 0);
/// Thread -> [`Connection::id`], or 0. The oldest go first: nobody tells of threads that end.
#[map]
pub(super) static SERVED: LruHashMap<u32, u64> = LruHashMap::with_max_entries(MAX_THREADS, 0);
#[map]
pub(super) static IO: PerCpuArray<Room> = PerCpuArray::with_max_entries(N_ROOMS, 0);
/// Preallocated: it is written in whatever a probe interrupts.
#[map]
pub(super) static TLS_CALLS: HashMap<u64, TlsCall> = HashMap::with_max_entries(MAX_TLS_CALLS, 0);
#[map]
pub(super) static TLS_CONNECTIONS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(MAX_CONNECTIONS, 0);
#[map]
pub(super) static COUNTDOWNS: PerCpuArray<Countdowns> = PerCpuArray::with_max_entries(1, 0);
/// When probes count: none of the time, until the agent says so.
#[map]
pub(super) static GATES: Array<Gate> = Array::with_max_entries(N_GATES, 0);
/// Number of a probe -> how often it was run into.
#[map]
pub(super) static HITS: PerCpuArray<u64> = PerCpuArray::with_max_entries(MAX_PROBES, 0);
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(N_COUNTERS, 0);
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
/// Apart from the scratch space: a per-CPU value may have 32 KiB, and this one does.
#[map]
static CACHE: PerCpuArray<Cache> = PerCpuArray::with_max_entries(1, 0);
#[map]
static CAPTURE: PerCpuArray<Capture> = PerCpuArray::with_max_entries(1, 0);

/// A piece of the memory for unwind tables: an array of one value, so that a block costs no second search.
pub(super) type Piece = btf_maps::Array<TablePiece, 1, { BPF_F_MMAPABLE as usize }>;

/// What does not fit on the 512-byte stack of a program. Slot 0 is used only by programs of perf events and
/// tracepoints, which cannot interrupt each other on one CPU: the kernel counts them in `bpf_prog_active`, one for
/// both kinds (`bpf_overflow_handler` in kernel/events/core.c, `trace_call_bpf` in kernel/trace/bpf_trace.c), and
/// leaves out the second. Programs of uprobes can be preempted by another thread that runs into one: they claim a
/// slot, and with it the cache and the room for a capture that have its number.
#[repr(C)]
pub(super) struct Scratch {
    /// Whether the slot is claimed.
    busy: u64,
    /// The number of the last stack of this slot on this CPU.
    pub(super) n_stacks: u64,
    pub(super) user: UserStack,
    pub(super) kernel: KernelStack,
    pub(super) table: KnownTable,
    pub(super) walk: Walk,
    pub(super) memory: Memory,
}

/// The configuration. A volatile read: its value is patched in after compilation.
#[inline(always)]
pub(super) fn config() -> Config {
    // SAFETY: a static of our own, read-only once the program is loaded.
    unsafe { core::ptr::read_volatile(&raw const CONFIG) }
}

/// [`Config::min_block_ns`].
#[inline(always)]
pub(super) fn min_block_ns() -> u64 {
    // SAFETY: as in `config`.
    unsafe { core::ptr::read_volatile(&raw const CONFIG.min_block_ns) }
}

/// [`Config::stall_ns`].
#[inline(always)]
pub(super) fn stall_ns() -> u64 {
    // SAFETY: as in `config`.
    unsafe { core::ptr::read_volatile(&raw const CONFIG.stall_ns) }
}

/// [`Config::requests`].
#[inline(always)]
pub(super) fn request_flags() -> u64 {
    // SAFETY: as in `config`.
    unsafe { core::ptr::read_volatile(&raw const CONFIG.requests) }
}

/// [`Config::off_cpu`].
#[inline(always)]
pub(super) fn off_cpu_flags() -> u32 {
    // SAFETY: as in `config`.
    unsafe { core::ptr::read_volatile(&raw const CONFIG.off_cpu) }
}

/// [`Config::task_pid_at`]: to the verifier a known number, so that it can tell what stands there.
#[inline(always)]
pub(super) fn task_pid_at() -> u32 {
    // SAFETY: as in `config`.
    unsafe { core::ptr::read_volatile(&raw const CONFIG.task_pid_at) }
}

/// Whether samples are taken.
#[inline(always)]
pub(super) fn is_sampling() -> bool {
    // SAFETY: a word of our own, which only the agent writes.
    unsafe { core::ptr::read_volatile(&raw const CONTROLS.is_sampling) != 0 }
}

/// Mean distance of two samples of an event that is measured in bytes.
#[inline(always)]
pub(super) fn interval_bytes() -> u64 {
    // SAFETY: a word of our own, which only the agent writes.
    unsafe { core::ptr::read_volatile(&raw const CONTROLS.interval_bytes) }
}

/// Bits of a stack's number below those of its slot.
const SLOT_SHIFT: u32 = 40;

/// In place of a slot: all are taken.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// Claims a slot for a program that can be preempted, but not moved to another CPU.
#[inline(always)]
pub(super) fn claim() -> u32 {
    brazier_claim() as u32
}

/// A global function, of whose result the verifier knows nothing: it would go through the walk once for each slot.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn brazier_claim() -> u64 {
    let slot = if try_claim(1) {
        1
    } else if try_claim(2) {
        2
    } else {
        NO_SLOT
    };
    slot.into()
}

#[inline(always)]
fn try_claim(slot: u32) -> bool {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else { return false };
    // SAFETY: one word of a per-CPU value, and whoever else runs on this CPU writes it in one step, too.
    if swap(unsafe { &mut (*scratch).busy }, 1) != 0 {
        return false;
    }
    // SAFETY: claimed.
    let n_stacks = unsafe { &mut (*scratch).n_stacks };
    if *n_stacks == 0 {
        *n_stacks = u64::from(slot) << SLOT_SHIFT;
    }
    true
}

/// Gives a slot back.
#[inline(always)]
pub(super) fn release(slot: u32) {
    if let Some(scratch) = SCRATCH.get_ptr_mut(slot) {
        // SAFETY: as in `try_claim`.
        swap(unsafe { &mut (*scratch).busy }, 0);
    }
}

/// A scratch space of this CPU: slot 0, or one that was claimed.
#[inline(always)]
pub(super) fn scratch(slot: u32) -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(slot)?;
    // SAFETY: a per-CPU value, and of the programs that use slot 0, none nests.
    Some(unsafe { &mut *scratch })
}

/// The cache of code that belongs to a slot.
#[inline(always)]
pub(super) fn cache(slot: u32) -> Option<&'static mut Cache> {
    let cache = CACHE.get_ptr_mut(slot)?;
    // SAFETY: as for the scratch space.
    Some(unsafe { &mut *cache })
}

/// The room for a stack that is not walked here, which belongs to a slot.
#[inline(always)]
pub(super) fn capture(slot: u32) -> Option<&'static mut Capture> {
    let capture = CAPTURE.get_ptr_mut(slot)?;
    // SAFETY: as for the scratch space.
    Some(unsafe { &mut *capture })
}

/// Adds one to a counter of this CPU, which a program that preempts or interrupts this one may count in as well.
#[inline(always)]
pub(super) fn count(counter: Counter) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter as u32) {
        // SAFETY: a per-CPU value, checked above.
        add(unsafe { &mut *value }, 1);
    }
}
