//! Wire formats: the `.proto` files and what prost makes of them, nothing else.

#[rustfmt::skip]
pub mod pprof;
