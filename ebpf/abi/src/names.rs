//! Names of programs, maps and globals, so that neither side spells one by hand.

/// `perf_event`: one CPU sample.
pub const PROGRAM_CPU: &str = "brazier_cpu";
/// `tracepoint kmem/rss_stat`: resident memory grows or shrinks.
pub const PROGRAM_RESIDENT: &str = "brazier_resident";
/// `uprobe`: an allocation.
pub const PROGRAM_ALLOC: &str = "brazier_alloc";
/// `uretprobe`: an allocator returns.
pub const PROGRAM_ALLOCATED: &str = "brazier_allocated";
/// The two above in one, for a session.
pub const PROGRAM_HEAP: &str = "brazier_heap";
/// `tracepoint task/task_newtask`: children of a target become targets before they run.
pub const PROGRAM_FORK: &str = "brazier_fork";
/// `raw_tracepoint sched_process_exec`: a new image starts, old mappings are void.
pub const PROGRAM_EXEC: &str = "brazier_exec";

/// `tp_btf sched_switch`: a thread leaves its CPU, and another comes.
pub const PROGRAM_SWITCH: &str = "brazier_switch";
/// `tp_btf sched_waking`: a thread that waits is told that it need not any longer.
pub const PROGRAM_WOKEN: &str = "brazier_woken";
/// `raw_tracepoint sys_exit`: a thread that was blocked long returns to user mode.
pub const PROGRAM_SYS_EXIT: &str = "brazier_sys_exit";

/// `tp_btf sys_enter`: a wait for events begins, and an iteration is over.
pub const PROGRAM_WAIT: &str = "brazier_wait";
/// `tp_btf sys_exit`: it is over, and an iteration begins.
pub const PROGRAM_WAITED: &str = "brazier_waited";

/// `tp_btf sys_exit`: a call on a connection is over.
pub const PROGRAM_REQUEST: &str = "brazier_request";

/// `uprobe`: a function of a library for TLS.
pub const PROGRAM_TLS: &str = "brazier_tls";
/// `uretprobe`: it returns.
pub const PROGRAM_TLS_DONE: &str = "brazier_tls_done";
/// `uprobe`: it is about to return. The same for probes that are put in one by one, which are told apart by their program.
pub const PROGRAM_TLS_PASSED: &str = "brazier_tls_passed";

/// Ring buffer of records ([`crate::sample`]).
pub const MAP_RING: &str = "RING";
/// tgid -> [`crate::target::Target`].
pub const MAP_TARGETS: &str = "TARGETS";
/// tgid -> [`crate::mapping::SmallTable`].
pub const MAP_MAPPINGS: &str = "MAPPINGS";
/// tgid -> [`crate::mapping::LargeTable`].
pub const MAP_LARGE_MAPPINGS: &str = "LARGE_MAPPINGS";
/// Stack hash -> stack ID.
pub const MAP_SEEN: &str = "SEEN";
/// File ID -> [`crate::unwind::FileTable`].
pub const MAP_FILES: &str = "FILES";
/// Pieces of [`crate::unwind::TableBlock`]s: the tables of all files.
pub const MAP_PIECES: &str = "PIECES";
/// Hash of an address space -> [`crate::resident::Resident`].
pub const MAP_RESIDENT: &str = "RESIDENT";
/// [`crate::alloc::Call`] -> [`crate::alloc::Pending`].
pub const MAP_PENDING: &str = "PENDING";
/// [`crate::alloc::LiveKey`] -> [`crate::alloc::Live`].
pub const MAP_LIVE: &str = "LIVE";
/// Thread ID -> [`crate::off_cpu::Thread`].
pub const MAP_THREADS: &str = "THREADS";
/// Thread ID -> [`crate::event_loop::Worker`].
pub const MAP_WORKERS: &str = "WORKERS";
/// Process ID and descriptor -> [`crate::request::Connection`].
pub const MAP_CONNECTIONS: &str = "CONNECTIONS";
/// Thread ID -> the connection that it serves ([`crate::request::Connection::id`]), or 0.
pub const MAP_SERVED: &str = "SERVED";
/// Rooms to look at what a call has moved, per CPU.
pub const MAP_IO: &str = "IO";
/// Process and thread -> [`crate::tls::TlsCall`].
pub const MAP_TLS_CALLS: &str = "TLS_CALLS";
/// Process and connection of a library for TLS -> descriptor.
pub const MAP_TLS_CONNECTIONS: &str = "TLS_CONNECTIONS";
/// [`crate::counter::Counter`] -> count, per CPU.
pub const MAP_COUNTERS: &str = "COUNTERS";
/// Number -> [`crate::alloc::Gate`].
pub const MAP_GATES: &str = "GATES";
/// Number of a probe -> hits, per CPU.
pub const MAP_HITS: &str = "HITS";

/// Scratch space, by slot, per CPU.
pub const MAP_SCRATCH: &str = "SCRATCH";
/// Code seen before, by slot, per CPU.
pub const MAP_CACHE: &str = "CACHE";
/// Room for a stack that is not walked, by slot, per CPU.
pub const MAP_CAPTURE: &str = "CAPTURE";

/// [`crate::config::Controls`], the only global that is written. The loader names the map by its section.
pub const MAP_CONTROLS: &str = ".bss";

/// Read-only global [`crate::config::Config`].
pub const GLOBAL_CONFIG: &str = "CONFIG";
