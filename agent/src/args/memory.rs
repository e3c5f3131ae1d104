//! The command line of `agent memory`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{ReportForm, TableCacheArgs, parse_duration, parse_interval, parse_label, parse_size};

pub(super) const MEMORY_EXAMPLES: &str = "\
Examples:
  agent memory --pid $(pgrep -o nginx)              nginx and all its workers, until Ctrl-C
  agent memory --pid 4711 -d 10m --report json      for programs
  agent memory --pid 4711 -d 1h -o growth.svg       and a flamegraph of what grew
  agent memory --pid 4711 --snapshot before         and `kill -USR1` of the agent for before-1, before-2, ...
  agent memory compare before.memory.json before-1.memory.json

Exit status: 0 when a report was written, whatever its verdict; 1 for an error; 2 for wrong usage.
Stacks of what grows need root, or the capabilities that `agent doctor` lists; without, the report has none.
Processes of other users need root or CAP_SYS_PTRACE for PSS and for snapshots.";

/// `agent memory`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct MemoryArgs {
    /// What else can be done.
    #[command(subcommand)]
    pub command: Option<MemoryCommand>,
    /// Process to watch, with its children; may be given more than once
    #[arg(short, long = "pid", value_name = "PID", required = true)]
    pub pids: Vec<u32>,
    /// Leave out children of the processes given, present and future
    #[arg(long)]
    pub no_children: bool,
    /// Time between two readings: 100ms, 1s, 1m
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = parse_interval, allow_hyphen_values = true)]
    pub interval: Duration,
    /// How long to watch: 30s, 10m, 2h [default: until Ctrl-C, or until the processes end]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true)]
    pub duration: Option<Duration>,
    /// Write a snapshot with all mappings to NAME.memory.json at the start; SIGUSR1 writes NAME-1, NAME-2, ...
    #[arg(long, value_name = "NAME", value_parser = parse_label)]
    pub snapshot: Option<String>,
    /// Directory of snapshots
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub snapshot_dir: PathBuf,
    /// Do not record the stacks of what grows: load nothing into the kernel
    #[arg(long, conflicts_with = "output")]
    pub no_stacks: bool,
    /// Write a profile of what grew in the time that the verdict rests on, in a form by its ending: .svg, .pb.gz,
    /// .folded, .speedscope.json, .json
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Kernel memory for unwind tables, at most: 64MiB, 1GiB; it is taken in pieces of 2 MiB, as it is needed
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub table_memory: u64,
    /// Where unwind tables are kept from one run to the next
    #[command(flatten)]
    pub table_cache: TableCacheArgs,
    /// What to say at the end, on stdout
    #[arg(long, value_enum, default_value_t = ReportForm::Text)]
    pub report: ReportForm,
}

/// What else `agent memory` can do.
#[derive(Debug, Subcommand)]
pub enum MemoryCommand {
    /// Tell what lies between two snapshots
    Compare(CompareArgs),
}

/// `agent memory compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The first snapshot
    pub before: PathBuf,
    /// The second
    pub after: PathBuf,
    /// Form of the comparison
    #[arg(long, value_enum, default_value_t = ReportForm::Text)]
    pub report: ReportForm,
}
