//! What keys do, and what is drawn, without a terminal.

mod routes;

use profile::{Frame, KERNEL_MAPPING, Mapping, Meta, Profile, ValueType};
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
};

use super::{Action, LoopRow, Memory, State, Tick, Update, batch, flame, rows::Sort, state::View, view};

/// A second of a server: stacks root first, with milliseconds.
fn profile(stacks: &[(&[&str], i64)]) -> Profile {
    let meta = Meta { duration_ns: 1_000_000_000, ..Meta::default() };
    let mut profile = Profile::new(ValueType::CPU, meta);
    let process = profile.process(4711, "nginx");
    let thread = profile.thread(process, 4712, "worker");
    for (names, ms) in stacks {
        let frames: Vec<_> = names
            .iter()
            .map(|name| {
                let is_kernel = name.ends_with("_k");
                let (path, function) =
                    (profile.intern(if is_kernel { KERNEL_MAPPING } else { "nginx" }), profile.intern(name));
                let mapping = profile.mapping(Mapping::file(path, None));
                let frame = if is_kernel { Frame::kernel(mapping, 1) } else { Frame::native(mapping, 1) };
                profile.frame(frame.named(function))
            })
            .collect();
        let stack = profile.stack(frames);
        profile.add(stack, thread, &[*ms, ms * 1_000_000]).expect("has two values");
    }
    profile
}

fn tick(stacks: &[(&[&str], i64)]) -> Update {
    let row = LoopRow {
        pid: 4711,
        tid: 4712,
        name: "worker".to_owned(),
        busy_percent: 42.0,
        stalls: 3,
        ..LoopRow::default()
    };
    Update::Tick(Box::new(Tick { profile: profile(stacks), loops: vec![row], routes: None, n_lost: 0 }))
}

const STACKS: &[(&[&str], i64)] =
    &[(&["main", "serve", "send_k"], 300), (&["main", "serve", "gzip"], 500), (&["main", "parse"], 100)];

fn state() -> State {
    let mut state = State::new("pid 4711".to_owned());
    state.update(tick(STACKS));
    for second in 0..30 {
        state.update(Update::Memory(Memory {
            time_ns: second * 1_000_000_000,
            resident_bytes: (20 + second) << 20,
            private_bytes: (10 + second) << 20,
            n_processes: 2,
        }));
    }
    state
}

fn press(state: &mut State, code: KeyCode) -> Option<Action> {
    state.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn screen(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| view::draw(frame, state)).expect("draws");
    terminal.backend().to_string()
}

fn names(state: &State) -> Vec<String> {
    state.rows().into_iter().map(|row| row.name).collect()
}

#[test]
fn rows_are_sorted_and_filtered_by_keys() {
    let mut state = state();
    assert_eq!(names(&state), ["gzip", "send_k", "parse", "main", "serve"]);
    press(&mut state, KeyCode::Char('o'));
    assert_eq!((state.sort, names(&state)[0].clone()), (Sort::TotalTime, "main".to_owned()));
    for c in "/SEr".chars() {
        press(&mut state, KeyCode::Char(c));
    }
    assert_eq!((state.is_typing, names(&state)), (true, vec!["serve".to_owned()]));
    assert!(screen(&state, 80, 24).contains("/SEr_"), "{}", screen(&state, 80, 24));
    press(&mut state, KeyCode::Enter);
    assert_eq!(press(&mut state, KeyCode::Char('q')), Some(Action::Quit), "keys are keys again");
    press(&mut state, KeyCode::Esc);
    assert_eq!(names(&state).len(), 5, "no filter is left");
}

#[test]
fn what_is_paused_stays_and_goes_on_with_what_comes_next() {
    let mut state = state();
    press(&mut state, KeyCode::Char(' '));
    let new: &[(&[&str], i64)] = &[(&["main", "new"], 900)];
    state.update(tick(new));
    assert!(!names(&state).contains(&"new".to_owned()), "{:?}", names(&state));
    assert!(screen(&state, 80, 24).contains("paused"));
    press(&mut state, KeyCode::Char('p'));
    state.update(tick(new));
    assert_eq!(names(&state)[0], "new");
    assert!((state.cpu_percent() - 90.0).abs() < 0.1, "two seconds: {}", state.cpu_percent());
    press(&mut state, KeyCode::Char('w'));
    assert_eq!(names(&state), ["new", "main"], "of the last second only");
}

#[test]
fn every_view_is_drawn_at_any_size() {
    let mut state = state();
    for (key, expected) in [
        ('1', "gzip"),
        ('2', "4712 worker"),
        ('3', "42.00"),
        ('4', "increasing by 1.00 MiB/s"),
        ('5', "serve 88.9 %"),
    ] {
        press(&mut state, KeyCode::Char(key));
        let drawn = screen(&state, 80, 24);
        assert!(drawn.contains(expected), "{key}: {drawn}");
        assert!(drawn.contains("CPU 90.0 %") && drawn.contains("resident 49.0 MiB"), "{drawn}");
        // Nothing is asked but that it does not fail.
        for (width, height) in [(1, 1), (10, 3), (79, 5), (200, 60)] {
            let _ = screen(&state, width, height);
        }
    }
    press(&mut state, KeyCode::Char('?'));
    assert!(screen(&state, 80, 24).contains("go tool pprof"));
    let empty = State::new("pid 1".to_owned());
    assert!(screen(&empty, 80, 24).contains("sampling ..."));
}

#[test]
fn a_marked_function_is_the_root_of_the_flamegraph_until_escape() {
    let mut state = state();
    press(&mut state, KeyCode::Char('o'));
    press(&mut state, KeyCode::Down);
    press(&mut state, KeyCode::Enter);
    assert_eq!((state.view, state.focus.as_deref()), (View::Flame, Some("serve")));
    let lines = flame::draw(state.shown().expect("a profile"), state.focus.as_deref(), 80);
    let cells: Vec<(&str, usize, usize)> =
        lines.iter().flatten().map(|cell| (cell.name.as_str(), cell.column, cell.width)).collect();
    assert_eq!(cells, [("serve", 0, 80), ("gzip", 0, 50), ("send_k", 50, 30)]);
    press(&mut state, KeyCode::Esc);
    let lines = flame::draw(state.shown().expect("a profile"), state.focus.as_deref(), 90);
    assert_eq!(lines[0][0].name, "main");
}

#[test]
fn marks_stay_inside_and_what_is_to_be_done_outside_is_said() {
    let mut state = state();
    for _ in 0..20 {
        press(&mut state, KeyCode::PageDown);
    }
    assert_eq!(state.selected, 4);
    press(&mut state, KeyCode::Tab);
    assert_eq!((state.view, state.selected), (View::Threads, 0));
    press(&mut state, KeyCode::BackTab);
    assert_eq!(state.view, View::Functions);
    assert_eq!(press(&mut state, KeyCode::Char('s')), Some(Action::Save));
    assert_eq!(state.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Action::Quit));
    state.update(Update::Ended(None));
    assert!(screen(&state, 80, 24).contains("every process has ended"));
}

#[test]
fn a_batch_has_functions_threads_loops_and_memory() {
    let mut text = Vec::new();
    batch::write(&state(), 2, &mut text).expect("writes");
    let text = String::from_utf8(text).expect("is text");
    for expected in
        ["CPU 90.0 %, 900 samples in 1.0 s", "gzip  nginx", "4712 worker", "42.00", "private 39.0 MiB"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert!(!text.contains("parse"), "two functions were asked for: {text}");
    let mut hostile = State::new("x\x1b[2J".to_owned());
    hostile.update(tick(&[(&["a\x1b[0m\n"], 5)]));
    let mut text = Vec::new();
    batch::write(&hostile, 5, &mut text).expect("writes");
    assert!(!text.contains(&0x1b), "{}", String::from_utf8_lossy(&text));
    assert!(!screen(&hostile, 80, 24).contains('\x1b'));
}
