//! Developer commands: `cargo xtask help` lists them. The only script language of the project.
#![expect(clippy::print_stdout, reason = "a command line tool: its output is its purpose")]

mod alloc_accuracy;
mod bench;
mod bless;
mod capture;
mod chaos;
mod demo;
mod ebpf;
mod fetch;
mod fuzz;
mod package;
mod packages;
mod process;
mod shell;
mod suite;
mod vm;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::shell::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Developer commands of Brazier")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Rebuild the kernel programs and their stamp
    BuildEbpf(ebpf::Args),
    /// Run every check and test that this machine can run
    Test,
    /// Boot Debian kernels in an emulator and run tests/vm/*.sh, or one command, inside
    Vm(vm::Args),
    /// Measure side by side and rewrite the tables of docs/benchmarks.md
    Bench(bench::Args),
    /// Hold the estimates of --event alloc against 10 GiB that are known
    AllocAccuracy(alloc_accuracy::Args),
    /// Make a Debian package of the agent
    Package(package::Args),
    /// Rewrite the golden files from what the code does now
    Bless,
    /// Make hostile input for the readers and the walk; fails when something is found
    Fuzz(fuzz::Args),
    /// Record the stack of a thread for the walk tests of tests/captures; `-- --help` lists its options
    Capture {
        /// Thread, name, and where in the code to stop
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Have things go wrong while the daemon runs; fails when anything is lost that is not counted
    Chaos(chaos::Args),
    /// Profile a real nginx under load: one flamegraph, or the collector's page over it
    Demo(demo::Args),
    /// Compile the target programs of tests/programs into a directory
    Programs {
        /// Where the programs go
        dir: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // On the same stream as the progress, so that it stands after what led to it.
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match command {
        Command::BuildEbpf(args) => ebpf::run(&workspace, &args)?,
        // Its last line is the verdict, so nothing is printed after it.
        Command::Test => return Ok(suite::run(&workspace)),
        Command::Vm(args) => vm::run(&workspace, &args)?,
        Command::Bench(args) => bench::run(&workspace, &args)?,
        Command::AllocAccuracy(args) => alloc_accuracy::run(&workspace, &args)?,
        Command::Package(args) => package::run_command(&workspace, &args)?,
        Command::Bless => bless::run(&workspace)?,
        Command::Capture { args } => capture::run(&workspace, &args)?,
        Command::Fuzz(args) => fuzz::run(&workspace, &args)?,
        Command::Chaos(args) => chaos::run(&workspace, &args)?,
        Command::Demo(args) => demo::run(&workspace, &args)?,
        Command::Programs { dir } => {
            for program in xtask::programs::build_all(&workspace.root, &dir)? {
                println!("{}", program.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
