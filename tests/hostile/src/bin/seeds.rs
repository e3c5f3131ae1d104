//! Writes the seeds of every fuzz target into a directory; `cargo xtask fuzz` calls it.

use std::{env, fs, path::PathBuf};

use agent::object::{Elf, ObjectFile};
use anyhow::{Context as _, Result};
use hostile::seeds;

/// Larger than any section of our own small files.
const MAX_SECTION_BYTES: u64 = 1 << 20;

fn main() -> Result<()> {
    let mut args = env::args_os().skip(1).map(PathBuf::from);
    let dir = args.next().context("usage: seeds DIRECTORY ELF_FILE...")?;
    let mut files = Vec::new();
    for path in args {
        let object = ObjectFile::open(&path)?;
        let elf = Elf::parse(&object.file)?;
        let section = elf.section(".eh_frame").context("a seed has no .eh_frame")?;
        let frames = elf.section_bytes(section, MAX_SECTION_BYTES)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        files.push((name, fs::read(&path)?, frames));
    }
    let files: Vec<_> =
        files.iter().map(|(name, file, frames)| (name.as_str(), file.clone(), frames.clone())).collect();
    for seed in seeds::all(&files) {
        let dir = dir.join(seed.target);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
        let path = dir.join(&seed.name);
        fs::write(&path, &seed.bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}
