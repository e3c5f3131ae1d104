//! Refuses to build an agent around kernel programs that are not what their sources give.

use std::{env, error::Error, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("not started by cargo")?);
    let root = package.parent().ok_or("the agent is not in a workspace")?;
    // A directory stands for all that is in it: sources, manifests, the object and its stamp.
    for input in ["ebpf", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    if let Err(error) = stamp::check(root) {
        let reason = error.source().map_or_else(String::new, |source| format!(": {source}"));
        println!(
            "cargo::error=the kernel programs are stale, run `cargo xtask build-ebpf` ({error}{reason})"
        );
    }
    Ok(())
}
