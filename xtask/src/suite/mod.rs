//! `cargo xtask test`: every check and test that this machine can run, one verdict in the last line.

mod libtest;
mod node;
mod steps;
mod tally;
mod tidy;

use std::process::ExitCode;

use crate::shell::Workspace;

pub(crate) fn run(workspace: &Workspace) -> ExitCode {
    let mut tally = tally::Tally::default();
    steps::run_all(workspace, &mut tally);
    if tally.print() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
