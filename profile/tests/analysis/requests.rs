//! Requests: each setting that costs them time is named with its evidence and directive, and none where all is well.

use profile::analysis::{
    self, Analysis, ConnectionUse, Evidence, Group, NetworkUse, Proxy, RequestAnalysis, RequestTimes,
    Resource, RouteShare, UpstreamUse, WriteUse,
};

use crate::{CLEAN, profile, text};

const MS: u64 = 1_000_000;

fn times(count: u64, mean_ns: u64) -> RequestTimes {
    RequestTimes { count, min_ns: mean_ns / 2, mean_ns, max_ns: 2 * mean_ns, ..RequestTimes::default() }
}

/// A proxy that keeps connections and answers, compresses and sends at once: half of what is asked is in its cache.
fn clean() -> RequestAnalysis {
    RequestAnalysis {
        duration_ns: 10_000 * MS,
        count: 10_000,
        per_second: 1000.0,
        bytes_out: 20_000_000,
        total: times(10_000, 5 * MS),
        first_byte: times(10_000, 4 * MS),
        upstream_time: times(5_000, 8 * MS),
        queue: times(5_000, MS / 10),
        routes: vec![RouteShare {
            method: "GET".to_owned(),
            route: "/items/{n}</p><script>".to_owned(),
            status: 200,
            count: 5_000,
            percent: 90.0,
            mean_ns: 9 * MS,
            p99_ns: 20 * MS,
        }],
        upstream: UpstreamUse {
            requests: 5_000,
            connections: 150,
            requests_per_connection: 33.3,
            opened_per_second: 15.0,
            connect: times(150, MS),
            served_alone_percent: 50.0,
            doubled: 3,
            gets: 5_000,
            repeated: 400,
            repeated_paths: 40,
            repeated_ns: 400 * 8 * MS,
        },
        connections: ConnectionUse { accepted: 200, accepted_per_second: 20.0, unseen: 0 },
        writes: WriteUse {
            calls: 15_000,
            small: 12_000,
            answers_with_small: 4_000,
            compressible: 3_000,
            compressible_bytes: 9_000_000,
            uncompressed: 1_000,
            uncompressed_bytes: 5_000_000,
            uncompressed_ns: 100 * MS,
            ..WriteUse::default()
        },
        network: Some(NetworkUse { listen_overflows: 1, sent_segments: 90_000, ..NetworkUse::default() }),
        messages_lost: 0,
    }
}

fn analysis_of(requests: &RequestAnalysis) -> Analysis {
    let profile = profile("nginx", CLEAN);
    analysis::analyze(&Evidence::of_cpu(&profile).with_requests(Some(requests), None))
}

#[test]
fn a_proxy_with_which_nothing_is_wrong_gets_no_advice_and_its_requests_are_told() {
    let seen = analysis_of(&clean());
    assert_eq!(seen.advice, [], "{}", text(&seen));
    let text = text(&seen);
    for part in [
        "requests: 10000, 1000.0 a second, 19.1 MiB sent",
        "connecting",
        "33.3 each",
        "90.00",
        "GET /items/{n}",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let per_request = seen.cpu.and_then(|cpu| cpu.ns_per_request);
    assert_eq!(per_request, Some(722_000.0), "7.22 s of CPU time for 10,000 requests");
    let mut page = Vec::new();
    analysis::write_html(&analysis_of(&clean()), &mut page).expect("writes");
    let page = String::from_utf8(page).expect("is text");
    assert!(page.contains("<h2>Requests</h2>") && !page.contains("<script"), "{page}");
}

/// What is wrong, how that is seen, and of the advice the group, what is gained, from how much to how much, and the directive.
type Case = (&'static str, fn(&mut RequestAnalysis), Group, Resource, [f64; 2], &'static str);

#[test]
fn each_planted_fault_is_the_only_one_named_with_what_it_costs() {
    let cases: [Case; 5] = [
        (
            "connections to others are closed after each request",
            |it| {
                it.upstream.connections = 5_000;
                it.upstream.requests_per_connection = 1.0;
                it.upstream.connect = times(5_000, MS);
            },
            Group::Upstream,
            Resource::RequestTime,
            // Five seconds of fifty, or the shortest of these times for each.
            [5.0, 10.0],
            "keepalive 32;",
        ),
        (
            "nothing is compressed",
            |it| {
                it.writes.uncompressed = 3_000;
                it.writes.uncompressed_bytes = 9_000_000;
            },
            Group::Compression,
            Resource::BytesSent,
            [0.0, 45.0],
            "gzip on;",
        ),
        (
            "the cache is bypassed",
            |it| {
                it.upstream.repeated = 4_000;
                it.upstream.repeated_ns = 4_000 * 8 * MS;
            },
            Group::Caching,
            Resource::RequestTime,
            // Of 4,000, 40 paths in 10 seconds are 400.
            [57.6, 64.0],
            "proxy_cache z;",
        ),
        (
            "small writes wait",
            |it| {
                it.writes.delayed_connections = 8;
                it.writes.delayed_answers = 10_000;
                it.writes.delayed_with_small = 1_200;
                it.writes.held_back = 1_000;
                it.writes.held_back_ns = 1_000 * 42 * MS;
                it.writes.other_pauses = 8_000;
                it.writes.other_pauses_ns = 8_000 * 4 * MS;
            },
            Group::SmallWrites,
            Resource::RequestTime,
            // 38 s or 42 s more in 50 s.
            [43.18, 45.65],
            "tcp_nodelay on;",
        ),
        (
            "the accept queue is short",
            |it| {
                it.network = Some(NetworkUse { listen_overflows: 50, ..NetworkUse::default() });
            },
            Group::AcceptQueue,
            Resource::RequestTime,
            [16.67, 50.0],
            "backlog=4096",
        ),
    ];
    for (fault, plant, group, of, [low, high], directive) in cases {
        let mut requests = clean();
        plant(&mut requests);
        let seen = analysis_of(&requests);
        let [only] = seen.advice.as_slice() else { panic!("{fault}: {}", text(&seen)) };
        assert_eq!((only.group, only.gain.of), (group, of), "{fault}: {only:#?}");
        assert!(only.directive.as_ref().is_some_and(|it| it.contains(directive)), "{fault}: {only:#?}");
        let gain = [only.gain.percent_low, only.gain.percent_high];
        assert!((gain[0] - low).abs() < 0.01 && (gain[1] - high).abs() < 0.01, "{fault}: {only:#?}");
        assert!(
            seen.bottlenecks.iter().any(|it| it.group == group && it.weight_percent > 0.0),
            "{}",
            text(&seen)
        );
    }
}

#[test]
fn of_few_requests_and_of_many_that_were_lost_nothing_is_advised() {
    let mut few = clean();
    few.upstream.requests_per_connection = 1.0;
    few.upstream.connections = 50;
    assert_eq!(analysis_of(&few).advice, []);
    let mut lost = clean();
    lost.writes.uncompressed = 3_000;
    lost.messages_lost = 2_000;
    let seen = analysis_of(&lost);
    assert_eq!(seen.advice, []);
    assert!(
        seen.notes.iter().any(|note| note.contains("2000 messages of requests were lost")),
        "{:?}",
        seen.notes
    );
}

#[test]
fn small_writes_that_are_not_seen_to_wait_count_only_for_who_sets_it_on_each_connection() {
    let mut requests = clean();
    requests.writes.delayed_connections = 8;
    requests.writes.delayed_answers = 10_000;
    requests.writes.delayed_with_small = 1_200;
    let seen = analysis_of(&requests);
    assert_eq!(seen.proxy, Some(Proxy::Nginx));
    let [only] = seen.advice.as_slice() else { panic!("{}", text(&seen)) };
    assert_eq!((only.group, only.weight_percent, only.gain.percent_low), (Group::SmallWrites, 1.0, 0.0));
    // Clients that take as long after any answer wait for nothing.
    requests.writes.held_back = 1_000;
    requests.writes.held_back_ns = 1_000 * 42 * MS;
    requests.writes.other_pauses = 8_000;
    requests.writes.other_pauses_ns = 8_000 * 41 * MS;
    let seen = analysis_of(&requests);
    assert_eq!(seen.advice.first().map(|it| it.weight_percent), Some(1.0), "{}", text(&seen));
    let other = profile("postgres", &[("postgres:main", 1000)]);
    let seen = analysis::analyze(&Evidence::of_cpu(&other).with_requests(Some(&requests), None));
    assert_eq!(seen.advice, [], "it may have it from the socket that listens: {}", text(&seen));
}

#[test]
fn requests_alone_are_told_and_advised_on_too() {
    let mut requests = clean();
    requests.connections.unseen = 2;
    requests.upstream.repeated = 4_900;
    requests.upstream.repeated_ns = 4_900 * 8 * MS;
    let seen = analysis::analyze(&Evidence::default().with_requests(Some(&requests), None));
    assert_eq!((seen.duration_ns, seen.proxy), (10_000 * MS, None));
    let [only] = seen.advice.as_slice() else { panic!("{}", text(&seen)) };
    assert_eq!((only.group, &only.directive), (Group::Caching, &None), "{only:#?}");
    assert!(seen.notes.iter().any(|note| note.contains("2 connections speak TLS")), "{:?}", seen.notes);
    let none = RequestAnalysis::default();
    let seen = analysis::analyze(&Evidence::default().with_requests(Some(&none), None));
    assert!(text(&seen).contains("no request was seen"), "{}", text(&seen));
}
