//! Watching the memory of processes, from /proc and control group files alone: nothing is loaded into the kernel.
//!
//! [`watch`] reads a tree of processes on a timer and keeps bounded histories; [`report`] makes of them what
//! `profile::memory` says for people and programs; [`chart`] draws one while the watch goes on. [`trend`] follows many
//! groups of processes for as long as a daemon lives.

pub mod chart;
pub mod report;
pub mod trend;

mod budget;
mod group;
mod pace;
mod snapshot;
mod tree;
mod watch;

pub use tree::TreeError;
pub use watch::{Options, Sight, Stop, Watch, watch};
