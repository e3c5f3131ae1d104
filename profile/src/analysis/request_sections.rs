//! Requests for people: as text, and as rows of a page.

use std::fmt;

use super::{
    requests::{RequestAnalysis, RequestTimes},
    text::Styled,
};
use crate::{
    report_text::{BOLD, printable},
    units::{bytes_text, time_text},
};

const MAX_ROUTES: usize = 8;

impl Styled<'_> {
    pub(super) fn requests(&self, f: &mut fmt::Formatter<'_>, it: &RequestAnalysis) -> fmt::Result {
        writeln!(f, "\n{}", self.paint(BOLD, &headline(it)))?;
        if it.count == 0 {
            return Ok(());
        }
        writeln!(
            f,
            "{:>16}  {:>8}  {:>8}  {:>8}  {:>8}  {:>8}",
            "", "mean", "median", "p90", "p99", "longest"
        )?;
        for (what, times) in times(it) {
            let [mean, median, p90, p99, max] = cells(times);
            writeln!(f, "{what:>16}  {mean:>8}  {median:>8}  {p90:>8}  {p99:>8}  {max:>8}")?;
        }
        writeln!(
            f,
            "{:>8}  {:>9}  {:>8}  {:>8}  route, by the time of its requests",
            "time %", "count", "mean", "p99"
        )?;
        for route in it.routes.iter().take(MAX_ROUTES) {
            let row = format!(
                "{:>8.2}  {:>9}  {:>8}  {:>8}  {} {} {}",
                route.percent,
                route.count,
                time_text(route.mean_ns),
                time_text(route.p99_ns),
                route.method,
                printable(&route.route),
                route.status
            );
            writeln!(f, "{}", self.fitted(&row))?;
        }
        lines(it).iter().try_for_each(|line| writeln!(f, "{}", self.fitted(line)))
    }
}

/// `requests: 2400, 800.0 a second, 3.1 MiB sent`.
pub(super) fn headline(it: &RequestAnalysis) -> String {
    if it.count == 0 {
        return "no request was seen".to_owned();
    }
    format!("requests: {}, {:.1} a second, {} sent", it.count, it.per_second, bytes_text(it.bytes_out))
}

/// What was timed.
pub(super) fn times(it: &RequestAnalysis) -> impl Iterator<Item = (&'static str, &RequestTimes)> {
    let all = [
        ("all of it", &it.total),
        ("first byte", &it.first_byte),
        ("others take", &it.upstream_time),
        ("before asking", &it.queue),
        ("connecting", &it.upstream.connect),
    ];
    all.into_iter().filter(|(_, times)| times.count > 0)
}

/// Mean, median, 90th and 99th percentile, longest.
pub(super) fn cells(it: &RequestTimes) -> [String; 5] {
    [it.mean_ns, it.median_ns, it.p90_ns, it.p99_ns, it.max_ns].map(time_text)
}

/// What was asked of others, and how answers were written.
pub(super) fn lines(it: &RequestAnalysis) -> Vec<String> {
    let (upstream, connections, writes) = (&it.upstream, &it.connections, &it.writes);
    let mut lines = Vec::new();
    if upstream.requests > 0 {
        lines.push(format!(
            "{} requests to others on {} connections, {:.1} each, {:.1} opened in a second; {:.1} % were answered without",
            upstream.requests,
            upstream.connections,
            upstream.requests_per_connection,
            upstream.opened_per_second,
            upstream.served_alone_percent
        ));
        lines.push(format!(
            "{} of {} GETs to others were answered as the one before for the same path (different paths: {}); {} were for what was being \
             asked for already",
            upstream.repeated, upstream.gets, upstream.repeated_paths, upstream.doubled
        ));
    }
    lines.push(format!(
        "{} connections accepted, {:.1} in a second; {} writes for answers, {} of them below 1 KiB, {} answers in several with \
         small ones",
        connections.accepted, connections.accepted_per_second, writes.calls, writes.small, writes.answers_with_small
    ));
    if writes.compressible > 0 {
        lines.push(format!(
            "{} of {} answers that compress well were sent uncompressed, {} of {}",
            writes.uncompressed,
            writes.compressible,
            bytes_text(writes.uncompressed_bytes),
            bytes_text(writes.compressible_bytes)
        ));
    }
    if let Some(network) = &it.network {
        lines.push(format!(
            "its network namespace, all sockets: {} of {} segments were sent again; {} connections found the accept queue full",
            network.retransmitted_segments,
            network.sent_segments.saturating_add(network.retransmitted_segments),
            network.listen_overflows
        ));
    }
    lines
}
