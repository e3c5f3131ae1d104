//! Refuses to build an agent around kernel programs that are not what their sources give, and names the code that
//! makes unwind tables: a table on disk is used only by the code that would make the same.

use std::{
    env,
    error::Error,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("not started by cargo")?);
    let root = package.parent().ok_or("the agent is not in a workspace")?;
    // A directory stands for all that is in it: sources, manifests, the object and its stamp.
    for input in ["ebpf", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    let unwind = package.join("src/unwind");
    println!("cargo::rerun-if-changed={}", unwind.display());
    println!("cargo::rustc-env=BRAZIER_UNWIND_SOURCES={}", hash_of_unwinding(root, &unwind)?);
    if let Err(error) = stamp::check(root) {
        let reason = error.source().map_or_else(String::new, |source| format!(": {source}"));
        println!(
            "cargo::error=the kernel programs are stale, run `cargo xtask build-ebpf` ({error}{reason})"
        );
    }
    Ok(())
}

/// Over the code of unwind tables, their layout, and the versions of the packages that they are made with.
fn hash_of_unwinding(root: &Path, unwind: &Path) -> Result<String, Box<dyn Error>> {
    let mut inputs = vec![root.join("ebpf/abi/src/unwind.rs"), root.join("Cargo.lock")];
    let mut directories = vec![unwind.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_file() {
                inputs.push(path);
            } else if path.file_name().is_some_and(|name| name != "tests") {
                directories.push(path);
            }
        }
    }
    inputs.sort();
    let mut hashes = String::new();
    for input in inputs {
        hashes.push_str(&stamp::object_hash(&fs::read(input)?));
    }
    Ok(stamp::object_hash(hashes.as_bytes()))
}
