//! The command line of `agent ctl`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Subcommand};

use super::{Event, Format, parse_duration};

pub(super) const CTL_EXAMPLES: &str = "\
Examples:
  agent ctl capture --event alloc --duration 30s --target edge-nginx   to the sinks of the daemon
  agent ctl capture --event alloc --pid 4711 -o alloc.svg              as a file here
  agent ctl status                                                     what is attached to what
  agent ctl reload                                                     read the configuration anew
  agent ctl flush                                                      have sinks take what waits

Exit status: 0 when it was done; 1 when it was refused or failed; 2 for wrong usage; 3 when no daemon can be reached.
For root and the user of the daemon only.";

/// `agent ctl`.
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// The daemon's `control_socket`
    #[arg(long, value_name = "PATH", default_value = "/run/brazier/control.sock", global = true)]
    pub socket: PathBuf,
    /// What the daemon is to do.
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// What the daemon is to do.
#[derive(Debug, Subcommand)]
pub enum CtlCommand {
    /// Record an event for a time, beside what is recorded always
    Capture(CaptureArgs),
    /// Print what is attached to what, as JSON
    Status,
    /// Read the configuration anew; one that is wrong is refused, and the old one stays
    Reload,
    /// Have sinks take what waits for them, and print what still waits
    Flush,
}

/// `agent ctl capture`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("who").required(true).args(["pid", "target", "all"])))]
pub struct CaptureArgs {
    /// What to record
    #[arg(short, long, value_enum)]
    pub event: Event,
    /// How long to record: 500ms, 10s, 2m; an hour at most
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, allow_hyphen_values = true)]
    pub duration: Duration,
    /// Record this process, with its threads and children
    #[arg(short, long)]
    pub pid: Option<u32>,
    /// Record the processes of this rule, by its name or that of the service
    #[arg(short, long, value_name = "NAME")]
    pub target: Option<String>,
    /// Record every process that the daemon samples
    #[arg(short, long)]
    pub all: bool,
    /// Write one profile to this file; `-` is stdout [default: profiles go to the sinks of the daemon]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Form of the profile [default: by the file's ending]
    #[arg(long, value_enum, requires = "output")]
    pub format: Option<Format>,
}
