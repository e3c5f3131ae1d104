//! Every capacity of the kernel side, with its unit in the name and its reason beside it.

/// User frames of one stack. Pingora averages 85 and a Tokio service can pass 240; 512 is past every proxy seen,
/// and bounds one walk to tens of microseconds.
pub const MAX_USER_FRAMES: usize = 512;

/// Kernel frames of one stack: the kernel's own default limit (`kernel.perf_event_max_stack`).
pub const MAX_KERNEL_FRAMES: usize = 127;

/// Executable mappings in a table of the small kind. nginx has 12, Node 20: nearly every process fits.
pub const FEW_MAPPINGS: usize = 64;

/// Executable mappings in a table of the large kind, and so of one process that the kernel side can search: neighbours
/// that are one piece of code are one entry. What is past it is still resolved by the agent, for the frames whose
/// walk gets there.
pub const MAX_MAPPINGS: usize = 1024;

/// Bytes of user stack read at once: several frames share one guarded copy.
pub const STACK_WINDOW_BYTES: usize = 512;

/// Bytes of stack that cross with a sample whose code is not known yet, at most. A process that has just begun uses
/// less than half; with the header they fit into a per-CPU map value.
pub const CAPTURE_BYTES: usize = 16 << 10;

/// Such a piece of stack crosses only while less than this part of the ring waits to be read, so that it never takes
/// the room of samples.
pub const CAPTURE_RING_SHARE: u64 = 4;

/// The window as words.
pub const STACK_WINDOW_WORDS: usize = STACK_WINDOW_BYTES / 8;

/// Processes with a small mapping table: [`FEW_MAPPINGS`] x 24 bytes each, allocated when it is written.
pub const MAX_PROCESSES: u32 = 16_384;

/// Processes with a large mapping table: [`MAX_MAPPINGS`] x 24 bytes each, allocated when it is written. 48 MiB if
/// all are taken.
pub const MAX_LARGE_PROCESSES: u32 = 2048;

/// Processes that can be targets at once (16 bytes each, allocated when written).
pub const MAX_TARGETS: u32 = 65_536;

/// Different stacks remembered as already sent (72 bytes each). Above it a stack is sent again with each of its
/// samples: nothing is lost, but the ring carries more. A proxy under load shows a few thousand.
pub const MAX_SEEN_STACKS: u32 = 32_768;

/// Bytes of the ring for each CPU: at 997 Hz, a tenth of a second of samples is 6 KiB, and of stacks never seen
/// before, 30 frames deep, 30 KiB.
pub const RING_BYTES_PER_CPU: u32 = 256 << 10;

/// The ring is not smaller than this, so that two CPUs have room for a late reader.
pub const MIN_RING_BYTES: u32 = 1 << 20;

/// Slots of a CPU for programs that can be preempted (56 KiB each, cache and capture included): the first is that of programs which
/// cannot, two more are for a thread and for one that preempted it. A third is turned away, and counted.
pub const N_SLOTS: u32 = 3;

/// Sampled allocations that can be live at once (80 bytes each, allocated at the start where live heap is wanted). At 512
/// KiB between samples they stand for 32 GiB and more.
pub const MAX_LIVE: u32 = 65_536;

/// Sampled calls of allocators that can be under way at once (120 bytes each): one for each thread, and few are in a
/// sampled call.
pub const MAX_PENDING: u32 = 4096;

/// Threads whose time off the CPU is measured at once (136 bytes each, allocated at the start where it is). A host has
/// some thousands.
pub const MAX_THREADS: u32 = 65_536;

/// Threads that wait for events, at most (1,150 bytes each, allocated when the first wait is seen).
pub const MAX_WORKERS: u32 = 8192;

/// Connections whose requests are followed at once (300 bytes each, allocated at the start where requests are); the one that was
/// idle for longest makes room for another.
pub const MAX_CONNECTIONS: u32 = 32_768;

/// Threads that are within a function of a library for TLS at once (90 bytes each, allocated at the start where those are probed).
pub const MAX_TLS_CALLS: u32 = 16_384;

/// Rooms of a CPU to look at what a call has moved (9 KiB each): one for the ends of system calls, which are not interrupted, and
/// two for functions of libraries for TLS, of which one may be preempted by another.
pub const N_ROOMS: u32 = 3;

/// Bytes of a call that are looked at for a head at once. A head that is longer is read in several pieces.
pub const WINDOW_BYTES: usize = 4096;

/// Pieces of one call that are looked at, at most: what has no end of a head within is not HTTP.
pub const MAX_WINDOWS: u32 = 8;

/// The same where heads of frames of HTTP/2 are looked for, which have 16 KiB each: a call of 1 MiB.
pub const MAX_FRAME_WINDOWS: u32 = 64;

/// A write of fewer bytes is a small one: it fills no packet.
pub const SMALL_WRITE_BYTES: u64 = 1024;

/// Length of a command name in the kernel (`TASK_COMM_LEN`), closing NUL included.
pub const COMM_BYTES: usize = 16;

/// Files that can have an unwind table (32 bytes each). A host with hundreds of containers maps some thousands;
/// code of a file past it is left by frame pointer.
pub const MAX_UNWIND_FILES: u32 = 16_384;

/// Blocks of 128 bytes in a piece of the memory for unwind tables: 2 MiB. The kernel takes a piece whole, so small
/// ones keep a host with little to unwind small; but each costs the agent a grace period of the kernel, about 10 ms.
pub const BLOCKS_PER_TABLE_PIECE: u32 = 16_384;

/// Pieces of the memory for unwind tables, at most: 2 GiB. The largest table seen, Envoy's, takes two of them.
pub const MAX_TABLE_PIECES: u32 = 1024;
