//! What is said of requests: as a table, and as JSON.

use std::io::{self, Write};

use profile::bytes_text;
use serde::Serialize;

use super::{
    avoidable::Avoidable,
    connections::{self, Connections},
    http2::{self, Http2Report},
    losses::Losses,
    network::Network,
    open::OpenRequests,
    rings::IoUring,
    served::{ProcessRow, RowKey, Served, Tally},
    slow_text,
    slowest::SlowRequest,
    times::TimesReport,
    tls::{self, TlsReport},
};

/// Rows of the text; JSON has all.
const MAX_TEXT_ROWS: usize = 40;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How long requests were followed.
    pub duration_ns: u64,
    /// Requests that were read and answered whole meanwhile.
    pub requests: u64,
    /// All of them together.
    pub all: Row,
    /// By method, route and status, the most frequent first.
    pub rows: Vec<Row>,
    /// What was asked of others for them.
    pub upstream: UpstreamReport,
    /// Connections.
    pub connections: Connections,
    /// Streams of HTTP/2.
    pub http2: Http2Report,
    /// Probes on libraries for TLS, and connections that they do not see.
    pub tls: TlsReport,
    /// Processes that may read and write without a system call.
    pub io_uring: IoUring,
    /// How answers were written, and whether they were compressed.
    pub writes: Writes,
    /// What of all that a setting could spare.
    pub avoidable: Avoidable,
    /// What the network namespaces of targets say; none if that could not be read.
    pub network: Option<Network>,
    /// What is missing.
    pub losses: Losses,
    /// The slowest requests, the slowest first, if stacks were sampled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowest: Option<Vec<SlowRequest>>,
    /// The rows, for each process that served.
    #[serde(skip)]
    pub by_process: Vec<ProcessRow>,
}

/// Requests that have something in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// `GET`, ...; empty for all together.
    pub method: String,
    /// The path with what is one of many folded.
    pub route: String,
    /// Of the answer; 0 for all together.
    pub status: u16,
    /// How many.
    pub count: u64,
    /// The same by second.
    pub per_second: f64,
    /// Bytes of requests, heads included.
    pub bytes_in: u64,
    /// Bytes of answers, heads included.
    pub bytes_out: u64,
    /// Those that nobody else was asked for.
    pub without_upstream: u64,
    /// From the read that had the end of the head to the write that had the end of the answer.
    pub total: TimesReport,
    /// To the write that had the end of the answer's head.
    pub first_byte: TimesReport,
    /// How long others took, from the write of what they were asked to the read of the end of their answer.
    pub upstream: TimesReport,
    /// From the end of the request to the first write to somebody else.
    pub queue: TimesReport,
}

/// What was asked of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct UpstreamReport {
    /// Requests.
    pub requests: u64,
    /// Of them, those for which no request under way was found: health checks, or what began before the recording.
    pub unowned: u64,
    /// Connections on which they were sent.
    pub connections: u64,
    /// Requests for each of those.
    pub requests_per_connection: f64,
    /// Of the requests that were answered, those that nobody was asked for, in percent: answered from a cache or by the proxy
    /// itself.
    pub served_alone_percent: f64,
    /// `GET`s of what was being asked for already.
    pub doubled: u64,
}

/// How answers were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Writes {
    /// Calls that wrote answers.
    pub calls: u64,
    /// Of them, those of less than 1 KiB.
    pub small: u64,
    /// Answers that took several, some of them small.
    pub answers_with_small: u64,
    /// Answers of a type that compresses well, of 1 KiB and more.
    pub compressible: u64,
    /// Their bytes.
    pub compressible_bytes: u64,
    /// Of them, those that were sent uncompressed.
    pub uncompressed: u64,
    /// Their bytes.
    pub uncompressed_bytes: u64,
}

impl Report {
    pub(super) fn new(
        duration_ns: u64,
        served: &Served,
        open: &OpenRequests,
        connections: Connections,
        avoidable: Avoidable,
        losses: Losses,
    ) -> Self {
        let seconds = duration_ns as f64 / 1e9;
        let row = |key: &RowKey, tally: &Tally| {
            let total = tally.total.report();
            Row {
                method: key.method.to_owned(),
                route: key.route.clone(),
                status: key.status,
                count: total.count,
                per_second: ratio(total.count as f64, seconds),
                bytes_in: tally.n_bytes_in,
                bytes_out: tally.n_bytes_out,
                without_upstream: tally.n_alone,
                total,
                first_byte: tally.first_byte.report(),
                upstream: tally.upstream.report(),
                queue: tally.queue.report(),
            }
        };
        let mut rows: Vec<Row> = served.rows.iter().map(|(key, tally)| row(key, tally)).collect();
        rows.sort_by(|a, b| {
            let key = |row: &Row| (row.route.clone(), row.method.clone(), row.status);
            b.count.cmp(&a.count).then_with(|| key(a).cmp(&key(b)))
        });
        let all = row(&RowKey { method: "", route: "all".to_owned(), status: 0 }, &served.all);
        let content = &served.content;
        Self {
            duration_ns,
            requests: served.n(),
            upstream: UpstreamReport {
                requests: open.n_asked,
                unowned: open.n_unowned,
                connections: connections.n_upstream_used,
                requests_per_connection: ratio(open.n_asked as f64, connections.n_upstream_used as f64),
                served_alone_percent: 100.0 * ratio(served.all.n_alone as f64, served.n() as f64),
                doubled: open.n_doubled,
            },
            all,
            rows,
            connections,
            http2: Http2Report::default(),
            tls: TlsReport::default(),
            io_uring: IoUring::default(),
            writes: Writes {
                calls: content.n_writes,
                small: content.n_small_writes,
                answers_with_small: content.n_with_small_writes,
                compressible: content.n_compressible,
                compressible_bytes: content.compressible_bytes,
                uncompressed: content.n_uncompressed,
                uncompressed_bytes: content.uncompressed_bytes,
            },
            avoidable,
            network: None,
            losses,
            slowest: None,
            by_process: served.by_process(),
        }
    }
}

pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Writes it for people.
///
/// # Errors
/// If it cannot be written.
pub fn write_text(report: &Report, mut out: impl Write) -> io::Result<()> {
    let seconds = report.duration_ns as f64 / 1e9;
    writeln!(out, "{} requests in {seconds:.1} s, {:.1} a second", report.requests, report.all.per_second)?;
    if report.requests > 0 {
        write_rows(report, &mut out)?;
        write_upstream(report, &mut out)?;
        write_writes(report, &mut out)?;
        report.avoidable.write_text(&mut out)?;
    }
    connections::write_text(&report.connections, &mut out)?;
    http2::write_text(&report.http2, &mut out)?;
    tls::write_text(&report.connections, &mut out)?;
    report.network.iter().try_for_each(|it| it.write_text(&mut out))?;
    report.slowest.iter().try_for_each(|slowest| slow_text::write(slowest, &mut out))?;
    report.remarks().iter().try_for_each(|remark| writeln!(out, "{remark}"))
}

fn write_rows(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "\n{:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10} {:>6}  route",
        "count",
        "per s",
        "min",
        "mean",
        "median",
        "p90",
        "p95",
        "p99",
        "max",
        "std dev",
        "bytes out",
        "alone"
    )?;
    let shown = report.rows.iter().take(MAX_TEXT_ROWS);
    for row in shown.chain([&report.all]) {
        let it = &row.total;
        let times = [
            it.min_ns,
            it.mean_ns,
            it.median_ns,
            it.p90_ns,
            it.p95_ns,
            it.p99_ns,
            it.max_ns,
            it.standard_deviation_ns,
        ];
        write!(out, "{:>9} {:>9.1}", row.count, row.per_second)?;
        for ns in times {
            write!(out, " {:>8}", milliseconds(ns))?;
        }
        let alone = 100.0 * ratio(row.without_upstream as f64, row.count as f64);
        write!(out, " {:>10} {alone:>5.1}%", bytes_text(row.bytes_out))?;
        if row.status == 0 {
            writeln!(out, "  all")?;
        } else {
            writeln!(out, "  {} {} {}", row.method, row.route, row.status)?;
        }
    }
    if let n @ 1.. = report.rows.len().saturating_sub(MAX_TEXT_ROWS) {
        writeln!(out, "and {n} rows more, which --json has")?;
    }
    writeln!(out, "times in ms; alone: answered without asking anybody else")
}

fn write_upstream(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let times = |name: &str, it: &TimesReport, out: &mut dyn Write| {
        writeln!(
            out,
            "{name:<14} mean {} ms, median {}, p90 {}, p99 {}, max {}",
            milliseconds(it.mean_ns),
            milliseconds(it.median_ns),
            milliseconds(it.p90_ns),
            milliseconds(it.p99_ns),
            milliseconds(it.max_ns)
        )
    };
    writeln!(out)?;
    times("first byte", &report.all.first_byte, out)?;
    let it = &report.upstream;
    if it.requests == 0 {
        return Ok(());
    }
    times("upstream", &report.all.upstream, out)?;
    times("before it", &report.all.queue, out)?;
    writeln!(
        out,
        "upstream: {} requests on {} connections, {:.1} each; {:.1} % of requests were answered without; {} asked for what was \
         being asked for already",
        it.requests, it.connections, it.requests_per_connection, it.served_alone_percent, it.doubled
    )?;
    if it.unowned > 0 {
        writeln!(out, "{} of them are for no request that is known: health checks, for example", it.unowned)?;
    }
    Ok(())
}

fn write_writes(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let it = &report.writes;
    writeln!(
        out,
        "writes: {} for answers, {} of them below 1 KiB; {} answers took several, some of them small",
        it.calls, it.small, it.answers_with_small
    )?;
    if it.compressible > 0 {
        writeln!(
            out,
            "compressible answers: {} ({}), of which {} ({}) were sent uncompressed",
            it.compressible,
            bytes_text(it.compressible_bytes),
            it.uncompressed,
            bytes_text(it.uncompressed_bytes)
        )?;
    }
    Ok(())
}

/// In milliseconds, with as many digits as are read.
pub(super) fn milliseconds(ns: u64) -> String {
    let ms = ns as f64 / 1e6;
    if ms < 10.0 {
        format!("{ms:.3}")
    } else if ms < 1000.0 {
        format!("{ms:.1}")
    } else {
        format!("{ms:.0}")
    }
}
