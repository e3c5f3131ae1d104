//! What touches the kernel: maps, helpers, one file per event source.

pub(crate) mod cpu;
pub(crate) mod follow;
mod kernel_stack;
mod maps;
mod read;
mod rules;
mod submit;
mod user_stack;
