//! The layout that the kernel programs and the agent share: what crosses the ring, what stands in the maps.
//!
//! Every type is `repr(C)`, has no hidden padding, has its size pinned by a `const` assertion, and is decoded
//! beside where it is defined. With the feature `user`, types that live in maps implement [`aya::Pod`].
#![no_std]

pub mod alloc;
pub mod config;
pub mod counter;
pub mod event;
pub mod event_loop;
pub mod fault;
pub mod frame;
pub mod limits;
pub mod mapping;
pub mod names;
pub mod off_cpu;
pub mod request;
pub mod resident;
pub mod sample;
pub mod target;
pub mod tls;
pub mod unwind;
