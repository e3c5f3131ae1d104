//! The model of a profile, and the forms it is written in.
//!
//! A [`Profile`] is tables and typed handles: strings, mappings, frames, a prefix tree of stacks, processes,
//! threads, and samples counted per stack and thread. Whoever measures fills it; [`encode`], [`hotspots`] and
//! [`Report`] only read it. Nothing here reads a file, a clock or the environment: times, host and overhead
//! come in through [`Meta`].
//!
//! ```
//! use profile::{Frame, Mapping, Meta, Profile, ValueType};
//!
//! let mut profile = Profile::new(ValueType::CPU, Meta::default());
//! let path = profile.intern("/usr/sbin/nginx");
//! let nginx = profile.mapping(Mapping::file(path, None));
//! let function = profile.intern("ngx_epoll_process_events");
//! let frame = profile.frame(Frame::native(nginx, 0x4a210).named(function));
//! let stack = profile.stack([frame]);
//! let process = profile.process(4711, "nginx");
//! let thread = profile.thread(process, 4711, "nginx");
//! profile.add(stack, thread, &[1, 10_101_010])?;
//! assert_eq!(profile.total(0), 1);
//! # Ok::<(), profile::WrongValueCount>(())
//! ```

pub mod analysis;
pub mod diff;
pub mod encode;
pub mod growth;
pub mod hotspots;
pub mod memory;
pub mod read;
pub mod trend;

mod allocations;
mod allocations_text;
mod frames;
mod labels;
mod loops;
mod merge;
mod meta;
mod model;
mod naming;
mod report;
mod report_text;
mod samples;
mod stacks;
mod strings;
mod table;
mod times;
mod units;

pub use allocations::{AllocationStack, Allocations, Live, LiveAges, MAX_ALLOCATION_STACKS};
pub use frames::{
    AddressRange, BuildId, Frame, FrameHandle, FrameKind, KERNEL_MAPPING, Mapping, MappingHandle, Source,
};
pub use labels::Labels;
pub use loops::{LoopBucket, LoopGroup, Loops, WorkerLoop};
pub use meta::{FirstStacks, Loss, Meta, Overhead, ProbeUse, Probes, Truncation, UnwindTables};
pub use model::Profile;
pub use read::ReadError;
pub use report::{Report, ReportProcess, ReportStacks, ReportThread, ReportTop, ReportTotal, ReportValue};
pub use report_text::{TextStyle, write_text};
pub use samples::{Process, ProcessHandle, Sample, Thread, ThreadHandle, ValueType, WrongValueCount};
pub use stacks::StackHandle;
pub use strings::{MAX_TEXT_BYTES, StrId};
pub use times::{ThreadTime, Times};
pub use units::bytes_text;
