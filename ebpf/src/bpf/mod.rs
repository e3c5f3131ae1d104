//! What touches the kernel: maps, helpers, one file per event source.

mod capture;
mod code;
pub(crate) mod cpu;
pub(crate) mod follow;
mod kernel_stack;
mod maps;
mod read;
pub(crate) mod resident;
mod submit;
mod target;
mod user_stack;
