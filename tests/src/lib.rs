//! The harness of the privileged tests: the agent and its targets are started, watched, and ended whatever
//! happens. Nothing in here knows what a right answer is; that is what `suite/` says.

pub mod agent;
pub mod bpf;
pub mod control_group;
pub mod cpu_time;
pub mod folded;
pub mod memory;
pub mod paths;
pub mod process;
pub mod report;
pub mod servers;
pub mod wait;
