//! The command line.

mod analyze;
mod ctl;
mod daemon;
mod diff;
mod doctor;
mod memory;
mod off_cpu;
mod parse;
mod requests;
mod top;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use analyze::ANALYZE_EXAMPLES;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use ctl::CTL_EXAMPLES;
use daemon::DAEMON_EXAMPLES;
use diff::DIFF_EXAMPLES;
use memory::MEMORY_EXAMPLES;
use parse::{parse_address, parse_distance, parse_interval, parse_label};
use requests::REQUESTS_EXAMPLES;
use serde::{Deserialize, Serialize};
use top::TOP_EXAMPLES;

pub use analyze::{AnalysisForm, AnalyzeArgs, AnalyzedEvent};
pub use ctl::{CaptureArgs, CtlArgs, CtlCommand};
pub use daemon::DaemonArgs;
pub use diff::{By, DiffArgs};
pub use doctor::{DoctorArgs, DoctorForm};
pub use memory::{CompareArgs, MemoryArgs, MemoryCommand};
pub use off_cpu::OffCpuArgs;
pub(crate) use parse::{MAX_INTERVAL_BYTES, parse_duration, parse_size};
pub use requests::{CutBy, FollowArgs, RequestsArgs, RouteArgs};
pub use top::TopArgs;

/// See inside running proxies: whole stacks from the kernel, no restart, no flag.
#[derive(Debug, Parser)]
#[command(name = "agent", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Subcommands,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Subcommands {
    /// Record where processes spend their CPU time or take memory, and write a flamegraph
    #[command(after_help = RECORD_EXAMPLES)]
    Record(RecordArgs),
    /// Say what holds a proxy up and what to change, from profiles or from a recording made now
    #[command(after_help = ANALYZE_EXAMPLES)]
    Analyze(AnalyzeArgs),
    /// Show what processes do now: functions, threads, event loops, memory, a flamegraph, routes of requests
    #[command(after_help = TOP_EXAMPLES)]
    Top(TopArgs),
    /// Compare two profiles or sets of them: what gained, what lost, and whether that is more than chance
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(DiffArgs),
    /// Watch the memory of processes: trend, limit, and whether it leaks
    #[command(after_help = MEMORY_EXAMPLES)]
    Memory(MemoryArgs),
    /// Follow the requests that processes serve: latency by route and status, reuse of connections, answers from a cache
    #[command(after_help = REQUESTS_EXAMPLES)]
    Requests(RequestsArgs),
    /// Measure all the time what a configuration says, and deliver it
    #[command(after_help = DAEMON_EXAMPLES)]
    Daemon(DaemonArgs),
    /// Ask a daemon that runs here: record an event, tell its state, reload, flush
    #[command(after_help = CTL_EXAMPLES)]
    Ctl(CtlArgs),
    /// Tell what this host allows, what is missing, and the command that mends it
    Doctor(DoctorArgs),
    /// Print how the functions of a file are unwound, and what its table costs
    Unwind(UnwindArgs),
}

const RECORD_EXAMPLES: &str = "\
Examples:
  agent record --pid $(pgrep -o nginx)              nginx and all its workers, 10 s, flamegraph.svg
  agent record --comm envoy -d 30s -o envoy.pb.gz   for `go tool pprof`
  agent record --all -F 199 -o host.svg             everything on this host
  agent record -o run.svg -- ./server --port 80     a command, from its first instruction to its last
  agent record --comm haproxy -e faults -o rss.svg  who made resident memory grow, in bytes
  agent record --comm envoy -e alloc -o alloc.svg   who allocates, in bytes
  agent record --comm nginx -e off-cpu -o off.svg   where its workers are blocked, in wall-clock time
  agent record --comm nginx -e off-cpu --wakers -o who.svg   and who ended each wait
  agent record --comm nginx --wall -o wall.svg      all the time of each thread, on the CPU and off it
  agent record --comm nginx --by route -o routes.svg         which requests its CPU time goes to, and where
  agent record --comm nginx -e requests -o requests.pb.gz    how long requests take, by route and status, for `agent diff`
  agent record --comm node -e loop -o stalls.svg    what holds its event loop up, and how busy it is
  agent record --comm envoy -e alloc --value inuse_space -d 1m -o live.svg   who holds what was not freed
  agent record --pid 4711 -o - --format folded      folded stacks on stdout, for other tools

Exit status: 0 when the profile was written; that of the command, after `--`; 1 for an error; 2 for wrong usage.
Needs root, or the capabilities that `agent doctor` lists.";

/// `agent record`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("target").required(true).args(["pids", "comm", "cgroup", "all", "command"])))]
pub struct RecordArgs {
    /// Process to sample, with its threads and children; may be given more than once
    #[arg(short, long = "pid", value_name = "PID")]
    pub pids: Vec<u32>,
    /// Sample processes of this name (at most 15 bytes, as `ps -o comm` shows it), also those that start later
    #[arg(long, value_name = "NAME")]
    pub comm: Option<String>,
    /// Sample the processes of this control group (version 2) and of those below it
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<PathBuf>,
    /// Sample every process of this host
    #[arg(short, long)]
    pub all: bool,
    /// Run this command and sample it from its first instruction; its exit status is passed on
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// Leave out children of the processes given, present and future
    #[arg(long)]
    pub no_children: bool,
    /// What to record; cpu and off-cpu can be given together
    #[arg(short, long = "event", value_name = "EVENT", value_enum, default_values_t = [Event::Cpu])]
    pub events: Vec<Event>,
    /// What of the time off the CPU.
    #[command(flatten)]
    pub off_cpu: OffCpuArgs,
    /// What of the requests that are served meanwhile.
    #[command(flatten)]
    pub requests: RouteArgs,
    /// Samples a second on each CPU; at most what the kernel allows
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 99, allow_hyphen_values = true)]
    pub frequency: i64,
    /// Bytes between two samples, on average, where bytes are sampled: 4KiB, 1MiB [default: 64KiB for faults,
    /// 512KiB for alloc]
    #[arg(long, alias = "alloc-interval", value_name = "SIZE", value_parser = parse_distance)]
    pub interval: Option<u64>,
    /// Percent of one CPU that probes on allocators may cost; above it they are on for a part of the time only
    #[arg(long, value_name = "PERCENT", default_value_t = 2.5)]
    pub probe_budget: f64,
    /// Probe neither frees nor returns of allocators: cheaper, and nothing is known of what lives
    #[arg(long)]
    pub no_live_heap: bool,
    /// Which value of the profile flamegraph, folded text and report go by: `inuse_space`, `alloc_objects`; a name that does
    /// not exist is answered with those that do [default: CPU samples, bytes grown or bytes allocated]
    #[arg(long, value_name = "NAME")]
    pub value: Option<String>,
    /// How long to record: 500ms, 10s, 2m; COMMAND is ended then [default: 10s, or until COMMAND ends]
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true)]
    pub duration: Option<Duration>,
    /// Where to write the profile; `-` is stdout
    #[arg(short, long, value_name = "FILE", default_value = "flamegraph.svg")]
    pub output: PathBuf,
    /// Form of the profile [default: by the file's ending]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Kernel memory for unwind tables, at most: 64MiB, 1GiB; it is taken in pieces of 2 MiB, as it is needed
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_size)]
    pub table_memory: u64,
    /// Where unwind tables are kept from one run to the next
    #[command(flatten)]
    pub table_cache: TableCacheArgs,
    /// Look up inlined functions and source lines in debug information, where there is any
    #[arg(long)]
    pub inlines: bool,
    /// Ask debuginfod servers, after the recording, for the names of stripped files
    ///
    /// They are asked by build ID, in the order of `DEBUGINFOD_URLS`. What they have is kept where all clients of
    /// this protocol keep it (`DEBUGINFOD_CACHE_PATH`, or `debuginfod_client` in the user's cache directory).
    #[arg(long)]
    pub debuginfod: bool,
    /// What to say at the end: on stdout, or on stderr if the profile goes to stdout
    #[arg(long, value_enum, default_value_t = ReportForm::Text)]
    pub report: ReportForm,
}

/// Where unwind tables are kept.
#[derive(Clone, Debug, Default, Args)]
pub struct TableCacheArgs {
    /// Keep unwind tables in this directory [default: brazier/unwind in the directory for caches, that of XDG or /var/cache]
    #[arg(long, value_name = "DIR", conflicts_with = "no_table_cache")]
    pub table_cache: Option<PathBuf>,
    /// Build every unwind table anew, and keep none
    #[arg(long)]
    pub no_table_cache: bool,
}

/// What to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Event {
    /// Where CPU time goes
    Cpu,
    /// Where threads wait: for data, a disk, a lock, a CPU
    OffCpu,
    /// Iterations of event loops: how long they take, and what the long ones do
    Loop,
    /// What makes resident memory grow, and what releases it, in bytes
    Faults,
    /// What is allocated, in bytes and objects: probes on malloc and its like
    Alloc,
    /// Requests that were served: how many and how long they took, by method, route and status
    Requests,
}

/// Form of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Flamegraph for a browser (.svg)
    Svg,
    /// One line a stack, semicolons between frames (.folded)
    Folded,
    /// For `go tool pprof` and most others (.pb.gz)
    Pprof,
    /// For an OpenTelemetry collector: its profiles, protobuf without compression (.otlp)
    Otlp,
    /// For speedscope.app (.speedscope.json)
    Speedscope,
    /// The report, for programs (.json)
    Json,
}

impl Format {
    /// Endings of file names. The longer ones first: `.speedscope.json` is not `.json`.
    const ENDINGS: [(&'static str, Self); 7] = [
        (".speedscope.json", Self::Speedscope),
        (".svg", Self::Svg),
        (".folded", Self::Folded),
        (".pb.gz", Self::Pprof),
        (".pprof", Self::Pprof),
        (".otlp", Self::Otlp),
        (".json", Self::Json),
    ];

    /// The form that a file's ending asks for.
    #[must_use]
    pub fn of_path(path: &std::path::Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy();
        Self::ENDINGS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, format)| *format)
    }
}

/// Form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportForm {
    /// For people
    Text,
    /// For programs
    Json,
    /// None
    None,
}

/// `agent unwind`.
#[derive(Debug, Args)]
pub struct UnwindArgs {
    /// An ELF file: a program or a shared object
    pub file: PathBuf,
    /// Print the rule of this instruction only: a virtual address of the file, as objdump shows it
    #[arg(value_parser = parse_address)]
    pub address: Option<u64>,
    /// Print every row: the addresses from which another rule holds
    #[arg(long, conflicts_with = "address")]
    pub rows: bool,
    /// Where unwind tables are kept from one run to the next
    #[command(flatten)]
    pub table_cache: TableCacheArgs,
}

#[cfg(test)]
mod tests {
    use super::{Cli, Format};
    use clap::CommandFactory as _;
    use std::path::Path;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_form_follows_the_ending() {
        let cases = [
            ("a.svg", Some(Format::Svg)),
            ("a.speedscope.json", Some(Format::Speedscope)),
            ("a.json", Some(Format::Json)),
            ("a.pb.gz", Some(Format::Pprof)),
            ("a.otlp", Some(Format::Otlp)),
            ("a.gz", None),
            ("a", None),
        ];
        for (path, format) in cases {
            assert_eq!(Format::of_path(Path::new(path)), format, "{path}");
        }
    }
}
