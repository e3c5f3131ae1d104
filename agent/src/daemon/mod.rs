//! Always on: recordings that go on, cut into windows, which are named, encoded and delivered; what the daemon knows of
//! itself and how it is told; how it is spoken to; and what keeps it within its budget.
//!
//! [`service`] puts it together. One thread reads what the kernel side has (`engine`), one names and encodes windows
//! (`assembler`), one reads memory (`reporter`), one sends ([`crate::send::shipper`]); [`http`] and [`control`] answer.

pub(crate) mod allocator;
mod assembler;
pub mod board;
mod capture;
pub mod control;
mod engine;
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
mod observe;
mod reading;
mod reporter;
mod running;
pub mod service;
mod spacing;
pub mod status;
mod streams;
mod tally;

use crate::causes::causes;
