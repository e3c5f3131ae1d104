//! The part of the developer commands that tests call as a library.

pub mod programs;
pub mod sites;
