//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Every host's profiles in one place.
#[derive(Debug, Parser)]
#[command(name = "collector", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Subcommands,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Subcommands {
    /// Receive profiles and metrics, and keep them as Parquet files
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Ask the Parquet files, with SQL
    #[command(after_help = SQL_EXAMPLES)]
    Sql(SqlArgs),
    /// Schedule questions of collectors on executors
    #[cfg(feature = "cluster")]
    #[command(after_help = CLUSTER_EXAMPLES)]
    Scheduler(SchedulerArgs),
    /// Answer parts of questions that a scheduler brings
    #[cfg(feature = "cluster")]
    #[command(after_help = CLUSTER_EXAMPLES)]
    Executor(ExecutorArgs),
}

#[cfg(feature = "cluster")]
const CLUSTER_EXAMPLES: &str = "\
Examples:
  collector scheduler --listen 10.0.0.1:50050 --without-tokens
  collector executor --scheduler df://10.0.0.1:50050 --listen 10.0.0.2:50051 --store s3://profiles/prod --without-tokens
                                                       (AWS_... in the environment, as for `serve`)
  collector serve --store s3://profiles/prod --query-cluster df://10.0.0.1:50050

Nobody is asked who they are: whoever reaches a scheduler or an executor may read the whole store. docs/cluster.md says the rest.

Exit status: 0 after SIGTERM or SIGINT; 1 for an error; 2 for wrong usage.
";

const SQL_EXAMPLES: &str = "\
Examples:
  collector sql \"select service, sum(value) from samples where type = 'cpu' group by 1 order by 2 desc\"
  collector sql 'select name, count(*) from metrics group by 1' --format csv
  collector sql 'select * from frames limit 5' --data s3://profiles/prod --tenant edge

Tables (docs/storage.md has their columns): samples, stacks, frames, metrics. Samples and metrics are those from --from until
--until; stacks and frames those of its days. Nothing is written, and no other file is read.

Exit status: 0 with an answer; 1 for an error; 2 for wrong usage.
";

const SERVE_EXAMPLES: &str = "\
Examples:
  collector serve                                      this host only, everything in ./brazier-data
  collector serve --data /var/lib/brazier --store s3://profiles/prod
                                                       the log here, the files in a bucket (AWS_... in the environment)
  collector serve --config /etc/brazier/collector.toml
  collector serve --http 0.0.0.0:4318 --config c.toml  for other hosts: needs tokens, see [tenant.NAME] token_file

What is sent where:
  4317  OTLP profiles and metrics over gRPC
  4318  OTLP over HTTP: /v1development/profiles, /v1/metrics; Pyroscope: /ingest, /push.v1.PusherService/Push;
        pprof: curl --data-binary @cpu.pb.gz 'http://localhost:4318/api/v1/pprof?service=edge&host=a'
  4040  / for a browser, /api/v1 (docs/api.md), /health, /metrics

A file with everything that can be set (all is optional):
  data = \"brazier-data\"
  store = \"s3://profiles/prod\"
  [listen]
  grpc = \"127.0.0.1:4317\"
  http = \"127.0.0.1:4318\"
  web = \"127.0.0.1:4040\"
  without_tokens = false
  [tls]
  cert_file = \"/etc/brazier/collector.pem\"
  key_file = \"/etc/brazier/collector.key\"
  client_ca_file = \"/etc/brazier/agents.pem\"   # senders need a certificate of this authority
  [log]
  max_bytes = 1073741824
  segment_bytes = 16777216
  flush_after_seconds = 10
  keys = 1048576
  [upkeep]
  every_seconds = 60
  max_age_seconds = 2592000
  max_bytes = 0
  [query]
  at_once = 4
  memory_bytes = 1073741824
  timeout_seconds = 60
  cluster_partitions = 16                         # and cluster = \"df://HOST:PORT\", see --query-cluster
  [limits]
  body_bytes = 8388608
  message_bytes = 67108864
  bytes_per_second = 33554432
  series = 100000
  labels = 64
  label_bytes = 2048
  max_age_seconds = 604800
  max_future_seconds = 600
  [tenant.edge]
  token_file = \"/etc/brazier/edge.tokens\"
  [tenant.edge.limits]
  series = 10000
  [alerts]                                     # docs/watch.md has all rules
  every_seconds = 60
  timeout_seconds = 20
  built_in = true
  #page_url = \"https://profiles.example\"
  #[alerts.webhook]
  #url = \"http://127.0.0.1:9095/alerts\"
  #token_file = \"/etc/brazier/webhook.token\"
  [[watch]]
  name = \"regex-time\"
  kind = \"share\"
  match = '{service=\"edge\"}'
  function_regex = \"pcre2_.*\"
  over_percent = 10

Exit status: 0 after SIGTERM or SIGINT; 1 for an error; 2 for wrong usage.
";

/// Arguments of `serve`; they go before what the file says.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// A file of TOML, see below
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the log is, and the store unless --store says otherwise [default: brazier-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where the Parquet files are: a directory, or the URL of a bucket [default: DIR/store]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Listen for gRPC here [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDRESS")]
    pub grpc: Option<SocketAddr>,
    /// Listen for HTTP here [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// Answer browsers, questions, /health and /metrics here [default: 127.0.0.1:4040]
    #[arg(long, value_name = "ADDRESS")]
    pub web: Option<SocketAddr>,
    /// Have questions answered by a cluster, by its scheduler; needs the feature `cluster`
    #[arg(long, value_name = "df://HOST:PORT")]
    pub query_cluster: Option<String>,
}

/// Arguments of `scheduler`.
#[cfg(feature = "cluster")]
#[derive(Debug, Args)]
pub struct SchedulerArgs {
    /// Where collectors and executors reach it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50050")]
    pub listen: SocketAddr,
    /// By which name or address executors reach it, if not by that
    #[arg(long, value_name = "HOST")]
    pub advertise: Option<String>,
    /// Listen also where other hosts reach it, although it asks nobody who they are
    #[arg(long)]
    pub without_tokens: bool,
}

/// Arguments of `executor`.
#[cfg(feature = "cluster")]
#[derive(Debug, Args)]
pub struct ExecutorArgs {
    /// Who brings work
    #[arg(long, value_name = "df://HOST:PORT", default_value = "df://127.0.0.1:50050")]
    pub scheduler: String,
    /// The store, by the URL or directory that the collectors have
    #[arg(long, value_name = "URL")]
    pub store: String,
    /// Where collectors and other executors fetch results
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// The port of the same host to which the scheduler brings work; 0 is any
    #[arg(long, value_name = "PORT", default_value_t = 50_052)]
    pub tasks_port: u16,
    /// By which name or address it is reached, if not by that of --listen
    #[arg(long, value_name = "HOST")]
    pub advertise: Option<String>,
    /// Parts of questions at once; 0 is one for each CPU
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    /// In memory, for sums and sorting [default: seven tenths of the host's or the container's]
    #[arg(long, value_name = "N")]
    pub memory_bytes: Option<u64>,
    /// Where results wait to be fetched [default: a directory of its own in the temporary one]
    #[arg(long, value_name = "DIR")]
    pub work_dir: Option<PathBuf>,
    /// Listen also where other hosts reach it, although it asks nobody who they are
    #[arg(long)]
    pub without_tokens: bool,
}

/// Arguments of `sql`.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// One SELECT
    pub sql: String,
    /// Where the collector keeps what it has, or the URL of its store
    #[arg(long, value_name = "DIR|URL", default_value = "brazier-data")]
    pub data: String,
    /// Whose tables
    #[arg(long, default_value = "default")]
    pub tenant: String,
    /// The first moment: Unix milliseconds, now, now-1h, now-7d
    #[arg(long, value_name = "TIME", default_value = "now-1d")]
    pub from: String,
    /// The first moment behind it
    #[arg(long, value_name = "TIME", default_value = "now")]
    pub until: String,
    /// Rows, at most
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub limit: usize,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    pub format: SqlFormat,
    /// Have it answered by a cluster, by its scheduler; needs the feature `cluster`
    #[arg(long, value_name = "df://HOST:PORT")]
    pub query_cluster: Option<String>,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SqlFormat {
    /// Columns below each other
    #[default]
    Table,
    /// Values with commas between them, names first
    Csv,
    /// An object: columns, rows, warnings
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_file_in_the_help_is_one_and_says_what_holds_unless_it_is_changed() {
        Cli::command().debug_assert();
        let text = SERVE_EXAMPLES.split("is optional):\n").nth(1).and_then(|rest| rest.split("\n\n").next());
        let text = text.expect("has a file");
        let config: Config = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        let defaults = Config::default();
        assert_eq!((config.listen, config.log), (defaults.listen, defaults.log));
        assert_eq!((config.limits, config.upkeep), (defaults.limits, defaults.upkeep));
        assert_eq!((config.query, &config.alerts), (defaults.query, &defaults.alerts));
        crate::watch::rules(&config.alerts, &config.watch).unwrap_or_else(|error| panic!("{error}"));
    }
}
