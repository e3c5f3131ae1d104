//! `cargo xtask build-ebpf`: from the kernel sources to the committed object and its stamp.

mod build;
mod linker;
mod toolchain;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::shell::Workspace;

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Compare a fresh build with the committed object instead of replacing it
    #[arg(long)]
    pub(crate) check: bool,
    /// Install what building takes (root on Debian)
    #[arg(long)]
    pub(crate) install: bool,
}

/// What a comparison with the committed object can give.
pub(crate) enum Checked {
    Same { object_bytes: usize },
    NotCompared { here: String, stamp: String },
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    if args.check {
        match check(workspace, args.install)? {
            Checked::Same { object_bytes } => {
                println!(
                    "{} is what its sources give, byte for byte ({object_bytes} bytes)",
                    stamp::OBJECT_PATH
                );
            }
            Checked::NotCompared { here, stamp } => {
                println!("not compared: toolchain {here} differs from {stamp}");
            }
        }
        return Ok(());
    }
    let (toolchain, linker) = tools(workspace, args.install)?;
    // Read before the build: a source saved meanwhile must leave the stamp stale, not the object.
    let sources = stamp::source_hash(&workspace.root)?;
    let object = build::build(workspace, &toolchain, &linker)?;
    let stamp = stamp::Stamp {
        sources,
        object: stamp::object_hash(&object),
        toolchain: version(&toolchain, &linker),
    };
    write(workspace, stamp::OBJECT_PATH, &object)?;
    write(workspace, stamp::STAMP_PATH, stamp.to_string().as_bytes())?;
    println!("wrote {} ({} bytes), built with {}", stamp::OBJECT_PATH, object.len(), stamp.toolchain);
    Ok(())
}

/// Builds again and compares with what is committed; only the toolchain in the stamp gives the same bytes.
pub(crate) fn check(workspace: &Workspace, install: bool) -> Result<Checked> {
    let stamp = stamp::check(&workspace.root).context("run `cargo xtask build-ebpf`")?;
    let (toolchain, linker) = tools(workspace, install)?;
    let object = build::build(workspace, &toolchain, &linker)?;
    let here = version(&toolchain, &linker);
    if here != stamp.toolchain {
        return Ok(Checked::NotCompared { here, stamp: stamp.toolchain });
    }
    let found = stamp::object_hash(&object);
    if found != stamp.object {
        let kept = workspace.target.join("bpf/differs.o");
        fs::write(&kept, &object).with_context(|| format!("cannot write `{}`", kept.display()))?;
        bail!(
            "a fresh build gives other bytes (committed {}, built {found}, kept as {})",
            stamp.object,
            kept.display()
        );
    }
    Ok(Checked::Same { object_bytes: object.len() })
}

/// Whether this machine has, or can make, what building takes; the error says what is missing.
pub(crate) fn can_build(workspace: &Workspace) -> Result<()> {
    tools(workspace, false).map(drop)
}

fn tools(workspace: &Workspace, install: bool) -> Result<(toolchain::Toolchain, linker::Linker)> {
    let toolchain = toolchain::find(install)?;
    let linker = linker::find(workspace)?;
    Ok((toolchain, linker))
}

fn version(toolchain: &toolchain::Toolchain, linker: &linker::Linker) -> String {
    format!("{}, {}", toolchain.version, linker.version)
}

/// A reader never sees half a file: the new one is renamed over the old one.
fn write(workspace: &Workspace, path: &str, content: &[u8]) -> Result<()> {
    let path = workspace.root.join(path);
    let fresh = path.with_extension("new");
    fs::write(&fresh, content).with_context(|| format!("cannot write `{}`", fresh.display()))?;
    fs::rename(&fresh, &path).with_context(|| format!("cannot replace `{}`", path.display()))
}
