//! Both sides of the socket, and what else may connect to it.

use std::{
    fs::{self, Permissions},
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::{
        fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    client::{self, ClientError},
    message::{Capture, Output, Progress, Refusal, RefusalKind, Request, Target},
    server::{Captured, ControlError, ControlServer, Handler, SocketError},
};
use crate::args::Format;

/// Nothing here takes as long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const FILE_BYTES: usize = 700_000;

/// Captures until it is told to go on, or nobody waits.
#[derive(Default)]
struct Daemon {
    may_finish: AtomicBool,
    n_capturing: AtomicUsize,
    n_left: AtomicUsize,
}

impl Handler for Daemon {
    fn capture(
        &self,
        capture: &Capture,
        progress: &mut dyn FnMut(&Progress) -> bool,
    ) -> Result<Captured, Refusal> {
        if capture.target == Target::Pid(1) {
            return Err(Refusal::new(RefusalKind::NotFound, "no process 1 here"));
        }
        self.n_capturing.fetch_add(1, Ordering::Relaxed);
        let mut told = Progress { stage: "recording".into(), ..Progress::default() };
        loop {
            told.n_samples += 1;
            let is_wanted = progress(&told);
            if !is_wanted {
                self.n_left.fetch_add(1, Ordering::Relaxed);
            }
            if !is_wanted || self.may_finish.load(Ordering::Relaxed) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.n_capturing.fetch_sub(1, Ordering::Relaxed);
        let file = (capture.output != Output::Sinks).then(|| vec![7; FILE_BYTES]);
        Ok(Captured { summary: json!({ "event": capture.event }), file })
    }

    fn status(&self) -> Result<Value, Refusal> {
        Ok(json!({ "version": "0" }))
    }

    fn reload(&self) -> Result<Value, Refusal> {
        Err(Refusal::new(RefusalKind::Failed, "line 3: no such key"))
    }

    fn flush(&self) -> Result<Value, Refusal> {
        Ok(json!({ "waiting": {} }))
    }
}

struct Fixture {
    dir: TempDir,
    daemon: Arc<Daemon>,
    server: ControlServer,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let daemon = Arc::new(Daemon::default());
        let server = ControlServer::start(&path(&dir), daemon.clone()).expect("starts");
        Self { dir, daemon, server }
    }

    fn ask(&self, request: &Request) -> Result<client::Done, ClientError> {
        client::ask(&path(&self.dir), request, |_| {})
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(path(&self.dir)).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream
    }

    /// What these bytes, and nothing after them, are answered with.
    fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        // It may answer, and close, before it has been told all.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// In a directory that is made with it.
fn path(dir: &TempDir) -> PathBuf {
    dir.path().join("run/control.sock")
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn capture(event: &str, output: Output) -> Request {
    let target = Target::Name("edge".into());
    Request::Capture(Capture { event: event.into(), duration_s: 1.0, target, output })
}

fn refusal(asked: Result<client::Done, ClientError>) -> Refusal {
    match asked {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_are_answered_and_the_socket_is_ours_alone() {
    let it = Fixture::new();
    let file = fs::metadata(path(&it.dir)).expect("a socket");
    assert!(file.file_type().is_socket() && file.permissions().mode() & 0o777 == 0o600, "{file:?}");
    let status = it.ask(&Request::Status {}).expect("a status");
    assert_eq!((status.summary, status.file.len()), (json!({ "version": "0" }), 0));
    assert_eq!(it.ask(&Request::Flush {}).expect("flushed").summary, json!({ "waiting": {} }));
    let refused = refusal(it.ask(&Request::Reload {}));
    assert_eq!((refused.kind, refused.reason.as_str()), (RefusalKind::Failed, "line 3: no such key"));
}

#[test]
fn a_capture_tells_how_far_it_is_and_gives_its_file_back_whole() {
    let it = Fixture::new();
    let mut n_told = 0;
    let request = capture("alloc", Output::File(Format::Pprof));
    let done = client::ask(&path(&it.dir), &request, |progress| {
        n_told += 1;
        assert_eq!((progress.stage.as_str(), progress.n_samples), ("recording", n_told));
        it.daemon.may_finish.store(n_told >= 3, Ordering::Relaxed);
    });
    let done = done.expect("done");
    assert!(n_told >= 3, "{n_told}");
    assert_eq!(done.summary, json!({ "event": "alloc" }));
    assert!(done.file.len() == FILE_BYTES && done.file.iter().all(|byte| *byte == 7), "{}", done.file.len());
    let to_sinks = it.ask(&capture("alloc", Output::Sinks)).expect("done");
    assert!(to_sinks.file.is_empty(), "{}", to_sinks.file.len());
}

#[test]
fn an_event_is_captured_once_at_a_time_and_others_beside_it() {
    let it = Fixture::new();
    thread::scope(|scope| {
        let first = scope.spawn(|| it.ask(&capture("alloc", Output::Sinks)));
        until("one captures", || it.daemon.n_capturing.load(Ordering::Relaxed) == 1);
        let second = refusal(it.ask(&capture("alloc", Output::Sinks)));
        assert_eq!(second.kind, RefusalKind::Busy, "{second:?}");
        let other = scope.spawn(|| it.ask(&capture("faults", Output::Sinks)));
        until("two capture", || it.daemon.n_capturing.load(Ordering::Relaxed) == 2);
        it.daemon.may_finish.store(true, Ordering::Relaxed);
        for capture in [first, other] {
            capture.join().expect("joined").expect("done");
        }
    });
    it.ask(&capture("alloc", Output::Sinks)).expect("again, when it is done");
}

#[test]
fn a_capture_that_nobody_waits_for_ends_and_so_does_one_of_a_daemon_that_ends() {
    let it = Fixture::new();
    let mut gone = it.connect();
    let request = serde_json::to_string(&capture("alloc", Output::Sinks)).expect("json") + "\n";
    gone.write_all(request.as_bytes()).expect("written");
    until("it captures", || it.daemon.n_capturing.load(Ordering::Relaxed) == 1);
    drop(gone);
    until("it is over", || it.daemon.n_left.load(Ordering::Relaxed) == 1);

    let mut waiting = it.connect();
    waiting.write_all(request.as_bytes()).expect("written");
    until("it captures", || it.daemon.n_capturing.load(Ordering::Relaxed) == 1);
    let Fixture { dir, daemon, server } = it;
    drop(server);
    assert_eq!(daemon.n_left.load(Ordering::Relaxed), 2);
    assert!(!path(&dir).exists(), "the socket is left");
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).expect("what had been told");
    assert!(answer.contains("progress"), "{answer}");
}

#[test]
fn what_is_no_request_is_refused_with_the_reason() {
    let it = Fixture::new();
    let long = format!("\"{}\"\n", "x".repeat(100_000));
    let too_long = long.trim_end().as_bytes();
    let with_duration = |duration: &str| {
        format!(r#"{{"capture":{{"event":"cpu","duration_s":{duration},"target":"all"}}}}"#) + "\n"
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("not whole", vec![]),
        ("not whole", br#"{"status":{}}"#.to_vec()),
        ("no request", b"\n".to_vec()),
        ("no request", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("no request", vec![0xff, 0xfe, b'\n']),
        ("no request: unknown variant `stop`", b"{\"stop\":{}}\n".to_vec()),
        ("unknown field `verbose`", b"{\"status\":{\"verbose\":true}}\n".to_vec()),
        ("at most 65536 bytes", too_long.to_vec()),
        ("no request", [b"[".repeat(60_000), b"\n".to_vec()].concat()),
        ("more than nothing", with_duration("0").into_bytes()),
        ("at most 3600 s", with_duration("1e9").into_bytes()),
        ("more than nothing", with_duration("-5").into_bytes()),
        ("no request", with_duration("1e999").into_bytes()),
    ];
    for (expected, bytes) in cases {
        let answer = it.say(&bytes);
        let start =
            String::from_utf8_lossy(bytes.get(..100.min(bytes.len())).unwrap_or_default()).into_owned();
        assert!(answer.contains(expected) && answer.contains("\"invalid\""), "{start:?}: {answer}");
        assert_eq!(answer.matches('\n').count(), 1, "one line: {answer}");
    }
    let gone = refusal(it.ask(&Request::Capture(Capture {
        event: "cpu".into(),
        duration_s: 1.0,
        target: Target::Pid(1),
        output: Output::Sinks,
    })));
    assert_eq!(gone.kind, RefusalKind::NotFound, "{gone:?}");
    it.ask(&Request::Status {}).expect("it still answers");
}

#[test]
fn too_many_are_turned_away_and_silent_ones_shown_out() {
    let it = Fixture::new();
    let silent: Vec<UnixStream> = (0..8).map(|_| it.connect()).collect();
    let mut dripping = &silent[0];
    dripping.write_all(b"{\"sta").expect("written");
    let turned_away = refusal(it.ask(&Request::Status {}));
    assert_eq!(turned_away.kind, RefusalKind::Busy, "{turned_away:?}");
    for mut stream in &silent {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains("was not there within"), "{answer}");
    }
    until("there is room again", || it.ask(&Request::Status {}).is_ok());
}

#[test]
fn a_socket_of_a_dead_daemon_is_replaced_and_one_of_a_live_one_is_not() {
    let it = Fixture::new();
    let second = ControlServer::start(&path(&it.dir), Arc::new(Daemon::default())).err();
    assert!(matches!(second, Some(ControlError::Socket(SocketError::InUse { .. }))), "{second:?}");
    it.ask(&Request::Status {}).expect("the first one answers");
    drop(it.server);
    // A daemon that was killed leaves its socket.
    drop(UnixListener::bind(path(&it.dir)).expect("bound"));
    let asked = client::ask(&path(&it.dir), &Request::Status {}, |_| {});
    assert!(matches!(asked, Err(ClientError::NotRunning { .. })), "{asked:?}");
    let next = ControlServer::start(&path(&it.dir), Arc::new(Daemon::default())).expect("starts");
    client::ask(&path(&it.dir), &Request::Status {}, |_| {}).expect("answers");
    drop(next);
    let asked = client::ask(&path(&it.dir), &Request::Status {}, |_| {});
    let said = asked.expect_err("nobody listens").to_string();
    assert!(said.contains("no daemon listens on") && said.contains("--socket"), "{said}");
}

#[test]
fn what_is_no_socket_and_a_directory_that_is_open_to_others_are_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = dir.path().join("run");
    fs::DirBuilder::new().mode(0o700).create(&run).expect("made");
    fs::write(path(&dir), "mine").expect("written");
    let start = || ControlServer::start(&path(&dir), Arc::new(Daemon::default())).err();
    let refused = start();
    assert!(matches!(refused, Some(ControlError::Socket(SocketError::NoSocket { .. }))), "{refused:?}");
    assert_eq!(fs::read_to_string(path(&dir)).expect("still there"), "mine");
    fs::set_permissions(&run, Permissions::from_mode(0o755)).expect("opened");
    let refused = start();
    assert!(matches!(refused, Some(ControlError::Socket(SocketError::Directory { .. }))), "{refused:?}");
}
