//! The first and only file system of the virtual machine: busybox, the agent, its libraries, the cases.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Guest, cpio::Archive};
use crate::shell::{find_program, output};

/// Mounts what the agent needs, runs each case with a time limit, and reports on the console.
const INIT: &str = include_str!("init.sh");

pub(super) fn write(path: &Path, guest: &Guest<'_>) -> Result<()> {
    let busybox = find_program("busybox").context("no busybox: install Debian's busybox-static")?;
    let file = File::create(path).with_context(|| format!("cannot create `{}`", path.display()))?;
    let mut archive = Archive::new(BufWriter::new(file));
    archive.console()?;
    for dir in ["/proc", "/sys", "/tmp", "/run", "/etc", "/var", "/root"] {
        archive.directory(dir)?;
    }
    archive.file(Path::new("/init"), INIT.as_bytes())?;
    archive.file(Path::new("/bin/busybox"), &read(&busybox)?)?;
    archive.symlink("/bin/sh", "busybox")?;

    let mut libraries = BTreeSet::new();
    archive.file(Path::new("/bin/agent"), &without_debug_info(guest.agent)?)?;
    libraries.extend(libraries_of(guest.agent)?);
    for program in files_in(guest.programs)? {
        libraries.extend(libraries_of(&program)?);
        archive.file(&Path::new("/bin").join(program.file_name().unwrap_or_default()), &read(&program)?)?;
    }
    for library in libraries {
        archive.file(&library, &read(&library)?)?;
    }
    for case in guest.cases {
        archive.file(Path::new(&format!("/cases/{}.sh", case.name)), &case.script)?;
    }
    archive.finish()?.flush().with_context(|| format!("cannot write `{}`", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn files_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot list `{}`", dir.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        if entry.file_type().with_context(failed)?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// The archive is copied into the emulated memory byte by byte: debug information would cost seconds.
fn without_debug_info(program: &Path) -> Result<Vec<u8>> {
    let copy = tempfile::NamedTempFile::new().context("cannot create a temporary file")?;
    output(Command::new("strip").arg("--strip-debug").arg("-o").arg(copy.path()).arg(program))?;
    read(copy.path())
}

/// Paths printed by ldd, the dynamic linker among them. A static program has none, which ldd calls an error.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let printed = Command::new("ldd").arg(program).output().context("cannot start ldd")?;
    let text = String::from_utf8_lossy(&printed.stdout);
    Ok(text
        .split_whitespace()
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect())
}
