//! What `agent analyze` makes of requests: the report, as evidence.

use profile::analysis::{
    ConnectionUse, NetworkUse, RequestAnalysis, RequestTimes, RouteShare, UpstreamUse, WriteUse,
};

use super::{Report, Row, TimesReport};

/// Routes of the analysis.
const MAX_ROUTES: usize = 10;

impl Report {
    /// The same for whoever gives advice.
    #[must_use]
    pub fn evidence(&self) -> RequestAnalysis {
        let seconds = self.duration_ns as f64 / 1e9;
        let each_second = |n: u64| if seconds > 0.0 { rounded(n as f64 / seconds) } else { 0.0 };
        let (upstream, connections, writes) = (&self.upstream, &self.connections, &self.writes);
        let avoidable = &self.avoidable;
        RequestAnalysis {
            duration_ns: self.duration_ns,
            count: self.requests,
            per_second: each_second(self.requests),
            bytes_out: self.all.bytes_out,
            total: times(&self.all.total),
            first_byte: times(&self.all.first_byte),
            upstream_time: times(&self.all.upstream),
            queue: times(&self.all.queue),
            routes: self.routes(),
            upstream: UpstreamUse {
                requests: upstream.requests,
                connections: upstream.connections,
                requests_per_connection: rounded(upstream.requests_per_connection),
                opened_per_second: each_second(connections.n_connected),
                connect: times(&avoidable.connect),
                served_alone_percent: rounded(upstream.served_alone_percent),
                doubled: upstream.doubled,
                gets: avoidable.gets,
                repeated: avoidable.repeated,
                repeated_paths: avoidable.repeated_paths,
                repeated_ns: avoidable.repeated_ns,
            },
            connections: ConnectionUse {
                accepted: connections.n_accepted,
                accepted_per_second: each_second(connections.n_accepted),
                unseen: connections.n_tls.saturating_sub(connections.n_tls_read) + connections.n_http2,
            },
            writes: WriteUse {
                calls: writes.calls,
                small: writes.small,
                answers_with_small: writes.answers_with_small,
                delayed_connections: connections.n_delayed,
                delayed_answers: avoidable.delayed_answers,
                delayed_with_small: avoidable.delayed_with_small,
                held_back: avoidable.held_back,
                held_back_ns: avoidable.held_back_ns,
                other_pauses: avoidable.other_pauses,
                other_pauses_ns: avoidable.other_pauses_ns,
                compressible: writes.compressible,
                compressible_bytes: writes.compressible_bytes,
                uncompressed: writes.uncompressed,
                uncompressed_bytes: writes.uncompressed_bytes,
                uncompressed_ns: avoidable.uncompressed_ns,
            },
            network: self.network.map(|it| NetworkUse {
                listen_overflows: it.listen_overflows,
                listen_drops: it.listen_drops,
                sent_segments: it.sent_segments,
                retransmitted_segments: it.retransmitted_segments,
            }),
            messages_lost: self.losses.messages_lost,
        }
    }

    /// Those that take most of the time of all.
    fn routes(&self) -> Vec<RouteShare> {
        let sum_ns = |row: &Row| row.total.mean_ns as f64 * row.count as f64;
        let all_ns = sum_ns(&self.all).max(1.0);
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by(|a, b| sum_ns(b).total_cmp(&sum_ns(a)).then_with(|| a.route.cmp(&b.route)));
        let share = |row: &Row| RouteShare {
            method: row.method.clone(),
            route: row.route.clone(),
            status: row.status,
            count: row.count,
            percent: rounded(100.0 * sum_ns(row) / all_ns),
            mean_ns: row.total.mean_ns,
            p99_ns: row.total.p99_ns,
        };
        rows.into_iter().take(MAX_ROUTES).map(share).collect()
    }
}

fn times(it: &TimesReport) -> RequestTimes {
    RequestTimes {
        count: it.count,
        min_ns: it.min_ns,
        mean_ns: it.mean_ns,
        median_ns: it.median_ns,
        p90_ns: it.p90_ns,
        p95_ns: it.p95_ns,
        p99_ns: it.p99_ns,
        max_ns: it.max_ns,
    }
}

/// More digits are noise.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
