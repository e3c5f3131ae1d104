//! The shipper against receivers that behave, and against others: on loopback, answering what they are told to.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use flate2::read::GzDecoder;
use profile::Labels;

use super::*;
use crate::send::{
    batch::Keys,
    sink::{
        Compression, Connection, Directory, OtlpGrpc, OtlpHttp, ProxyChoice, Pyroscope, PyroscopeApi,
        Retention, Tls,
    },
};

/// Nothing here takes as long unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const RETRY: RetryLimits =
    RetryLimits { first: Duration::from_millis(10), longest: Duration::from_millis(50) };

/// A request as it came.
#[derive(Clone, Debug)]
struct Seen {
    head: String,
    body: Vec<u8>,
}

/// A server that gives each request the next of these answers, and the last one for ever; an empty answer is none at
/// all: the connection is left open and silent.
fn serve(answers: Vec<Vec<u8>>) -> (SocketAddr, Arc<Mutex<Vec<Seen>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (all, n_answered) = (Arc::clone(&seen), Arc::new(AtomicUsize::new(0)));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (all, answers, n_answered) = (Arc::clone(&all), answers.clone(), Arc::clone(&n_answered));
            thread::spawn(move || {
                let mut stream = stream;
                while let Some(request) = read_request(&mut stream) {
                    all.lock().expect("not poisoned").push(request);
                    let i = n_answered.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
                    // A client that has given up closes the connection.
                    if stream.write_all(&answers[i]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, seen)
}

fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    Some(Seen { head, body })
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn connection(address: SocketAddr) -> Connection {
    Connection {
        timeout: Duration::from_millis(500),
        proxy: ProxyChoice::Direct,
        ..Connection::to(format!("http://{address}"))
    }
}

fn http_sink(address: SocketAddr) -> Box<dyn Sink> {
    Box::new(OtlpHttp::new(&connection(address)).expect("a sink"))
}

fn shipper(dir: &tempfile::TempDir, sinks: Vec<(&str, Box<dyn Sink>)>) -> Shipper {
    let sinks = sinks.into_iter().map(|(name, sink)| (name.to_owned(), sink)).collect();
    let settings = ShipperSettings {
        spool_dir: dir.path().join("spool"),
        limits: Limits::default(),
        retry: RETRY,
        sinks,
    };
    Shipper::start(settings).expect("starts")
}

fn batches(n: u8) -> Vec<Batch> {
    let mut keys = Keys::of_seed([9; 32]);
    let batch = |i| Batch {
        key: keys.next_key(),
        signal: Signal::Profiles,
        start_unix_ns: u64::from(i),
        end_unix_ns: u64::from(i) + 1,
        labels: Labels::default().with("service.name", "edge"),
        parts: vec![(Form::Otlp, vec![i; 100]), (Form::Pprof, vec![i; 50])],
    };
    (0..n).map(batch).collect()
}

fn figures_of(shipper: &Shipper, sink: &str) -> SinkFigures {
    let figures = shipper.figures();
    figures.sinks.into_iter().find(|it| it.name == sink).expect("the sink").figures
}

/// Until it is so, or for so long that it will not be.
fn wait_for(shipper: &Shipper, is_so: impl Fn(&ShipperFigures) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so(&shipper.figures()) && Instant::now() < end {
        thread::sleep(Duration::from_millis(10));
    }
}

fn keys_of(seen: &Mutex<Vec<Seen>>) -> Vec<String> {
    let seen = seen.lock().expect("not poisoned");
    let key = |it: &Seen| {
        it.head.lines().find_map(|line| line.strip_prefix("idempotency-key: ")).map(str::to_owned)
    };
    seen.iter().filter_map(key).collect()
}

#[test]
fn each_sink_gets_every_batch_in_order_whole_and_under_its_key() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (a, seen_a) = serve(vec![answer("200 OK", "Content-Type: application/x-protobuf\r\n", b"")]);
    let (b, seen_b) = serve(vec![answer("200 OK", "", b"")]);
    let files = dir.path().join("files");
    let shipper = shipper(
        &dir,
        vec![
            ("a", http_sink(a)),
            ("b", Box::new(Pyroscope::new(&connection(b), PyroscopeApi::Ingest).expect("a sink"))),
            ("files", Box::new(Directory::new(files.clone(), Retention::default()))),
        ],
    );
    let batches = batches(5);
    for batch in &batches {
        shipper.ship(batch.clone()).expect("spooled");
    }
    assert_eq!(shipper.flush(PATIENCE), BTreeMap::new(), "{:?}", shipper.figures());
    let expected: Vec<String> = batches.iter().map(|batch| batch.key.to_string()).collect();
    assert_eq!((keys_of(&seen_a), keys_of(&seen_b)), (expected.clone(), expected));
    for (i, request) in seen_a.lock().expect("not poisoned").iter().enumerate() {
        let mut body = Vec::new();
        GzDecoder::new(request.body.as_slice()).read_to_end(&mut body).expect("gzip");
        assert_eq!(body, vec![i as u8; 100], "{}", request.head);
        assert!(request.head.starts_with("post /v1development/profiles http/1.1"), "{}", request.head);
    }
    assert_eq!(std::fs::read_dir(&files).expect("lists").count(), 5);
    let figures = shipper.figures();
    assert!(figures.sinks.iter().all(|sink| sink.figures.delivered == 5), "{figures:?}");
    assert_eq!(figures.spool_bytes, 0, "{figures:?}");
}

#[test]
fn what_fails_is_sent_again_under_the_same_key_what_is_refused_is_given_up_and_others_do_not_wait() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let ok = answer("200 OK", "", b"");
    let (bad, seen) = serve(vec![
        answer("503 Busy", "Retry-After: 0\r\n", b"busy"),
        b"220 hello\r\n\r\n".to_vec(),
        answer("429 Too Many", "", b""),
        ok.clone(),
        answer("400 Bad", "", b"no such thing"),
        answer("200 OK", "Content-Type: text/html\r\n", b"<html>"),
        answer("200 OK", "Content-Type: application/x-protobuf\r\n", &[10, 6, 8, 3, 18, 2, b'n', b'o']),
    ]);
    let (never, _) = serve(vec![Vec::new()]);
    let (good, _) = serve(vec![ok]);
    let shipper =
        shipper(&dir, vec![("bad", http_sink(bad)), ("never", http_sink(never)), ("good", http_sink(good))]);
    let batches = batches(3);
    for batch in &batches {
        shipper.ship(batch.clone()).expect("spooled");
    }
    let is_settled = |figures: &ShipperFigures| {
        let n_waiting = |sink: &SinkState| if sink.name == "never" { 0 } else { sink.n_waiting };
        figures.sinks.iter().all(|sink| n_waiting(sink) == 0)
            && figures.sinks.iter().any(|sink| sink.name == "never" && sink.figures.retried > 0)
    };
    wait_for(&shipper, is_settled);
    let keys = keys_of(&seen);
    let [first, second, third] = [0, 1, 2].map(|i: usize| batches[i].key.to_string());
    assert_eq!(keys, [&first, &first, &first, &first, &second, &third, &third].map(Clone::clone));
    let bad = figures_of(&shipper, "bad");
    assert_eq!((bad.delivered, bad.given_up, bad.retried), (2, 1, 4), "{bad:?}");
    assert_eq!((bad.partially_rejected, bad.rejected_items, bad.failing), (1, 3, 0), "{bad:?}");
    assert_eq!(bad.last_trouble.expect("trouble").reason, "no");
    assert_eq!(figures_of(&shipper, "good").delivered, 3);
    let never = figures_of(&shipper, "never");
    assert!(never.delivered == 0 && never.failing > 0, "{never:?}");
    assert!(never.last_trouble.clone().is_some_and(|it| it.reason.contains("too long")), "{never:?}");

    // What the silent one did not get is there for it after a restart; what the others got is not.
    let waiting = |figures: ShipperFigures| -> BTreeMap<String, usize> {
        figures.sinks.into_iter().map(|sink| (sink.name, sink.n_waiting)).filter(|(_, n)| *n > 0).collect()
    };
    assert_eq!(waiting(shipper.close(Duration::ZERO)), BTreeMap::from([("never".to_owned(), 3)]));
    let (back, seen) = serve(vec![answer("200 OK", "", b"")]);
    let shipper = self::shipper(&dir, vec![("never", http_sink(back)), ("good", http_sink(back))]);
    assert_eq!(shipper.flush(PATIENCE), BTreeMap::new(), "{:?}", shipper.figures());
    assert_eq!(keys_of(&seen), [first, second, third]);
}

#[test]
fn a_sink_takes_its_signals_and_a_batch_without_its_form_is_given_up() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let files = || Box::new(Directory::new(dir.path().join("files"), Retention::default()));
    let shipper = shipper(&dir, vec![("files", files())]);
    assert_eq!(shipper.forms(Signal::Profiles), &BTreeSet::from([Form::Pprof]));
    assert!(shipper.forms(Signal::Metrics).is_empty());
    let [metrics, no_form, profile] = <[Batch; 3]>::try_from(batches(3)).expect("three");
    let otlp_only = |batch: Batch| Batch { parts: vec![(Form::Otlp, vec![1])], ..batch };
    shipper.ship(Batch { signal: Signal::Metrics, ..otlp_only(metrics) }).expect("spooled");
    shipper.ship(otlp_only(no_form)).expect("spooled");
    shipper.ship(profile).expect("spooled");
    assert_eq!(shipper.flush(PATIENCE), BTreeMap::new());
    let figures = figures_of(&shipper, "files");
    assert_eq!((figures.not_for_it, figures.given_up, figures.delivered), (1, 1, 1), "{figures:?}");
    let metrics = shipper.figures().metrics(1, 2);
    let given_up = metrics[0].points.iter().find(|point| point.attributes.get("outcome") == Some("given_up"));
    assert!(
        given_up.is_some_and(|it| it.value == profile::encode::otlp_metrics::Number::Integer(1)),
        "{metrics:?}"
    );
}

#[test]
fn grpc_to_nobody_and_to_a_server_of_something_else_is_tried_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    // A port that was free a moment ago.
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
    let (other, _) = serve(vec![b"220 hello\r\n\r\n".to_vec()]);
    let (silent, _) = serve(vec![Vec::new()]);
    let sink = |address| -> Box<dyn Sink> {
        let connection = Connection { compression: Compression::Zstd, ..connection(address) };
        Box::new(OtlpGrpc::new(&connection).expect("a sink"))
    };
    let shipper = shipper(&dir, vec![("gone", sink(gone)), ("other", sink(other)), ("silent", sink(silent))]);
    shipper.ship(batches(1).remove(0)).expect("spooled");
    wait_for(&shipper, |figures| figures.sinks.iter().all(|sink| sink.figures.retried > 1));
    for state in shipper.figures().sinks {
        assert!(state.figures.retried > 1 && state.n_waiting == 1, "{state:?}");
        println!("{}: {}", state.name, state.figures.last_trouble.expect("trouble").reason);
    }
}

#[test]
fn an_authority_file_without_certificates_is_refused_at_once() {
    let tls = Tls { ca_file: Some("/dev/null".into()), ..Tls::default() };
    let connection = Connection { tls, ..Connection::to("https://127.0.0.1:1") };
    let error = OtlpHttp::new(&connection).map(|_| ()).expect_err("no certificates").to_string();
    assert!(error.contains("/dev/null") && error.contains("PEM"), "{error}");
    let error = OtlpGrpc::new(&connection).map(|_| ()).expect_err("no certificates").to_string();
    assert!(error.contains("/dev/null") && error.contains("PEM"), "{error}");
}
