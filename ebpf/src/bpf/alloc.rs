//! Allocations, seen where an allocator is entered and where it returns, and frees.
//!
//! A call that falls due is walked where it begins. Where live heap is wanted its sample waits for the return, which
//! knows the address and whether the call has failed; else it is written at once.

mod entry;
mod live;
mod r#return;

pub(crate) use entry::{entered, is_entry};
pub(crate) use r#return::returned;
