//! Every host's profiles in one place: the collector's rooms, in the order in which a request goes through them.
//!
//! `receive` (a request -> validated batches) -> `wal` (on disk, then acknowledged) -> `store` (a segment -> Parquet files); `api` (a
//! question -> what the crate `query` says); `watch` asks by itself (rules -> alerts -> a webhook); `serve` wires them, and nothing else does. `model` is the form that batches have; it
//! does no I/O and reads no clock. `page` has the files that a browser is sent.

pub mod api;
pub mod args;
pub mod clock;
pub mod cluster;
pub mod commands;
pub mod config;
pub mod limits;
pub mod model;
pub mod page;
pub mod random;
pub mod receive;
pub mod refusal;
pub mod serve;
pub mod store;
pub mod wal;
pub mod watch;
