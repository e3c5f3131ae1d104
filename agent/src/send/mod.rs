//! What leaves the agent: a finished profile as a file, or batches that go to receivers, by way of a spool on disk.
//!
pub mod batch;
pub mod file;
pub mod outcome;
pub mod retry;
pub mod spool;
