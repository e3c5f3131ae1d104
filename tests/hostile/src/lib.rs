//! Input that someone made to hurt, and what must hold whatever it is.
//!
//! Each body takes any bytes and panics if something that must hold does not. `tests/fuzz` runs them under a
//! fuzzer, which needs a nightly compiler; `tests/replay.rs` runs them over the corpora in plain `cargo test`.

mod collector_log;
mod collector_receive;
mod config;
mod frames;
mod object;
mod profile_read;
mod requests;
pub mod seeds;
mod selector;
mod spool;
mod sql;
mod table;
mod text;
mod walk;
mod world;

/// A target of the fuzzer.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, that of its corpus, too.
    pub name: &'static str,
    /// What is done with each input.
    pub body: fn(&[u8]),
}

/// Every target. `tests/fuzz/fuzz_targets` has a file for each.
pub const TARGETS: [Target; 12] = [
    Target { name: "object", body: object::body },
    Target { name: "frames", body: frames::body },
    Target { name: "walk", body: walk::body },
    Target { name: "text", body: text::body },
    Target { name: "spool", body: spool::body },
    Target { name: "config", body: config::body },
    Target { name: "collector_log", body: collector_log::body },
    Target { name: "collector_receive", body: collector_receive::body },
    Target { name: "profile_read", body: profile_read::body },
    Target { name: "query_selector", body: selector::body },
    Target { name: "query_sql", body: sql::body },
    Target { name: "requests", body: requests::body },
];

/// Runs a target's body on one input.
///
/// # Panics
/// If there is no such target, or if something that must hold does not.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    assert!(target.is_some(), "no fuzz target is called {name}");
    if let Some(target) = target {
        (target.body)(bytes);
    }
}
