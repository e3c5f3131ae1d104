//! `agent`: see inside running proxies.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use agent::{args, commands};
use clap::Parser as _;

fn main() -> ExitCode {
    let result = match args::Cli::parse().command {
        args::Subcommands::Record(record) => commands::record::run(&record),
        args::Subcommands::Analyze(analyze) => commands::analyze::run(&analyze),
        args::Subcommands::Top(top) => commands::top::run(&top),
        args::Subcommands::Diff(diff) => commands::diff::run(&diff),
        args::Subcommands::Memory(memory) => commands::memory::run(&memory),
        args::Subcommands::Requests(requests) => commands::requests::run(&requests),
        args::Subcommands::Daemon(daemon) => commands::daemon::run(&mut io::stdout().lock(), &daemon),
        args::Subcommands::Ctl(ctl) => commands::ctl::run(&ctl),
        args::Subcommands::Unwind(unwind) => commands::unwind::run(&mut io::stdout().lock(), &unwind),
        args::Subcommands::Doctor(doctor) => {
            let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            commands::doctor::run(&mut io::stdout(), &doctor, colour).map(|is_able| u8::from(!is_able))
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // A closed stderr is no reason to fail differently.
            let _ = io::Write::write_all(&mut io::stderr(), commands::error_line(&error).as_bytes());
            ExitCode::FAILURE
        }
    }
}
