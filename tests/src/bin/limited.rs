//! `agent record` in a process that gave up what the daemon gives up: it can write one directory, and has six capabilities.

use std::path::PathBuf;

use agent::{
    args::{Cli, Subcommands},
    commands::record,
    kernel,
    privileges::{self, Limits},
};
use anyhow::{Context as _, Result, bail};
use clap::Parser as _;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let dir = arguments.next().map(PathBuf::from).context("usage: limited DIRECTORY record ARGUMENTS")?;
    let cli = Cli::parse_from(std::iter::once("limited".into()).chain(arguments));
    let Subcommands::Record(args) = cli.command else { bail!("it only records") };
    kernel::mount_tracefs_if_missing();
    kernel::keep_statistics();
    privileges::limit(&Limits { writable: vec![dir] })?;
    record::run(&args)?;
    Ok(())
}
