//! `agent top`: what a target does now, on a terminal. [`state`] is what is known and what keys do to it, [`view`] draws
//! it, [`batch`] writes it as text; all of them pure. Where it comes from is `commands::top`'s business.

pub mod batch;
pub mod flame;
pub mod routes;
mod routes_view;
pub mod rows;
pub mod state;
pub mod update;
pub mod view;

#[cfg(test)]
mod tests;

pub use state::{Action, State};
pub use update::{LoopRow, Memory, RoutesTick, Tick, Update};
