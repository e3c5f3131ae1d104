//! Messages as the kernel side tells of them, in the orders of real proxies and in any.

use abi::request::{
    MESSAGE_CLOSED, MESSAGE_END, MESSAGE_FOREIGN, MESSAGE_HEAD, MESSAGE_NO_DELAY, MESSAGE_OPENED,
    MESSAGE_RESPONSE, MESSAGE_UPSTREAM, Message,
};
use proptest::prelude::{any, prop, prop_assert, proptest};

use super::{Report, Requests};
use crate::decode::MessageEvent;

pub(super) const UP: u32 = MESSAGE_UPSTREAM;
pub(super) const ASKS: u32 = MESSAGE_HEAD | MESSAGE_END;
pub(super) const ANSWERS: u32 = MESSAGE_HEAD | MESSAGE_END | MESSAGE_RESPONSE;

/// Connection, flags, time, path.
pub(super) type Told<'a> = (u64, u32, u64, &'a str);

pub(super) fn event((connection, flags, time_ns, path): Told<'_>) -> MessageEvent {
    let path_hash = path.bytes().fold(7, |hash: u64, byte| hash.wrapping_mul(31) ^ u64::from(byte));
    let crosses = flags & (MESSAGE_UPSTREAM | MESSAGE_RESPONSE) == 0;
    let message = Message {
        flags,
        time_ns,
        connection,
        tgid: 1,
        tid: 1,
        n_bytes: 100,
        path_hash,
        n_calls: 1,
        status: if flags & MESSAGE_RESPONSE != 0 { 200 } else { 0 },
        method: 1,
        ..Message::default()
    };
    MessageEvent { message, path: if crosses { path.into() } else { Vec::new() } }
}

fn report(all: &[Told<'_>]) -> Report {
    let mut requests = Requests::default();
    all.iter().for_each(|told| requests.apply(&event(*told)));
    requests.report(1_000_000_000)
}

#[test]
fn a_request_that_is_passed_on_has_all_its_times() {
    let found = report(&[
        (1, MESSAGE_OPENED, 1, ""),
        (1, ASKS, 100, "/a/7"),
        (2, MESSAGE_OPENED | UP, 110, ""),
        (2, ASKS | UP, 150, "/a/7"),
        (2, MESSAGE_HEAD | MESSAGE_RESPONSE | UP, 300, ""),
        (1, MESSAGE_HEAD | MESSAGE_RESPONSE, 310, ""),
        (2, MESSAGE_END | MESSAGE_RESPONSE | UP, 400, ""),
        (1, MESSAGE_END | MESSAGE_RESPONSE, 420, ""),
        (1, MESSAGE_CLOSED, 500, ""),
    ]);
    let [row] = &found.rows[..] else { panic!("{found:#?}") };
    assert_eq!((row.method.as_str(), row.route.as_str(), row.status), ("GET", "/a/{n}", 200));
    let times = [row.total, row.first_byte, row.upstream, row.queue].map(|times| times.median_ns);
    assert_eq!((times, row.without_upstream), ([320, 210, 250, 50], 0), "{found:#?}");
    assert_eq!((found.upstream.requests, found.upstream.connections, found.upstream.unowned), (1, 1, 0));
    assert_eq!(found.losses, super::Losses::default());
}

#[test]
fn who_asks_for_the_same_path_is_who_it_is_for() {
    // Two requests are read before either is passed on, as HAProxy does, and another path is asked for last.
    let found = report(&[
        (1, ASKS, 100, "/a"),
        (2, ASKS, 110, "/b"),
        (3, ASKS, 120, "/c"),
        (9, ASKS | UP, 130, "/a"),
        (8, ASKS | UP, 140, "/b"),
        (8, ANSWERS | UP, 150, ""),
        (2, ANSWERS, 160, ""),
        (9, ANSWERS | UP, 230, ""),
        (1, ANSWERS, 240, ""),
        (3, ANSWERS, 250, ""),
    ]);
    let of = |route: &str| {
        let row = found.rows.iter().find(|row| row.route == route).unwrap_or_else(|| panic!("{found:#?}"));
        (row.upstream.max_ns, row.without_upstream)
    };
    assert_eq!([of("/a"), of("/b"), of("/c")], [(100, 0), (10, 0), (0, 1)]);
    assert!((found.upstream.served_alone_percent - 100.0 / 3.0).abs() < 0.01, "{found:#?}");
}

#[test]
fn another_path_is_for_whom_its_connection_was_opened_or_the_last_that_was_read() {
    let found = report(&[
        (1, ASKS, 100, "/x"),
        (7, MESSAGE_OPENED | UP, 101, ""),
        (2, ASKS, 110, "/y"),
        (7, ASKS | UP, 120, "/inner/x"),
        (6, ASKS | UP, 121, "/inner/y"),
        (7, ANSWERS | UP, 220, ""),
        (1, ANSWERS, 230, ""),
        (6, ANSWERS | UP, 321, ""),
        (2, ANSWERS, 330, ""),
    ]);
    assert_eq!(
        found.rows.iter().map(|row| row.upstream.max_ns).collect::<Vec<_>>(),
        [100, 200],
        "{found:#?}"
    );
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let found =
        report(&[(1, ASKS, 100, "/1"), (1, ASKS, 100, "/two"), (1, ANSWERS, 150, ""), (1, ANSWERS, 190, "")]);
    let times: Vec<_> = found.rows.iter().map(|row| (row.route.as_str(), row.total.max_ns)).collect();
    assert_eq!(times, [("/two", 90), ("/{n}", 50)], "{found:#?}");
}

#[test]
fn what_is_asked_for_twice_at_once_is_counted() {
    let found = report(&[
        (1, ASKS, 100, "/a"),
        (2, ASKS, 100, "/a"),
        (8, ASKS | UP, 110, "/a"),
        (9, ASKS | UP, 120, "/a"),
        (8, ANSWERS | UP, 130, ""),
        (9, ANSWERS | UP, 140, ""),
        (8, ASKS | UP, 150, "/a"),
    ]);
    assert_eq!((found.upstream.doubled, found.upstream.requests), (1, 3), "{found:#?}");
}

#[test]
fn an_answer_that_is_seen_before_what_it_answers_is_matched() {
    let found = report(&[
        (1, ASKS, 100, "/a"),
        (9, MESSAGE_OPENED | UP, 110, ""),
        (9, ANSWERS | UP, 120, ""),
        (9, ASKS | UP, 121, "/a"),
        (1, ANSWERS, 130, ""),
    ]);
    assert_eq!((found.rows[0].upstream.count, found.losses.responses_alone), (1, 0), "{found:#?}");
}

#[test]
fn what_is_missing_is_counted() {
    let found = report(&[
        (1, ANSWERS, 50, ""),
        (1, ASKS, 100, "/a"),
        (1, MESSAGE_CLOSED, 110, ""),
        (2, ASKS, 100, "/b"),
        (3, ASKS, 100, "/c"),
        (3, MESSAGE_HEAD | MESSAGE_RESPONSE, 110, ""),
        (3, ASKS, 120, "/c"),
        (3, ANSWERS, 130, ""),
        (4, MESSAGE_FOREIGN | MESSAGE_OPENED, 140, ""),
    ]);
    let losses = found.losses;
    assert_eq!((losses.responses_alone, losses.unanswered, losses.unfinished), (1, 1, 1), "{losses:?}");
    assert_eq!((losses.ends_missing, found.requests), (1, 1), "{losses:?}");
}

#[test]
fn routes_without_room_are_one() {
    let mut requests = Requests::default();
    for i in 0..700_u64 {
        let path = format!(
            "/{}",
            i.to_string().replace(|c: char| c.is_ascii_digit(), "x") + &"y".repeat(i as usize)
        );
        requests.apply(&event((1, ASKS, i * 10, &path)));
        requests.apply(&event((1, ANSWERS, i * 10 + 5, "")));
    }
    let found = requests.report(1);
    let other = found.rows.iter().find(|row| row.route == "other").unwrap_or_else(|| panic!("no row"));
    assert_eq!((found.requests, other.count, found.losses.routes_full), (700, 200, 200));
    assert_eq!(found.rows.iter().map(|row| row.count).sum::<u64>(), 700);
}

#[test]
fn the_text_has_a_line_for_each_row_and_one_for_all() {
    let found = report(&[(1, ASKS, 100, "/a"), (1, ANSWERS, 1_500_100, "")]);
    let mut text = Vec::new();
    super::write_text(&found, &mut text).expect("written");
    let text = String::from_utf8(text).expect("text");
    assert!(text.contains("1.500") && text.contains("  GET /a 200\n") && text.contains("  all\n"), "{text}");
}

/// An answer in two writes, the last of them small.
fn small_writes(connection: u64, time_ns: u64, flags: u32) -> MessageEvent {
    let mut told = event((connection, ANSWERS | flags, time_ns, ""));
    (told.message.n_calls, told.message.n_small) = (2, 1);
    told
}

#[test]
fn an_answer_whose_end_is_held_back_is_seen_by_when_the_next_request_comes() {
    const MS: u64 = 1_000_000;
    let of = |flags: u32, pause_ns: u64| {
        let mut requests = Requests::default();
        requests.apply(&event((1, MESSAGE_OPENED, 1, "")));
        for i in 0..3 {
            let at_ns = 10 * MS + i * (MS + pause_ns);
            requests.apply(&event((1, ASKS, at_ns, "/a")));
            requests.apply(&small_writes(1, at_ns + MS, flags));
        }
        let last_ns = 10 * MS + 3 * (MS + pause_ns);
        for at_ns in [last_ns + MS, last_ns + 3 * MS] {
            requests.apply(&event((1, ASKS, at_ns, "/b")));
            requests.apply(&event((1, ANSWERS, at_ns + MS, "")));
        }
        let found = requests.report(1_000_000_000);
        let it = found.avoidable;
        let others = (it.other_pauses, it.other_pauses_ns);
        (found.connections.n_delayed, it.delayed_with_small, (it.held_back, it.held_back_ns), others)
    };
    assert_eq!(of(0, 40 * MS), (1, 3, (3, 121 * MS), (1, MS)));
    assert_eq!(of(0, MS), (1, 3, (0, 0), (1, MS)), "nobody waited");
    assert_eq!(of(0, 500 * MS), (1, 3, (0, 0), (1, MS)), "somebody thought");
    assert_eq!(of(MESSAGE_NO_DELAY, 40 * MS), (0, 0, (0, 0), (0, 0)), "it was sent at once");
}

#[test]
fn what_others_are_asked_for_again_and_answer_as_before_is_counted_with_its_time() {
    let ask = |at_ns: u64, path| [(9, ASKS | UP, at_ns, path), (9, ANSWERS | UP, at_ns + 10, "")];
    let told: Vec<Told<'_>> =
        [ask(100, "/a"), ask(200, "/a"), ask(300, "/b"), ask(400, "/a")].into_iter().flatten().collect();
    let it = report(&told).avoidable;
    assert_eq!((it.gets, it.repeated, it.repeated_paths, it.repeated_ns), (4, 2, 1, 20), "{it:?}");
    // Another size is another answer.
    let mut requests = Requests::default();
    for (i, n_bytes) in [100, 200, 200].into_iter().enumerate() {
        let at_ns = 100 * i as u64;
        requests.apply(&event((9, ASKS | UP, at_ns, "/a")));
        let mut answer = event((9, ANSWERS | UP, at_ns + 10, ""));
        answer.message.n_bytes = n_bytes;
        requests.apply(&answer);
    }
    assert_eq!(requests.report(1).avoidable.repeated, 1);
}

#[test]
fn a_request_waits_for_a_connection_that_is_opened_for_it_and_not_for_one_opened_ahead() {
    let found = report(&[
        (7, MESSAGE_OPENED | UP, 10, ""),
        (1, ASKS, 100, "/a"),
        (7, ASKS | UP, 105, "/a"),
        (2, ASKS, 200, "/b"),
        (8, MESSAGE_OPENED | UP, 210, ""),
        (8, ASKS | UP, 250, "/b"),
        (8, ANSWERS | UP, 300, ""),
        (3, ASKS, 400, "/b"),
        (8, ASKS | UP, 420, "/b"),
    ]);
    let it = found.avoidable.connect;
    assert_eq!((it.count, it.min_ns, it.max_ns), (2, 5, 40), "{found:#?}");
}

proptest! {
    /// Every request is in one place: answered, lost in a way that has a name, or under way.
    #[test]
    fn whatever_comes_every_request_is_accounted_for(
        all in prop::collection::vec((0_u64..6, any::<u32>(), 0_u8..4), 0..400)
    ) {
        let mut requests = Requests::default();
        let mut n_asked = 0;
        for (i, (connection, flags, path)) in all.iter().enumerate() {
            // One connection has one role.
            let role = if connection % 2 == 0 { UP } else { 0 };
            let flags = flags & 0x77f & !MESSAGE_UPSTREAM | role;
            let is_over = flags & (MESSAGE_CLOSED | MESSAGE_FOREIGN) != 0;
            let is_request = flags & MESSAGE_HEAD != 0 && flags & MESSAGE_RESPONSE == 0;
            n_asked += u64::from(role == 0 && is_request && !is_over);
            requests.apply(&event((*connection, flags, i as u64, ["/a", "/b", "/c", ""][usize::from(*path)])));
        }
        let found = requests.report(1);
        let losses = found.losses;
        let sum = found.requests + losses.unanswered + losses.unfinished + losses.ends_missing + losses.requests_full;
        prop_assert!(sum == n_asked, "{n_asked}: {found:#?}");
        prop_assert!(found.rows.iter().map(|row| row.count).sum::<u64>() == found.requests);
    }
}
