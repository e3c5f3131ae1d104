//! The command line of `agent analyze`.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, ValueEnum};

use super::{
    Event, FollowArgs, OffCpuArgs, RecordArgs, ReportForm, RouteArgs, TableCacheArgs, off_cpu::parse_wait,
    parse_duration,
};

pub(super) const ANALYZE_EXAMPLES: &str = "\
Examples:
  agent analyze --pid $(pgrep -o nginx)              record nginx and its workers for 10 s, and say what holds it up
  agent analyze --pid 4711 -d 1m --save run.pb.gz    and keep the profiles: run.pb.gz, run.off-cpu.pb.gz ...
  agent analyze --pid 4711 -e cpu                    CPU time alone, for a host that is very busy
  agent analyze run*.pb.gz                           what was recorded before, of any kind; several of one kind are one
  agent analyze windows/ --label service.name=edge   the windows that a daemon wrote
  agent analyze run.pb.gz --format html -o run.html  as a page

CPU time is told by what it is for: TLS, compression, parsing, regular expressions, copying, system calls, locks, logging,
allocation. Beside it stand what threads wait for, what holds their event loops up, which way memory goes, and the requests
that are served. What a worker or a request loses most of its time to comes first. Advice names what was seen, what it brings and how that was estimated;
without evidence there is none.

Exit status: 0 when a report was written; 1 for an error; 2 for wrong usage.
Recording needs root, or the capabilities that `agent doctor` lists; files need neither.";

/// `agent analyze`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["pids", "files"])))]
pub struct AnalyzeArgs {
    /// Profiles of CPU time, waits, stalls or growth (.pb.gz, .otlp, .folded), directories of them, or patterns in quotes; all
    /// of them together
    #[arg(value_name = "FILE", conflicts_with_all = ["pids", "FollowArgs"])]
    pub files: Vec<PathBuf>,
    /// Record this process, with its threads and children; may be given more than once
    #[arg(short, long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// What to record; may be given more than once
    #[arg(short, long = "event", value_name = "EVENT", value_enum, conflicts_with = "files",
          default_values_t = [AnalyzedEvent::Cpu, AnalyzedEvent::OffCpu, AnalyzedEvent::Loop, AnalyzedEvent::Memory,
                              AnalyzedEvent::Requests])]
    pub events: Vec<AnalyzedEvent>,
    /// How long to record
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = parse_duration, allow_hyphen_values = true, conflicts_with = "files")]
    pub duration: Duration,
    /// Samples a second on each CPU
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 499, conflicts_with = "files")]
    pub frequency: i64,
    /// Waits shorter than this are summed up by thread, without a stack: 100us, 10ms
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = parse_wait, conflicts_with = "files")]
    pub min_block: Duration,
    /// An iteration of an event loop that takes as long is a stall
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = parse_wait, conflicts_with = "files")]
    pub stall: Duration,
    /// How requests are followed.
    #[command(flatten)]
    pub follow: FollowArgs,
    /// Keep what was recorded (.pb.gz); what is not CPU time in files beside it
    #[arg(long, value_name = "FILE", conflicts_with = "files")]
    pub save: Option<PathBuf>,
    /// Only profiles with this label, as the daemon writes them; may be given more than once
    #[arg(long = "label", value_name = "NAME=VALUE", conflicts_with = "pids")]
    pub labels: Vec<String>,
    /// Requests that were served meanwhile, where they are not counted here: what one costs is said then
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Form of the analysis
    #[arg(long, value_enum, default_value_t = AnalysisForm::Text)]
    pub format: AnalysisForm,
    /// Where to write it [default: stdout]
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: PathBuf,
}

/// What is recorded to be analyzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AnalyzedEvent {
    /// Where CPU time goes
    Cpu,
    /// Where threads wait
    OffCpu,
    /// What holds event loops up
    Loop,
    /// Which way memory goes, and who takes it
    Memory,
    /// What is served, how fast, and what is asked of others for it: HTTP/1, in clear, and with --tls within TLS
    Requests,
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
    /// As if `agent record` had been asked for these processes; the events are chosen elsewhere.
    pub(crate) fn of_pids(pids: &[u32], frequency: i64, duration: Option<Duration>) -> Self {
        Self {
            pids: pids.to_vec(),
            comm: None,
            cgroup: None,
            all: false,
            command: Vec::new(),
            no_children: false,
            events: vec![Event::Cpu],
            off_cpu: OffCpuArgs::default(),
            requests: RouteArgs::default(),
            frequency,
            interval: None,
            probe_budget: 0.0,
            no_live_heap: true,
            value: None,
            duration,
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
