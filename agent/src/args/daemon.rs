//! The command line of `agent daemon`.

use std::path::PathBuf;

use clap::Args;

pub(super) const DAEMON_EXAMPLES: &str = "\
Examples:
  agent daemon --config /etc/brazier/agent.toml            until SIGTERM
  agent daemon --config /etc/brazier/agent.toml --check    whether it would start, and what it would do

Exit status: 0 after SIGTERM, or when the configuration is right; 1 for an error; 2 for wrong usage.";

/// `agent daemon`.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// The configuration, in TOML; docs/agent.toml has every key
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Tell what is wrong with the configuration or what it would do, and end
    #[arg(long)]
    pub check: bool,
}
