//! What the daemon knows of itself and how it is told, how it is spoken to, and what keeps it within its budget.

mod assembler;
pub mod board;
mod capture;
pub mod control;
mod engine;
pub mod control;
#[cfg(test)]
mod example;
pub mod figures;
pub mod governor;
mod handler;
pub mod health;
pub mod http;
pub mod lost;
pub mod memory_guard;
pub mod metrics;
pub mod prometheus;
mod reporter;
pub mod service;
pub mod status;
mod streams;
mod tally;

/// An error and its causes, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
//! The daemon: always on.

pub mod notify;
