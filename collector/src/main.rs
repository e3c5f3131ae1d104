//! `collector`: every host's profiles in one place.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::Parser as _;
use collector::{args, commands};
use tracing::Level;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// Crates that write messages of their own.
const OTHERS: [&str; 4] = ["ballista", "datafusion", "h2", "tower"];

fn main() -> ExitCode {
    let messages = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    // Others tell much of what goes well.
    let levels = OTHERS.map(|name| (name, Level::WARN));
    let levels = Targets::new().with_default(Level::INFO).with_targets(levels);
    tracing_subscriber::registry().with(messages).with(levels).init();
    let result = match args::Cli::parse().command {
        args::Subcommands::Serve(serve) => commands::serve(&mut io::stdout(), &serve),
        args::Subcommands::Sql(sql) => commands::sql(&mut io::stdout(), &sql),
        #[cfg(feature = "cluster")]
        args::Subcommands::Scheduler(scheduler) => commands::scheduler(&mut io::stdout(), &scheduler),
        #[cfg(feature = "cluster")]
        args::Subcommands::Executor(executor) => commands::executor(&mut io::stdout(), &executor),
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
