//! The harness of the privileged tests: the agent and its targets are started, watched, and ended whatever
//! happens. Nothing in here knows what a right answer is; that is what `suite/` says.

pub mod agent;
pub mod analysis;
pub mod bpf;
pub mod chaos;
pub mod collector;
pub mod control_group;
pub mod cpu_time;
pub mod daemon;
pub mod delivered;
pub mod disk;
pub mod folded;
pub mod ledger;
pub mod memory;
pub mod own_daemon;
pub mod paths;
pub mod process;
pub mod prometheus;
pub mod report;
pub mod servers;
pub mod spooled;
pub mod wait;
