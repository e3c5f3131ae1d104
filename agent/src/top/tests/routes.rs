//! The view of routes.

use abi::request::{MESSAGE_END, MESSAGE_HEAD, MESSAGE_RESPONSE, METHODS, Message};
use profile::{Meta, Profile};
use ratatui::crossterm::event::KeyCode;

use super::{STACKS, names, press, profile, screen};
use crate::{
    assemble,
    decode::MessageEvent,
    requests::Requests,
    top::{Action, RoutesTick, State, Tick, Update, batch, state::View},
};

const SECOND_NS: u64 = 1_000_000_000;

/// Path, status, how often, milliseconds.
type Answered<'a> = (&'a str, u16, usize, u64);

/// A second of them, of which `GET /users/{n}` took CPU time.
fn tick(answered: &[Answered<'_>]) -> Update {
    let mut requests = Requests::joined();
    let get = METHODS.iter().position(|method| *method == "GET").expect("there is GET");
    let asked = Message {
        flags: MESSAGE_HEAD | MESSAGE_END,
        connection: 1,
        tgid: 4711,
        time_ns: SECOND_NS,
        method: u8::try_from(get).expect("a small number"),
        ..Message::default()
    };
    // One is under way, and has no answer yet.
    let under_way = Message { connection: 2, ..asked };
    requests.apply(&MessageEvent { message: under_way, path: b"/users/0".to_vec() });
    for (path, status, n, ms) in answered {
        for _ in 0..*n {
            let answer = Message {
                flags: MESSAGE_HEAD | MESSAGE_END | MESSAGE_RESPONSE,
                time_ns: SECOND_NS + ms * 1_000_000,
                n_bytes: 1024,
                status: *status,
                ..asked
            };
            requests.apply(&MessageEvent { message: asked, path: path.as_bytes().to_vec() });
            requests.apply(&MessageEvent { message: answer, path: Vec::new() });
        }
    }
    // Whoever asks first has the first index.
    let mut window = requests.cut(SECOND_NS, &[], [(Some(0), 30_000_000), (None, 10_000_000)]);
    window.process_names.insert(4711, "nginx".to_owned());
    let meta = Meta { duration_ns: SECOND_NS, ..Meta::default() };
    let routes = RoutesTick {
        profile: assemble::served(&window, meta),
        window: window.routes,
        n_tls_unread: 3,
        remarks: vec!["7 messages were lost: the ring was full".to_owned()],
    };
    Update::Tick(Box::new(Tick {
        profile: profile(STACKS),
        loops: Vec::new(),
        routes: Some(routes),
        n_lost: 0,
    }))
}

const ANSWERED: &[Answered<'_>] =
    &[("/users/1", 200, 60, 10), ("/slow", 200, 5, 400), ("/broken", 503, 10, 2), ("/users/2", 500, 20, 30)];

fn state() -> State {
    let mut state = State::new("pid 4711".to_owned());
    state.update(tick(ANSWERED));
    press(&mut state, KeyCode::Char('6'));
    state
}

fn routes(state: &State) -> Vec<&str> {
    state.routes.rows(&state.filter).into_iter().map(|row| row.route.as_str()).collect()
}

#[test]
fn a_row_has_rate_times_errors_and_cpu_time_at_any_size() {
    let mut state = state();
    assert_eq!(state.view, View::Routes);
    let drawn = screen(&state, 160, 24);
    for expected in [
        "by rate",
        // 80 requests in a second: 15 ms in the mean, 20 of them failed, and 30 ms of CPU time are theirs.
        "    80.0    15.00    10.00    30.00    0.0   80.0 KiB  25.00      375  75.0     -     -  25.0 GET /users/{n}",
        "     5.0   400.00   400.00   400.00    0.0    5.0 KiB   0.00        0 100.0     -     -     - GET /slow",
        "95.0 requests/s   mean 33.89 ms",
        "75.0 % of CPU time",
        "3 connections speak TLS and were not read (--tls reads OpenSSL's); 7 messages were lost",
    ] {
        assert!(drawn.contains(expected), "{expected}: {drawn}");
    }
    let narrow = screen(&state, 80, 24);
    assert!(narrow.contains("    80.0    15.00    30.00    0.0  25.00      375 GET /users/{n}"), "{narrow}");
    let short = screen(&state, 80, 7);
    assert!(short.contains("GET /users/{n}") && !short.contains("requests/s"), "{short}");
    for (width, height) in [(1, 1), (10, 3), (20, 8), (79, 5), (300, 60)] {
        let _ = screen(&state, width, height);
    }
    press(&mut state, KeyCode::Char('1'));
    assert_eq!(names(&state)[0], "gzip", "the other views are as they were");
}

#[test]
fn keys_sort_filter_mark_and_pause_them() {
    let mut state = state();
    assert_eq!(routes(&state), ["GET /users/{n}", "GET /broken", "GET /slow"]);
    for (name, first) in
        [("p99", "GET /slow"), ("CPU", "GET /users/{n}"), ("5xx", "GET /broken"), ("name", "GET /broken")]
    {
        press(&mut state, KeyCode::Char('o'));
        assert_eq!((state.sort_name(), routes(&state)[0]), (name, first));
    }
    press(&mut state, KeyCode::PageDown);
    assert_eq!(state.selected, 2, "the last row");
    for c in "/USERS".chars() {
        press(&mut state, KeyCode::Char(c));
    }
    press(&mut state, KeyCode::Enter);
    assert_eq!(routes(&state), ["GET /users/{n}"]);
    press(&mut state, KeyCode::Char('p'));
    state.update(tick(&[("/users/3", 200, 1000, 1)]));
    assert_eq!(state.routes.rows("")[0].count, 10, "sorted by name, and paused: /broken");
    assert!(screen(&state, 80, 24).contains("paused"));
    press(&mut state, KeyCode::Char('p'));
    state.update(tick(&[("/users/3", 200, 120, 1)]));
    let rows = state.routes.rows(&state.filter);
    assert_eq!((rows[0].count, rows[0].per_second), (200, 100.0), "two windows");
    press(&mut state, KeyCode::Char('w'));
    assert_eq!(state.routes.rows(&state.filter)[0].per_second, 120.0, "the last one");
}

#[test]
fn what_is_saved_is_what_is_looked_at() {
    let mut state = state();
    assert_eq!(press(&mut state, KeyCode::Char('s')), Some(Action::Save));
    let kinds = |profile: &Profile| {
        profile.value_types().iter().map(|it| it.kind.to_string()).collect::<Vec<_>>().join(" ")
    };
    let saved = state.saved().expect("a profile");
    assert_eq!((kinds(saved), saved.total(1)), ("samples requests time".to_owned(), 95));
    let of_users = saved.samples().filter(|it| saved.route_of(it.stack) == Some("GET /users/{n}"));
    let n_of_users: i64 = of_users.map(|sample| sample.values[1]).sum();
    assert_eq!(n_of_users, 80);
    press(&mut state, KeyCode::Char('1'));
    assert_eq!(state.saved().map(kinds).as_deref(), Some("samples cpu"));
}

#[test]
fn a_target_without_requests_and_requests_that_are_not_followed_are_told_apart() {
    let mut state = State::new("pid 4711".to_owned());
    press(&mut state, KeyCode::Char('6'));
    assert!(screen(&state, 80, 24).contains("sampling ..."));
    state.update(super::tick(STACKS));
    assert!(screen(&state, 80, 24).contains("--no-requests"), "{}", screen(&state, 80, 24));
    state.update(tick(&[]));
    // What has no answer yet and took CPU time has a row as well.
    assert!(
        screen(&state, 80, 24).contains("     0.0     0.00     0.00    0.0   0.00        - GET /users/{n}")
    );
    press(&mut state, KeyCode::Char('/'));
    press(&mut state, KeyCode::Char('x'));
    assert!(screen(&state, 80, 24).contains("no HTTP/1 request was answered"), "{}", screen(&state, 80, 24));
}

#[test]
fn a_batch_has_the_routes() {
    let mut text = Vec::new();
    batch::write(&state(), 2, &mut text).expect("writes");
    let text = String::from_utf8(text).expect("is text");
    let rows: Vec<&str> = text.lines().skip_while(|line| !line.contains("requests/s")).collect();
    assert!(rows[1].ends_with("  route") && rows[2].ends_with("  GET /users/{n}"), "{text}");
    assert!(rows[2].trim_start().starts_with("80.0 "), "{text}");
    assert!(text.ends_with("7 messages were lost: the ring was full\n\n"), "{text}");
}
