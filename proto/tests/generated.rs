//! The committed Rust must be what prost makes of the `.proto` files today.

use std::{env, error::Error, fs, path::Path};

/// Says what the generated file is for; prost writes only plain comments.
const HEADER: &str =
    "//! The pprof profile format. Made from `proto/pprof.proto` by this crate's tests: do not edit.\n";

#[test]
fn the_committed_pprof_code_is_what_the_proto_file_generates() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out_dir = tempfile::tempdir()?;
    let descriptors = protox::compile(["pprof.proto"], [root.join("proto")])?;
    prost_build::Config::new().out_dir(out_dir.path()).compile_fds(descriptors)?;
    let generated = format!("{HEADER}{}", fs::read_to_string(out_dir.path().join("pprof.rs"))?);

    let committed_path = root.join("src/pprof.rs");
    if env::var_os("BLESS").is_some_and(|value| value == "1") {
        fs::write(&committed_path, &generated)?;
    }
    let committed = fs::read_to_string(&committed_path)?;
    let difference = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "proto/src/pprof.rs differs from what proto/pprof.proto generates: first different line index \
         {difference:?}, {} lines committed, {} generated; run again with BLESS=1 if that is meant",
        committed.lines().count(),
        generated.lines().count(),
    );
    Ok(())
}
