//! Samples that come between messages, in the orders of real proxies.

use std::collections::HashMap;

use abi::{
    event::Event,
    request::{MESSAGE_CLOSED, MESSAGE_END, MESSAGE_HEAD, MESSAGE_OPENED, MESSAGE_RESPONSE},
    sample::{KIND_SAMPLE, NO_STACK, Sample},
};
use profile::{Meta, encode::folded};

use super::MAX_ROUTES;
use crate::{
    aggregate::{Aggregate, Key},
    assemble::{self, Collected},
    estimate::Estimate,
    kernel::{self, Source},
    process::{ImageId, Interest, Processes, Snapshot},
    requests::{
        Requests,
        tests::{ANSWERS, ASKS, Told, UP, event},
    },
    symbolize::{self, Symbolizer},
};

/// Takes in messages; gives the route that a connection serves after each.
fn routes(connection: u64, all: &[Told<'_>]) -> Vec<String> {
    let mut requests = Requests::joined();
    all.iter()
        .map(|told| {
            requests.apply(&event(*told));
            let whose = requests.serving(connection);
            let name = whose.and_then(|whose| requests.routes().get(whose.route as usize));
            name.map(ToString::to_string).unwrap_or_default()
        })
        .collect()
}

#[test]
fn a_thread_is_busy_with_the_oldest_request_that_is_not_answered_and_then_with_the_last_that_was() {
    let found = routes(
        1,
        &[
            (1, MESSAGE_OPENED, 1, ""),
            (1, ASKS, 10, "/a/1"),
            (1, ASKS, 10, "/b"),
            (1, ANSWERS, 20, ""),
            (1, ANSWERS, 30, ""),
            (1, ASKS, 40, "/c"),
            (1, MESSAGE_CLOSED, 50, ""),
        ],
    );
    assert_eq!(found, ["", "GET /a/{n}", "GET /a/{n}", "GET /b", "GET /b", "GET /c", "GET /c"]);
}

#[test]
fn who_reads_from_a_connection_to_others_is_busy_with_the_request_that_it_was_asked_for() {
    let found = routes(
        9,
        &[
            (1, ASKS, 10, "/a"),
            (2, ASKS, 11, "/b"),
            (9, MESSAGE_OPENED | UP, 12, ""),
            (9, ASKS | UP, 13, "/a"),
            (9, ANSWERS | UP, 20, ""),
            (9, ASKS | UP, 30, "/b"),
            (9, MESSAGE_HEAD | MESSAGE_RESPONSE | UP, 31, ""),
            (9, MESSAGE_END | MESSAGE_RESPONSE | UP, 32, ""),
            // The answer is compressed, and written, after the connection that it came from is closed.
            (9, MESSAGE_CLOSED | UP, 33, ""),
        ],
    );
    assert_eq!(found, ["", "", "", "GET /a", "GET /a", "GET /b", "GET /b", "GET /b", "GET /b"]);
}

#[test]
fn nothing_is_kept_where_samples_do_not_ask() {
    let mut requests = Requests::default();
    requests.apply(&event((1, ASKS, 10, "/a")));
    assert_eq!((requests.serving(1), requests.routes().len(), requests.are_joined()), (None, 0, false));
}

#[test]
fn routes_without_room_are_other() {
    let mut requests = Requests::joined();
    for i in 0..2 * MAX_ROUTES as u64 {
        let path = format!("/{}", "y".repeat(i as usize));
        requests.apply(&event((i, ASKS, i, &path)));
    }
    assert_eq!(requests.routes().len(), MAX_ROUTES + 1);
    let name =
        |connection| requests.serving(connection).map(|it| requests.routes()[it.route as usize].to_string());
    assert_eq!((name(1).as_deref(), name(900).as_deref()), (Some("GET /y"), Some("other")));
}

/// Of a thread and a stack.
fn key(event: Event, user: u32) -> Key {
    Key { event, image: ImageId::default(), tid: 1, user: Some(user), kernel: None, waker: None, route: None }
}

#[test]
fn the_slowest_keep_the_stacks_that_were_seen_while_they_ran_and_right_after() {
    let mut requests = Requests::joined();
    for i in 0..20_u64 {
        let (connection, took_ns) = (i, 100 + i);
        requests.apply(&event((connection, ASKS, 1000 * i, &format!("/{i}"))));
        let whose = requests.serving(connection).expect("one is under way");
        requests.seen(whose, key(Event::CPU, i as u32), 1);
        requests.seen(whose, key(Event::CPU, i as u32), 1);
        requests.apply(&event((connection, ANSWERS, 1000 * i + took_ns, "")));
        let whose = requests.serving(connection).expect("one was answered");
        requests.seen(whose, key(Event::BLOCKED, i as u32), 50);
    }
    let slowest = requests.slowest();
    let times: Vec<u64> = slowest.iter().map(|slow| slow.total_ns).collect();
    assert_eq!(times, (110..120).rev().collect::<Vec<_>>());
    assert_eq!((slowest[0].path.as_str(), slowest[0].route.as_str()), ("/19", "/{n}"));
    let seen: Vec<_> = slowest[0].seen.iter().map(|it| (it.key.event, it.n_samples, it.off_cpu_ns)).collect();
    assert_eq!(seen, [(Event::CPU, 2, 0), (Event::BLOCKED, 1, 50)]);
    assert_eq!(slowest[0].seen[0].key.user, Some(19));
    let named = |index: usize| slowest[0].seen[index].named(vec!["main".into()], 1000);
    assert_eq!((named(0).kind, named(0).ns, named(1).kind, named(1).ns), ("cpu", 2000, "blocked", 50));
}

/// The folded form of a profile of one process, nginx, of ID 1: of samples without stacks, by route, or of requests.
fn folded(source: Source, routes: &[Option<u32>], requests: &Requests) -> String {
    let mut processes = Processes::new(Interest::default());
    let snapshot = Snapshot { pid: 1, name: "nginx".into(), ..Snapshot::default() };
    let image_id = processes.insert(snapshot, 0, &mut Vec::new());
    let mappings = &processes.image(image_id).expect("inserted").mappings;
    let mut aggregate = Aggregate::default();
    for route in routes {
        let sample = Sample {
            kind: KIND_SAMPLE,
            cpu: 0,
            event: Event::CPU,
            time_ns: 9,
            tgid: 1,
            tid: 1,
            user_stack: NO_STACK,
            kernel_stack: NO_STACK,
            weight: 1,
            context: 0,
        };
        aggregate.add(&sample, *route, Estimate::whole(1), image_id, mappings, processes.files());
    }
    let report = requests.report(1);
    let collected = Collected {
        source,
        aggregate: &aggregate,
        processes: &processes,
        objects: &HashMap::new(),
        functions: &HashMap::new(),
        jit: &HashMap::new(),
        probed: &[],
        heap: None,
        threads: None,
        routes: Some(requests.routes()),
        requests: Some(&report),
        end_ns: 10,
    };
    let mut symbolizer = Symbolizer::new(symbolize::Options::default(), None);
    let profile = assemble::profile(collected, &mut symbolizer, Meta::default());
    let mut text = Vec::new();
    folded::write(&profile, &mut text).expect("written");
    String::from_utf8(text).expect("text")
}

#[test]
fn each_stack_begins_with_the_route_that_it_was_sampled_for() {
    let mut requests = Requests::joined();
    requests.apply(&event((1, ASKS, 10, "/a/1")));
    requests.apply(&event((2, ASKS, 11, "/b")));
    let found = folded(Source::Cpu { frequency_hz: 99 }, &[Some(0), Some(1), None, Some(0)], &requests);
    assert_eq!(found, "nginx;GET /a/{n} 2\nnginx;GET /b 1\nnginx;[no request] 1\n");
}

#[test]
fn the_profile_of_requests_has_their_time_by_process_route_and_status() {
    let mut requests = Requests::default();
    for (path, took_ns) in [("/a/1", 30), ("/b", 5), ("/a/2", 70)] {
        requests.apply(&event((1, ASKS, 100, path)));
        requests.apply(&event((1, ANSWERS, 100 + took_ns, "")));
    }
    let found = folded(Source::Requests(kernel::Requests::default()), &[], &requests);
    assert_eq!(found, "nginx;GET /a/{n};200 GET /a/{n} 100\nnginx;GET /b;200 GET /b 5\n");
}

#[test]
fn stacks_that_have_no_room_with_their_request_are_counted() {
    let mut requests = Requests::joined();
    requests.apply(&event((1, ASKS, 1000, "/")));
    let whose = requests.serving(1).expect("one is under way");
    for user in 0..70 {
        requests.seen(whose, key(Event::CPU, user), 1);
    }
    // 64 are kept.
    assert_eq!(requests.losses.stacks_full, 6);
}
