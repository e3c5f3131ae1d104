//! Memory of processes: what is measured ([`MemoryUse`]), what a watch of it found ([`MemoryReport`]), what it was at
//! one moment ([`Snapshot`]) and what lies between two moments ([`Comparison`]).

mod compare;
mod compare_text;
mod report;
mod report_text;
mod snapshot;
mod usage;

pub use compare::{Comparison, FieldChange, MappingChange, ProcessChange, Side};
pub use compare_text::write_comparison;
pub use report::{
    Began, ControlGroupReport, End, LimitReport, MemoryOverhead, MemoryReport, ProcessReport, Series,
    time_to_limit_s,
};
pub use report_text::write_memory_report;
pub use snapshot::{MappingClass, MappingUse, SNAPSHOT_VERSION, Snapshot, SnapshotProcess};
pub use usage::{Field, MemoryUse};
