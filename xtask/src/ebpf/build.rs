//! One build of the kernel programs: the same bytes from any checkout, on any machine with the same tools.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{
    linker::{self, Linker},
    toolchain::{Toolchain, clean},
};
use crate::shell::{Workspace, run};

/// Everything that the bytes depend on is said here, so that the profile table for host code may change freely.
const PROFILE: [&str; 7] = [
    "profile.release.opt-level=3",
    "profile.release.lto=false",
    "profile.release.codegen-units=1",
    "profile.release.overflow-checks=false",
    "profile.release.debug=2",
    "profile.release.package.ebpf.debug=2",
    "profile.release.incremental=false",
];

/// Separates flags in `CARGO_ENCODED_RUSTFLAGS`, so that a checkout's path may hold spaces.
const FLAG_SEPARATOR: &str = "\u{1f}";

/// Builds the object, without debug sections (BTF stays), and returns its bytes.
pub(crate) fn build(workspace: &Workspace, toolchain: &Toolchain, linker: &Linker) -> Result<Vec<u8>> {
    // Before the flags are made: they rename directories that exist only once the packages are unpacked.
    let mut fetch = Command::new(&toolchain.cargo);
    clean(&mut fetch).current_dir(&workspace.root).env("RUSTC", &toolchain.rustc);
    run(fetch.args(["fetch", "--locked", "--quiet"]))?;

    let target = workspace.target.join("bpf");
    let mut command = Command::new(&toolchain.cargo);
    clean(&mut command)
        .current_dir(&workspace.root)
        .env("RUSTC", &toolchain.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &linker.path)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(workspace, toolchain)?)
        .args(["build", "--locked", "--release", "-Z", "build-std=core", "--target", "bpfel-unknown-none"])
        .args(["--package", "ebpf", "--bin", "brazier"]);
    for setting in PROFILE {
        command.args(["--config", setting]);
    }
    run(&mut command)?;

    let linked = target.join("bpfel-unknown-none/release/brazier");
    let object = target.join("brazier.bpf.o");
    let mut strip = Command::new(linker::find_objcopy()?);
    run(strip.arg("--strip-debug").arg(&linked).arg(&object))?;
    let bytes = fs::read(&object).with_context(|| format!("cannot read `{}`", object.display()))?;
    refuse_paths(workspace, &bytes)?;
    Ok(bytes)
}

fn flags(workspace: &Workspace, toolchain: &Toolchain) -> Result<OsString> {
    let mut flags: Vec<OsString> = [
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        // Else each copy and each zeroing, of 16 bytes even, is a call of a loop over bytes.
        "-Clink-arg=--disable-expand-memcpy-in-order",
        "--cfg=bpf_target_arch=\"x86_64\"",
    ]
    .map(OsString::from)
    .into();
    for (from, to) in renames(workspace, toolchain)? {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    }
    Ok(flags.join(OsStr::new(FLAG_SEPARATOR)))
}

/// What each place of this machine is called in the object. The compiler takes the last rule that fits.
fn renames(workspace: &Workspace, toolchain: &Toolchain) -> Result<Vec<(PathBuf, &'static str)>> {
    let cargo_home = cargo_home()?;
    let mut renames = vec![(workspace.root.clone(), "brazier"), (cargo_home.clone(), "cargo")];
    // The directory under src is named after the host that the packages came from.
    let registries = cargo_home.join("registry/src");
    if let Ok(entries) = fs::read_dir(&registries) {
        let mut dirs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        dirs.sort();
        renames.extend(dirs.into_iter().map(|dir| (dir, "crates")));
    }
    renames.extend(toolchain.rust_source_dirs.iter().map(|dir| (dir.clone(), "rust")));
    renames.push((workspace.target.clone(), "target"));
    Ok(renames)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("CARGO_HOME") {
        return Ok(dir.into());
    }
    Ok(Path::new(&env::var_os("HOME").context("HOME is not set")?).join(".cargo"))
}

/// The rules above are only as good as their list; this is the check.
fn refuse_paths(workspace: &Workspace, object: &[u8]) -> Result<()> {
    let root = workspace.root.as_os_str().as_encoded_bytes();
    for needle in [root, b"/home/", b"/root/", b"/usr/lib/", b"/usr/src/", b"registry/src", b".cargo/"] {
        if object.windows(needle.len()).any(|window| window == needle) {
            bail!("the object holds a path of this machine: `{}`", String::from_utf8_lossy(needle));
        }
    }
    Ok(())
}
