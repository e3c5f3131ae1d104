//! Where a finished profile goes.

pub mod file;
