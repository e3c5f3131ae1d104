//! Wire formats: the `.proto` files and what prost makes of them, nothing else.

#[rustfmt::skip]
#[expect(clippy::doc_markdown, reason = "some of its comments are prost's own")]
pub mod log;
#[rustfmt::skip]
pub mod pprof;
#[rustfmt::skip]
pub mod push;
#[rustfmt::skip]
pub mod querier;
#[rustfmt::skip]
#[expect(clippy::doc_markdown, reason = "some of its comments are prost's own")]
pub mod spool;
