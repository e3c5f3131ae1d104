//! What touches the kernel: maps, helpers, one file per event source.

pub(crate) mod alloc;
mod capture;
mod code;
pub(crate) mod cpu;
mod due;
pub(crate) mod event_loop;
pub(crate) mod follow;
mod gate;
mod hits;
mod kernel_stack;
mod maps;
pub(crate) mod off_cpu;
mod read;
pub(crate) mod requests;
pub(crate) mod resident;
mod serving;
mod submit;
mod swap;
mod target;
mod user_stack;
