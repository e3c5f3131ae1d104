//! The command line of `agent analyze`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, ValueEnum};

use super::{Event, OffCpuArgs, RecordArgs, ReportForm, TableCacheArgs, parse_duration};

pub(super) const ANALYZE_EXAMPLES: &str = "\
Examples:
  agent analyze --pid $(pgrep -o nginx)              record nginx and its workers for 10 s, and say what holds it up
  agent analyze --pid 4711 -d 1m --save run.pb.gz    and keep the profile
  agent analyze run.pb.gz                            what was recorded before; several files are one
  agent analyze windows/ --label service.name=edge   the windows that a daemon wrote
  agent analyze run.pb.gz --format html -o run.html  as a page

CPU time is told by what it is for: TLS, compression, parsing, regular expressions, copying, system calls, locks, logging,
allocation. Advice names what was seen, what it brings and how that was estimated; without evidence there is none.

Exit status: 0 when a report was written; 1 for an error; 2 for wrong usage.
Recording needs root, or the capabilities that `agent doctor` lists; files need neither.";

/// `agent analyze`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["pids", "files"])))]
pub struct AnalyzeArgs {
    /// Profiles of CPU time (.pb.gz, .otlp, .folded), directories of them, or patterns in quotes; all of them together
    #[arg(value_name = "FILE", conflicts_with = "pids")]
    pub files: Vec<PathBuf>,
    /// Record this process, with its threads and children; may be given more than once
    #[arg(short, long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// How long to record
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, allow_hyphen_values = true, conflicts_with = "files")]
    pub duration: Duration,
    /// Samples a second on each CPU
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 499, conflicts_with = "files")]
    pub frequency: i64,
    /// Keep what was recorded (.pb.gz)
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    pub save: Option<PathBuf>,
    /// Only profiles with this label, as the daemon writes them; may be given more than once
    #[arg(long = "label", value_name = "NAME=VALUE", conflicts_with = "pids")]
    pub labels: Vec<String>,
    /// Requests that were served meanwhile: what one costs is said then
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Form of the analysis
    #[arg(long, value_enum, default_value_t = AnalysisForm::Text)]
    pub format: AnalysisForm,
    /// Where to write it [default: stdout]
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}

/// Form of an analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AnalysisForm {
    /// For people
    Text,
    /// For programs
    Json,
    /// For a browser
    Html,
}

/// What `agent record` takes for unwind tables unless told otherwise.
const TABLE_MEMORY_BYTES: u64 = 256 << 20;

impl RecordArgs {
    /// As if `agent record` had been asked for the CPU time of these processes.
    pub(crate) fn of_cpu(args: &AnalyzeArgs) -> Self {
        Self {
            pids: args.pids.clone(),
            comm: None,
            cgroup: None,
            all: false,
            command: Vec::new(),
            no_children: false,
            events: vec![Event::Cpu],
            off_cpu: OffCpuArgs::default(),
            frequency: args.frequency,
            interval: None,
            probe_budget: 0.0,
            no_live_heap: true,
            value: None,
            duration: Some(args.duration),
            output: PathBuf::from("-"),
            format: None,
            table_memory: TABLE_MEMORY_BYTES,
            table_cache: TableCacheArgs::default(),
            inlines: false,
            debuginfod: false,
            report: ReportForm::None,
        }
    }
}
