//! The agent: samples stacks of running processes from the kernel and turns them into profiles.
//!
//! A sample goes one way: [`kernel`] (bytes) -> [`decode`] -> [`process`] (which image, which file) ->
//! [`late_walk`] (stacks in code that the kernel side did not know) -> [`aggregate`] (counted stacks) -> [`symbolize`]
//! and [`assemble`] (named frames, a profile) -> `profile`'s encoders -> [`send`]. One arrow goes back: [`process::plan`] decides [`table_op::TableOp`]s, and [`kernel`]
//! writes them. [`run`] wires the stages; [`commands`] says what a user asked for.

pub mod aggregate;
pub mod alloc;
pub mod args;
pub mod assemble;
mod causes;
pub mod clock;
pub mod commands;
pub mod config;
pub mod daemon;
pub mod debuginfod;
pub mod decode;
pub mod estimate;
pub mod event_loop;
pub mod heap;
pub(crate) mod inputs;
pub mod kernel;
pub mod late_walk;
pub mod memory;
pub mod notify;
pub mod object;
pub mod off_cpu;
pub(crate) mod output;
pub mod place;
pub mod private_dir;
pub mod privileges;
pub mod process;
pub mod procfs;
pub mod requests;
pub mod run;
pub mod select;
pub mod send;
pub mod symbolize;
pub mod table_cache;
pub mod table_op;
pub mod tls;
pub mod top;
pub mod unwind;
