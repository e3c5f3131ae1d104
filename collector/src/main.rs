//! `collector`: every host's profiles in one place.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::Parser as _;
use collector::{args, commands};

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).init();
    let result = match args::Cli::parse().command {
        args::Subcommands::Serve(serve) => commands::serve(&mut io::stdout(), &serve),
        args::Subcommands::Sql(sql) => commands::sql(&mut io::stdout(), &sql),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed stderr is no reason to fail differently.
            let _ = io::Write::write_all(&mut io::stderr(), format!("error: {error:#}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}
