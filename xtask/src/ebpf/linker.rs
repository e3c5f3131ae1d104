//! Finds bpf-linker in the one version that gives the committed bytes, or builds it once.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use crate::shell::{Workspace, find_program, output, run};

const VERSION: &str = "0.13.0";
/// Debian's LLVM, which the linker is built against where it is there.
const LLVM: &str = "/usr/lib/llvm-22";

pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    /// As it stands in the stamp.
    pub(crate) version: String,
}

pub(crate) fn find(workspace: &Workspace) -> Result<Linker> {
    let home = workspace.cache.join("bpf-linker");
    let cached = home.join("bin/bpf-linker");
    let mut candidates = find_program("bpf-linker").into_iter().chain([cached.clone()]);
    if let Some(linker) = candidates.find_map(inspect) {
        return Ok(linker);
    }
    println!("building bpf-linker {VERSION}, once for all checkouts (about 80 s)");
    let mut command = workspace.cargo();
    // Not in the checkout's build directory: the linker outlives it.
    command.env_remove("CARGO_TARGET_DIR").args(["install", "--root"]).arg(&home);
    command.arg(format!("bpf-linker@{VERSION}"));
    if Path::new(LLVM).is_dir() {
        command.args(["--no-default-features", "--features", "llvm-22"]);
        command.env("LLVM_SYS_221_PREFIX", LLVM).env("LLVM_PREFIX", LLVM);
    }
    run(&mut command)?;
    match inspect(cached) {
        Some(linker) => Ok(linker),
        None => bail!("bpf-linker was built but does not answer with version {VERSION}"),
    }
}

fn inspect(path: PathBuf) -> Option<Linker> {
    let version = output(Command::new(&path).arg("--version")).ok()?.trim().to_owned();
    (version == format!("bpf-linker {VERSION}")).then_some(Linker { path, version })
}

/// llvm-objcopy, by the names that Debian and rustup give it.
pub(crate) fn find_objcopy() -> Result<PathBuf> {
    let debian = Path::new(LLVM).join("bin/llvm-objcopy");
    let names = ["llvm-objcopy-22", "llvm-objcopy", "rust-objcopy"];
    match debian.is_file().then_some(debian).or_else(|| names.iter().find_map(|name| find_program(name))) {
        Some(path) => Ok(path),
        None => bail!("no llvm-objcopy: install Debian's llvm-22, or `cargo install cargo-binutils`"),
    }
}
