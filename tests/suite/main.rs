//! What the agent must do to real processes on a real kernel: one file for each behaviour. Takes root.

mod accounting;
mod allocations;
mod command;
mod envoy;
mod filters;
mod first_samples;
mod formats;
mod garbage_collected;
mod images;
mod inlines;
mod many_mappings;
mod mapped_files;
mod memory;
mod nginx;
mod ratio;
mod refusals;
mod resident;
mod runtimes;
mod short_lived;
mod signals;
mod stripped;
mod support;
mod system_calls;
mod threads;
mod unwind_tables;
mod workers;
