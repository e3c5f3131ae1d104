//! The client against a server of its own on loopback.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    path::Path,
    thread,
};

use super::*;

/// Answers one request after another with the next of these, whole; gives the paths that were asked for.
fn serve(answers: Vec<Vec<u8>>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let served = thread::spawn(move || {
        let mut paths = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("a request");
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            paths.push(request.split(' ').nth(1).unwrap_or_default().to_owned());
            // A client that has seen enough closes the connection.
            let _refused = stream.write_all(&answer);
        }
        paths
    });
    (url, served)
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn status(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").into_bytes()
}

/// This executable stands for the debug information of its own build.
fn own() -> (Vec<u8>, BuildId) {
    let path = std::env::current_exe().expect("own path");
    let build_id = ObjectFile::open(&path).expect("opens").build_id.expect("linkers here write build IDs");
    // Headers and notes are at its start, and only they are looked at; the section headers, at its end, are not.
    let mut bytes = std::fs::read(path).expect("reads");
    bytes.truncate(64 * 1024);
    bytes[40..48].fill(0);
    bytes[60..64].fill(0);
    (bytes, build_id)
}

fn client(url: &str, dir: &Path) -> Debuginfod {
    let settings = Settings { urls: vec![url.to_owned()], cache_dir: dir.to_owned() };
    Debuginfod::new(settings, Box::new(|_, _| true))
}

#[test]
fn a_file_is_fetched_once_and_found_in_the_cache_after_that() {
    let (bytes, build_id) = own();
    let dir = tempfile::tempdir().expect("temporary directory");
    let (url, served) = serve(vec![ok(&bytes)]);
    let mut client = client(&url, dir.path());
    for _ in 0..2 {
        let object = client.find(&build_id).unwrap_or_else(|| panic!("{}", client.outcomes()));
        assert_eq!((object.build_id.as_ref(), object.size_bytes), (Some(&build_id), bytes.len() as u64));
    }
    assert_eq!(served.join().expect("served"), [format!("/buildid/{build_id}/debuginfo")]);
    let kept = std::fs::read(dir.path().join(build_id.to_string()).join("debuginfo")).expect("is kept");
    assert!(kept == bytes, "{} bytes kept", kept.len());
    let expected = "debuginfod: of 2 files without names 1 fetched, 1 in the cache, 0 on no server, 0 failed";
    assert_eq!(client.outcomes().to_string(), expected);
}

#[test]
fn a_file_that_no_server_has_is_not_asked_for_again() {
    let (_, build_id) = own();
    let dir = tempfile::tempdir().expect("temporary directory");
    let (url, served) = serve(vec![status("404 Not Found")]);
    let mut client = client(&url, dir.path());
    assert!(client.find(&build_id).is_none() && client.find(&build_id).is_none());
    assert_eq!(served.join().expect("served").len(), 1);
    assert_eq!(client.outcomes().n_absent, 2, "{}", client.outcomes());
}

#[test]
fn each_failure_has_its_name_leaves_nothing_behind_and_is_no_absence() {
    let (bytes, build_id) = own();
    let other = BuildId::new(&[1, 2, 3]).expect("short");
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MAX_FILE_BYTES + 1).into_bytes();
    let mut cut = ok(&bytes);
    cut.truncate(1000);
    let cases = [
        (ok(&bytes), &other, Failure::WrongBuild),
        (ok(b"<html>"), &build_id, Failure::WrongBuild),
        (status("503 Busy"), &build_id, Failure::Status(503)),
        (large, &build_id, Failure::TooLarge),
        (cut, &build_id, Failure::Broken),
        (b"220 hello\r\n\r\n".to_vec(), &build_id, Failure::Broken),
    ];
    for (answer, build_id, expected) in cases {
        let dir = tempfile::tempdir().expect("temporary directory");
        let (url, served) = serve(vec![answer]);
        let mut client = client(&url, dir.path());
        assert!(client.find(build_id).is_none(), "{expected:?}");
        served.join().expect("served");
        let seen: Vec<Failure> = client.outcomes().failures.keys().copied().collect();
        assert_eq!(seen, [expected]);
        let left = std::fs::read_dir(dir.path().join(build_id.to_string())).expect("lists").count();
        assert_eq!(left, 0, "{expected:?}");
    }
}

#[test]
fn a_server_that_is_not_there_is_unreachable_and_the_next_one_is_asked() {
    let (bytes, build_id) = own();
    let dir = tempfile::tempdir().expect("temporary directory");
    // A port that was free a moment ago.
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port");
    let mut alone = client(&format!("http://{gone}"), dir.path());
    assert!(alone.find(&build_id).is_none());
    assert_eq!(alone.outcomes().failures.get(&Failure::Unreachable), Some(&1), "{}", alone.outcomes());

    let (url, served) = serve(vec![ok(&bytes)]);
    let urls = vec![format!("http://{gone}"), url];
    let settings = Settings { urls, cache_dir: dir.path().to_owned() };
    let mut both = Debuginfod::new(settings, Box::new(|_, _| true));
    assert!(both.find(&build_id).is_some(), "{}", both.outcomes());
    served.join().expect("served");
}

#[test]
fn a_run_that_has_taken_enough_asks_nobody() {
    let (_, build_id) = own();
    let dir = tempfile::tempdir().expect("temporary directory");
    for (bytes_left, time_left) in [(0, MAX_RUN_TIME), (MAX_RUN_BYTES, Duration::ZERO)] {
        let mut client = Debuginfod { bytes_left, time_left, ..client("http://127.0.0.1:1", dir.path()) };
        assert!(client.find(&build_id).is_none());
        assert_eq!(client.outcomes().failures.get(&Failure::Budget), Some(&1), "{}", client.outcomes());
    }
}

#[test]
fn who_gives_up_waits_for_nothing_more_and_is_not_told_that_it_is_absent() {
    let (bytes, build_id) = own();
    let dir = tempfile::tempdir().expect("temporary directory");
    let (url, served) = serve(vec![ok(&bytes)]);
    let settings = Settings { urls: vec![url], cache_dir: dir.path().to_owned() };
    let mut client = Debuginfod::new(settings, Box::new(|_, n_bytes| n_bytes == 0));
    assert!(client.find(&build_id).is_none());
    served.join().expect("served");
    assert_eq!(client.outcomes().failures.get(&Failure::GivenUp), Some(&1), "{}", client.outcomes());
    assert_eq!(client.outcomes().n_absent, 0, "{}", client.outcomes());
}
