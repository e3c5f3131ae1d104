//! Bytes from the kernel to values. Pure and total: whatever the bytes, a value or a reason.

mod process_event;
mod record;

pub use process_event::{MISC_COMM_EXEC, MappedRegion, ProcessEvent, ProcessEventKind, process_event};
pub use record::{Capture, DecodeError, MessageEvent, RawStack, Record, record};
