//! What leaves the agent: a finished profile as a file, or batches that go to receivers, by way of a spool on disk.
//!
//! [`shipper`] wires it: [`spool`] holds each batch until every [`sink`] has it or has given it up, and [`retry`] says
//! when a sink is asked again.

pub mod batch;
pub mod figures;
pub mod file;
pub mod make;
pub mod outcome;
pub mod retry;
pub mod shipper;
pub mod sink;
pub mod spool;
