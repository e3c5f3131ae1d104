//! The command line of `agent requests`.

use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum};

use super::parse_duration;

pub(super) const REQUESTS_EXAMPLES: &str = "\
Examples:
  agent requests --pid $(pgrep -o nginx)             nginx and its workers, 10 s: latency by route and status
  agent requests --comm haproxy -d 1m --json         as JSON, for programs
  agent requests --pid 4711 --stacks                 and what the slowest ten did meanwhile
  agent requests --pid 4711 --tls                    within TLS, too, by probes on OpenSSL
  agent requests --pid 4711 --no-paths               paths stay in the kernel: their hashes stand for them

HTTP/1: in clear, from the system calls that read and write connections, and with --tls within TLS, where a process uses OpenSSL,
or BoringSSL with its names, from probes on the functions that encrypt and decrypt. Of heads there leave the kernel: method, path without
its query, status, length, and whether the content compresses; of bodies, how long they are.

Exit status: 0 when a report was written; 1 for an error; 2 for wrong usage.
Needs root, or the capabilities that `agent doctor` lists.";

/// `agent requests`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("requests_target").required(true).args(["pids", "comm", "cgroup", "all"])))]
pub struct RequestsArgs {
    /// Process whose requests to follow, with its threads and children; may be given more than once
    #[arg(short, long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// Processes of this name (at most 15 bytes, as `ps -o comm` shows it), also those that start later
    #[arg(long, value_name = "NAME")]
    pub comm: Option<String>,
    /// The processes of this control group (version 2) and of those below it
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<std::path::PathBuf>,
    /// Every process of this host
    #[arg(short, long)]
    pub all: bool,
    /// Leave out children of the processes given, present and future
    #[arg(long)]
    pub no_children: bool,
    /// How they are followed.
    #[command(flatten)]
    pub follow: FollowArgs,
    /// How long to follow them: 500ms, 10s, 2m
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, allow_hyphen_values = true)]
    pub duration: Duration,
    /// Sample stacks, too: the slowest requests are told with what was seen while they ran, on the CPU and blocked
    #[arg(long)]
    pub stacks: bool,
    /// With `--stacks`: samples of CPU time a second on each CPU
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 99, allow_hyphen_values = true)]
    pub frequency: i64,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// How requests are followed.
#[derive(Clone, Debug, Default, Args)]
pub struct FollowArgs {
    /// Of requests: paths do not leave the kernel, their hashes stand for them
    #[arg(long)]
    pub no_paths: bool,
    /// Of requests: those within TLS, too, by probes in the libraries that encrypt (OpenSSL, and BoringSSL with its names), which
    /// cost a busy server time at each call
    #[arg(long)]
    pub tls: bool,
}

impl FollowArgs {
    /// Whether anything was said of it.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        self.no_paths || self.tls
    }
}

/// What a profile is cut by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CutBy {
    /// The request that the thread was busy with: its method and route
    Route,
}

/// What `agent record` does with requests.
#[derive(Clone, Debug, Default, Args)]
pub struct RouteArgs {
    /// Cut the profile: below each process stands first the method and route of the request that its thread was busy with,
    /// `GET /users/{n}`, or `[no request]`
    #[arg(long, value_name = "WHAT", value_enum)]
    pub by: Option<CutBy>,
    /// How they are followed, with this or `--event requests`.
    #[command(flatten)]
    pub follow: FollowArgs,
}
