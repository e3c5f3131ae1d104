//! Advice on requests: what a proxy asks of others in vain, and how it writes its answers.

use super::{
    advice::{Advice, Gain, Resource},
    groups::Group,
    proxy::Proxy,
    report::{Analysis, Bottleneck},
    request_changes::{self, Change},
    requests::RequestAnalysis,
};
use crate::units::{bytes_text, time_text};

/// Of fewer nothing is said: pools fill and caches warm up while they are served.
const MIN_COUNT: u64 = 100;
/// A pool that is used has connections that carry several requests each; one that is too small, or off, has not.
const REUSED: f64 = 2.0;
/// Of answers that compress well. Where some are compressed, those that are not may be for clients that did not ask for it.
const COMPRESSED_PERCENT: f64 = 5.0;
/// Of all bytes sent: less is not worth the change.
const WORTH_PERCENT: f64 = 10.0;
/// Of what others were asked: below, what repeats may be what must not be kept.
const REPEATED_PERCENT: f64 = 50.0;
/// Answers in several writes: fewer may be large ones whose end was small by chance.
const MIN_DELAYED: u64 = 20;
const DELAYED_PERCENT: f64 = 5.0;
/// Of those, what is held back by more than chance. Clients that think for 40 ms are few.
const HELD_BACK_PERCENT: f64 = 10.0;
/// How long the last write is held back, where that is not seen.
const HELD_BACK_NS: f64 = 40_000_000.0;
/// Pauses after other answers are shorter than this share of those that are taken for it.
const LONGER_SHARE: f64 = 0.5;
/// What is seen for certain but costs time elsewhere, at the other end of the line, weighs as much as this.
const LEAST_PERCENT: f64 = 1.0;
/// Of the connections that were accepted, what is seen in the 99.9th percentile; and how many at least. The counter is of all sockets
/// of a namespace: a few may be another's.
const OVERFLOW_PERCENT: f64 = 0.1;
const MIN_OVERFLOWS: u64 = 10;
/// The least time until data are sent again, and until a connection is asked for again (`TCP_RTO_MIN`, `TCP_TIMEOUT_INIT`).
const RESENT_DATA_NS: f64 = 200_000_000.0;
const RESENT_SYN_NS: f64 = 1_000_000_000.0;
/// Messages lost for each that is seen of a request: beyond, what is missing may be what matters.
const LOST_SHARE: f64 = 0.1;
/// zlib 1.2.13, level 1, text: 212 KB in 2.1 ms.
const COMPRESSED_BYTES_PER_SECOND: f64 = 212_000.0 / 0.0021;

/// Something that is wrong.
struct Fault {
    group: Group,
    what: &'static str,
    evidence: Vec<String>,
    weight_percent: f64,
    gain: Gain,
    change: Change,
}

/// Adds what requests say.
pub(super) fn add(analysis: &mut Analysis, requests: &RequestAnalysis) {
    if requests.messages_lost as f64 > LOST_SHARE * requests.count as f64 {
        analysis.notes.push(format!(
            "{} messages of requests were lost, so nothing is advised about requests: fewer are lost with -e requests alone",
            requests.messages_lost
        ));
    } else if requests.count >= MIN_COUNT {
        let rules = [connections_not_reused, not_compressed, not_cached, held_back, accept_queue_full];
        for fault in rules.into_iter().filter_map(|rule| rule(requests, analysis.proxy)) {
            analysis.bottlenecks.push(Bottleneck {
                weight_percent: fault.weight_percent,
                group: fault.group,
                what: fault.what.to_owned(),
                evidence: fault.evidence.first().cloned().unwrap_or_default(),
                stack: Vec::new(),
            });
            analysis.advice.push(Advice {
                title: fault.what.to_owned(),
                group: fault.group,
                weight_percent: fault.weight_percent,
                evidence: fault.evidence,
                stack: Vec::new(),
                gain: fault.gain,
                change: fault.change.text.to_owned(),
                directive: fault.change.directive.map(str::to_owned),
            });
        }
    }
    if requests.connections.unseen > 0 {
        analysis.notes.push(format!(
            "{} connections speak TLS that was not read, or HTTP/2: their requests are not seen",
            requests.connections.unseen
        ));
    }
}

fn connections_not_reused(requests: &RequestAnalysis, proxy: Option<Proxy>) -> Option<Fault> {
    let it = &requests.upstream;
    if it.connections < MIN_COUNT || it.requests_per_connection >= REUSED || it.connect.count == 0 {
        return None;
    }
    let percent = requests.percent(it.connect.sum_ns());
    let at_least = requests.percent(it.connect.min_ns as f64 * it.connect.count as f64);
    Some(Fault {
        group: Group::Upstream,
        what: "connections to others are not reused",
        evidence: vec![
            format!(
                "{} requests to others went over {} connections, {:.2} each; {:.1} are opened in a second",
                it.requests, it.connections, it.requests_per_connection, it.opened_per_second
            ),
            format!(
                "requests wait {} on average for such a connection, {:.1} % of their time",
                time_text(it.connect.mean_ns),
                percent
            ),
        ],
        weight_percent: percent,
        gain: Gain {
            of: Resource::RequestTime,
            percent_low: at_least,
            percent_high: percent,
            how: format!(
                "from `connect` to the write of the request, for {} connections: the shortest of these times for each, or all \
                 of it; what opening and closing takes of the CPU is not in it. That they go to the same addresses is assumed",
                it.connect.count
            ),
        },
        change: request_changes::keep_connections(proxy),
    })
}

fn not_compressed(requests: &RequestAnalysis, proxy: Option<Proxy>) -> Option<Fault> {
    let it = &requests.writes;
    let compressed_percent = 100.0 - share(it.uncompressed, it.compressible);
    let of_bytes = share(it.uncompressed_bytes, requests.bytes_out);
    if it.uncompressed < MIN_COUNT || compressed_percent >= COMPRESSED_PERCENT || of_bytes < WORTH_PERCENT {
        return None;
    }
    let sending = requests.percent(it.uncompressed_ns as f64);
    let bytes_per_second = it.uncompressed_bytes as f64 / requests.seconds().max(f64::MIN_POSITIVE);
    Some(Fault {
        group: Group::Compression,
        what: "answers that compress well are sent uncompressed",
        evidence: vec![
            format!(
                "{} of {} answers of 1 KiB and more whose type compresses well; {}, {:.1} % of all bytes sent, {}/s",
                it.uncompressed,
                it.compressible,
                bytes_text(it.uncompressed_bytes),
                of_bytes,
                // The conversion saturates.
                bytes_text(bytes_per_second as u64)
            ),
            format!("writing their bodies took {sending:.1} % of the time of requests"),
            "whether clients accept compression (Accept-Encoding) is not read".to_owned(),
        ],
        weight_percent: sending.max(LEAST_PERCENT),
        gain: Gain {
            of: Resource::BytesSent,
            percent_low: 0.0,
            percent_high: of_bytes,
            how: format!(
                "these bytes would be fewer; the ratio was not measured, for nothing is compressed. It costs CPU time: zlib 1.2.13 \
                 at level 1 takes 2.1 ms for 212 KB of text, {:.1} % of a CPU for all of these",
                100.0 * bytes_per_second / COMPRESSED_BYTES_PER_SECOND
            ),
        },
        change: request_changes::compress(proxy),
    })
}

fn not_cached(requests: &RequestAnalysis, proxy: Option<Proxy>) -> Option<Fault> {
    let it = &requests.upstream;
    let repeated = share(it.repeated, it.gets);
    if it.repeated < MIN_COUNT || repeated < REPEATED_PERCENT {
        return None;
    }
    let percent = requests.percent(it.repeated_ns as f64);
    let n_each_second = it.repeated_paths as f64 * requests.seconds().ceil();
    let spared_at_least = (1.0 - n_each_second / it.repeated as f64).max(0.0);
    let mut evidence = vec![format!(
        "{} of {} GETs to others ({repeated:.1} %) were answered 200 with as many bytes as the one for the same path before; \
         different paths: {}; they took {percent:.1} % of the time of requests",
        it.repeated, it.gets, it.repeated_paths
    )];
    if it.doubled > 0 {
        evidence.push(format!("{} GETs were for what was being asked for already", it.doubled));
    }
    evidence.push(
        "queries and Cache-Control are not read: whether these may be kept is for their owner to say"
            .to_owned(),
    );
    Some(Fault {
        group: Group::Caching,
        what: "others are asked for the same again and again",
        evidence,
        weight_percent: percent,
        gain: Gain {
            of: Resource::RequestTime,
            percent_low: percent * spared_at_least,
            percent_high: percent,
            how: "the time that others took for what repeats: all of it, or, if each path is kept for a second only, without one \
                  request for each path in each second"
                .to_owned(),
        },
        change: request_changes::cache(proxy),
    })
}

fn held_back(requests: &RequestAnalysis, proxy: Option<Proxy>) -> Option<Fault> {
    let it = &requests.writes;
    if it.delayed_with_small < MIN_DELAYED
        || share(it.delayed_with_small, it.delayed_answers) < DELAYED_PERCENT
    {
        return None;
    }
    let mean_ns = |ns: u64, n: u64| ns as f64 / n.max(1) as f64;
    let (held_back_ns, other_ns) =
        (mean_ns(it.held_back_ns, it.held_back), mean_ns(it.other_pauses_ns, it.other_pauses));
    // Who takes as long after any answer does not wait for the end of one.
    let is_seen = share(it.held_back, it.delayed_with_small) >= HELD_BACK_PERCENT
        && (it.other_pauses == 0 || other_ns <= LONGER_SHARE * held_back_ns);
    // A socket can have it from the one that listens: only of those that set it on each it is known that they have not.
    if !is_seen && proxy != Some(Proxy::Nginx) {
        return None;
    }
    let all_ns = requests.total.sum_ns();
    let of_all = |ns: f64| 100.0 * ns / (all_ns + ns).max(1.0);
    let mut evidence = vec![format!(
        "{} of {} answers, on {} connections, came in several writes of which some were below 1 KiB, and TCP_NODELAY was never set \
         there: the last write waits until the other end has acknowledged the one before",
        it.delayed_with_small, it.delayed_answers, it.delayed_connections
    )];
    if is_seen {
        evidence.push(format!(
            "after {} of these the next request came {} later on average, and {} after others there: other ends acknowledge after \
             40 ms what they cannot answer",
            it.held_back,
            // The conversions saturate.
            time_text(held_back_ns as u64),
            time_text(other_ns as u64)
        ));
    }
    let n = it.held_back as f64;
    let (low, high, how) = if is_seen {
        (
            of_all(n * (held_back_ns - other_ns)),
            of_all(n * held_back_ns),
            "of the time of requests and of these pauses together: what is longer of each than pauses after other answers, or all of \
             it",
        )
    } else {
        (
            0.0,
            of_all(HELD_BACK_NS * it.delayed_with_small as f64),
            "nothing where others acknowledge at once, or 40 ms for each such answer: not seen here",
        )
    };
    Some(Fault {
        group: Group::SmallWrites,
        what: "the ends of answers are held back",
        evidence,
        weight_percent: if is_seen { high } else { LEAST_PERCENT },
        gain: Gain { of: Resource::RequestTime, percent_low: low, percent_high: high, how: how.to_owned() },
        change: request_changes::send_at_once(proxy),
    })
}

fn accept_queue_full(requests: &RequestAnalysis, proxy: Option<Proxy>) -> Option<Fault> {
    let n = requests.network?.listen_overflows;
    // A full queue of another listener says nothing of one that accepts without.
    if n < MIN_OVERFLOWS || share(n, requests.connections.accepted) < OVERFLOW_PERCENT {
        return None;
    }
    let all_ns = requests.total.sum_ns();
    let of_all = |ns: f64| 100.0 * ns * n as f64 / (all_ns + ns * n as f64).max(1.0);
    let (low, high) = (of_all(RESENT_DATA_NS), of_all(RESENT_SYN_NS));
    Some(Fault {
        group: Group::AcceptQueue,
        what: "connections find the accept queue full",
        evidence: vec![format!(
            "{n} connections had no room, and {} were accepted; the former of all sockets in its network namespace: another that \
             listens there may be the one (`ss -ltn` has the queue of each)",
            requests.connections.accepted
        )],
        weight_percent: high,
        gain: Gain {
            of: Resource::RequestTime,
            percent_low: low,
            percent_high: high,
            how: "of the time of requests and these waits together: a client waits for 0.2 s until it sends its request again, or for \
                  1 s until it asks for a connection again; assumed, not seen here"
                .to_owned(),
        },
        change: request_changes::lengthen_queue(proxy),
    })
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}
