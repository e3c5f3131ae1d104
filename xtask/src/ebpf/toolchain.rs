//! Finds a Rust toolchain that can build for bpf: one that has the sources of core at hand.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{packages, shell::output};

/// A toolchain, and the places that its paths would betray.
pub(crate) struct Toolchain {
    pub(crate) cargo: PathBuf,
    pub(crate) rustc: PathBuf,
    /// Sources of core, under every name that the compiler may know them by.
    pub(crate) rust_source_dirs: Vec<PathBuf>,
    /// As it stands in the stamp.
    pub(crate) version: String,
}

/// Debian's packages first: they are the ones that the committed object is built with.
pub(crate) fn find(install: bool) -> Result<Toolchain> {
    if install {
        packages::install(&packages::EBPF)?;
    }
    let debian = inspect("/usr/bin/cargo".into(), "/usr/bin/rustc".into());
    let found = debian.or_else(|debian| rustup_nightly().map_err(|rustup| (debian, rustup)));
    found.map_err(|(debian, rustup)| {
        let names: Vec<&str> = packages::EBPF.iter().map(|(name, _)| *name).collect();
        anyhow::anyhow!(
            "no toolchain for the kernel programs.\n  Debian's packages: {debian:#}\n  rustup's nightly: {rustup:#}\n\
             Either `apt-get install {}` (or, as root, `cargo xtask build-ebpf --install`), \
             or `rustup toolchain install nightly --component rust-src`",
            names.join(" ")
        )
    })
}

fn rustup_nightly() -> Result<Toolchain> {
    let which = |tool| -> Result<PathBuf> {
        let path = output(Command::new("rustup").args(["which", "--toolchain", "nightly", tool]))?;
        Ok(PathBuf::from(path.trim()))
    };
    inspect(which("cargo")?, which("rustc")?)
}

fn inspect(cargo: PathBuf, rustc: PathBuf) -> Result<Toolchain> {
    if !cargo.is_file() {
        bail!("no `{}`", cargo.display());
    }
    let sysroot = output(clean(&mut Command::new(&rustc)).args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
    if !library.join("library/core/src/lib.rs").is_file() {
        bail!("`{}` has no sources of core", rustc.display());
    }
    let resolved =
        library.canonicalize().with_context(|| format!("cannot resolve `{}`", library.display()))?;
    let verbose = output(clean(&mut Command::new(&rustc)).arg("-vV"))?;
    let first = verbose.lines().next().unwrap_or_default();
    let llvm = verbose.lines().find_map(|line| line.strip_prefix("LLVM version: ")).unwrap_or("unknown");
    let version = format!("{first}, LLVM {llvm}");
    Ok(Toolchain { cargo, rustc, rust_source_dirs: vec![library, resolved], version })
}

/// Takes away what cargo and rustup hand to the programs they start, and what a user may have set for the host.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let leaks = text.starts_with("CARGO_PROFILE_")
            || text.starts_with("CARGO_BUILD_")
            || text.starts_with("CARGO_TARGET_")
            || text.starts_with("CARGO_PKG_")
            || text.starts_with("RUSTC")
            || text.starts_with("RUSTUP_TOOLCHAIN")
            || matches!(text.as_ref(), "CARGO" | "CARGO_ENCODED_RUSTFLAGS" | "RUSTFLAGS" | "LD_LIBRARY_PATH");
        if leaks {
            command.env_remove(&name);
        }
    }
    command
}
