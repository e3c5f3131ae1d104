//! What the daemon knows of itself and how it is told, how it is spoken to, and what keeps it within its budget.

pub mod board;
#[cfg(test)]
mod example;
pub mod figures;
pub mod governor;
pub mod health;
pub mod http;
pub mod lost;
pub mod memory_guard;
pub mod metrics;
pub mod prometheus;
pub mod status;
