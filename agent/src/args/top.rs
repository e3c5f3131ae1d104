//! The command line of `agent top`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{FollowArgs, off_cpu::parse_wait, parse_duration};

pub(super) const TOP_EXAMPLES: &str = "\
Examples:
  agent top --pid $(pgrep -o nginx)             what nginx and its workers do now
  agent top --pid 4711 -F 999 --stall 5ms       more samples; shorter stalls
  agent top --pid 4711 --tls                    routes within TLS, too, by probes on OpenSSL
  agent top --pid 4711 --no-requests            requests are left alone
  agent top --pid 4711 --batch -n 3             three blocks of text
  agent top --pid 4711 | tee top.txt            text as well: the output is no terminal

Views: functions, threads, event loops, memory, a flamegraph, and the routes of HTTP/1 requests
with rate, latency, errors and CPU time.

Keys: 1 to 6 views, / filter, o sort, w time, p pause, Enter flamegraph of a function, s save,
? all of them, q end.

Exit status: 0 at the end; 1 for an error; 2 for wrong usage.
Needs root, or the capabilities that `agent doctor` lists.";

/// `agent top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Process to look at, with its threads and children; may be given more than once
    #[arg(short, long = "pid", value_name = "PID", required = true)]
    pub pids: Vec<u32>,
    /// Samples a second on each CPU
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 199)]
    pub frequency: i64,
    /// Between two pictures
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = super::parse_interval)]
    pub interval: Duration,
    /// An iteration of an event loop that takes as long is a stall
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_wait)]
    pub stall: Duration,
    /// Leave requests alone: no view of routes, and nothing is done at the end of system calls on connections
    #[arg(long, conflicts_with = "FollowArgs")]
    pub no_requests: bool,
    /// How they are followed.
    #[command(flatten)]
    pub follow: FollowArgs,
    /// For how long [default: until `q`, a signal, or the end of the processes]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,
    /// Text in place of pictures, as where the output is no terminal
    #[arg(short, long)]
    pub batch: bool,
    /// End after so many blocks of text
    #[arg(short = 'n', long, value_name = "N")]
    pub count: Option<u64>,
    /// Functions in a block of text
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub rows: usize,
    /// Where `s` writes what is shown (.pb.gz) [default: top-TIME.pb.gz in this directory]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
