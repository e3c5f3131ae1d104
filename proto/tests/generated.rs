//! The committed Rust must be what prost makes of the `.proto` files today.

use std::{env, error::Error, fs, path::Path};

type Outcome = Result<(), Box<dyn Error>>;

/// `what` says what the generated file is for; prost writes only plain comments.
fn check(name: &str, what: &str) -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out_dir = tempfile::tempdir()?;
    let descriptors = protox::compile([format!("{name}.proto")], [root.join("proto")])?;
    prost_build::Config::new().out_dir(out_dir.path()).compile_fds(descriptors)?;
    let generated = fs::read_to_string(out_dir.path().join(format!("{name}.rs")))?;
    let generated = format!(
        "//! {what}. Made from `proto/{name}.proto` by this crate's tests: do not edit.\n{generated}"
    );

    let committed_path = root.join(format!("src/{name}.rs"));
    if env::var_os("BLESS").is_some_and(|value| value == "1") {
        fs::write(&committed_path, &generated)?;
    }
    let committed = fs::read_to_string(&committed_path)?;
    let difference = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "proto/src/{name}.rs differs from what proto/{name}.proto generates: first different line index \
         {difference:?}, {} lines committed, {} generated; run again with BLESS=1 if that is meant",
        committed.lines().count(),
        generated.lines().count(),
    );
    Ok(())
}

#[test]
fn the_committed_log_code_is_what_the_proto_file_generates() -> Outcome {
    check("log", "What the collector has accepted, as its log keeps it")
}

#[test]
fn the_committed_pprof_code_is_what_the_proto_file_generates() -> Outcome {
    check("pprof", "The pprof profile format")
}

#[test]
fn the_committed_push_code_is_what_the_proto_file_generates() -> Outcome {
    check("push", "The push service of Pyroscope")
}

#[test]
fn the_committed_querier_code_is_what_the_proto_file_generates() -> Outcome {
    check("querier", "The read side of Pyroscope's API")
}

#[test]
fn the_committed_spool_code_is_what_the_proto_file_generates() -> Outcome {
    check("spool", "What waits on disk for its delivery")
}
