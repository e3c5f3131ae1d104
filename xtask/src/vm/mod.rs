//! `cargo xtask vm`: the real agent under other kernels, in an emulator that needs no privilege.

mod boot;
mod cases;
mod cpio;
mod initramfs;
mod kernel;
mod report;

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

pub(crate) use self::kernel::Kernel;
use self::{cases::Case, report::Report};
use crate::shell::Workspace;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which kernel to boot
    #[arg(long, value_enum, default_value_t = Choice::All)]
    kernel: Choice,
    /// Keep the initramfs, to boot it by hand
    #[arg(long)]
    keep: bool,
    /// Run this command in place of tests/vm/*.sh
    #[arg(last = true)]
    command: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Choice {
    #[value(name = "6.1")]
    V6_1,
    #[value(name = "6.12")]
    V6_12,
    All,
}

impl Choice {
    fn kernels(self) -> &'static [Kernel] {
        match self {
            Self::V6_1 => &[Kernel::V6_1],
            Self::V6_12 => &[Kernel::V6_12],
            Self::All => &[Kernel::V6_1, Kernel::V6_12],
        }
    }
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let agent = workspace.release("agent")?;
    let programs = workspace.target.join("programs");
    xtask::programs::build_all(&workspace.root, &programs)?;
    let cases =
        if args.command.is_empty() { cases::read(&workspace.root)? } else { vec![cases::one(&args.command)] };
    let guest = Guest { agent: &agent, programs: &programs, cases: &cases, keep: args.keep };
    let mut n_failed = 0;
    for &kernel in args.kernel.kernels() {
        n_failed += guest.run(workspace, kernel)?.n_failed();
    }
    if n_failed > 0 {
        bail!("{n_failed} cases failed");
    }
    Ok(())
}

/// Runs all of tests/vm under one kernel.
pub(crate) fn run_cases(
    workspace: &Workspace,
    kernel: Kernel,
    agent: &Path,
    programs: &Path,
) -> Result<Report> {
    let cases = cases::read(&workspace.root)?;
    Guest { agent, programs, cases: &cases, keep: false }.run(workspace, kernel)
}

/// What the virtual machine is made of.
struct Guest<'a> {
    agent: &'a Path,
    programs: &'a Path,
    cases: &'a [Case],
    keep: bool,
}

impl Guest<'_> {
    fn run(&self, workspace: &Workspace, kernel: Kernel) -> Result<Report> {
        let image = kernel::fetch(workspace, kernel)?;
        let dir = workspace.target.join("vm");
        fs::create_dir_all(&dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
        let initramfs = dir.join(format!("initramfs-{kernel}.cpio"));
        initramfs::write(&initramfs, self)?;
        let log = dir.join(format!("console-{kernel}.log"));
        println!("booting {} ({} cases), console in {}", image.package, self.cases.len(), log.display());
        let took = boot::boot(&image.path, &initramfs, &log)?;
        if self.keep {
            println!("kept {}", initramfs.display());
        } else {
            fs::remove_file(&initramfs)
                .with_context(|| format!("cannot remove `{}`", initramfs.display()))?;
        }
        let console = fs::read(&log).with_context(|| format!("cannot read `{}`", log.display()))?;
        let names: Vec<&str> = self.cases.iter().map(|case| case.name.as_str()).collect();
        let report = Report::read(&String::from_utf8_lossy(&console), &names);
        println!("kernel {} ran for {:.1} s\n{report}", kernel, took.as_secs_f64());
        Ok(report)
    }
}
