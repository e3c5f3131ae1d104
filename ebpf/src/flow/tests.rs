//! Connections as a proxy reads and writes them, in pieces of every size.

extern crate std;

use std::{format, string::String, vec, vec::Vec};

use abi::{
    limits::WINDOW_BYTES,
    request::{
        Connection, INCOMING, MESSAGE_CUT, MESSAGE_END, MESSAGE_FOREIGN, MESSAGE_HEAD, MESSAGE_PATH,
        MESSAGE_PATH_CUT, MESSAGE_RESPONSE, METHODS, Message, MessageWithPath, OUTGOING, ROLE_CLIENT,
        ROLE_SERVER,
    },
};

use super::{Io, Sink};

#[derive(Default)]
struct Told(Vec<(Message, String)>);

impl Sink for Told {
    fn put(&mut self, message: &mut MessageWithPath) {
        let bytes: Vec<u8> = message.path.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let path = String::from_utf8_lossy(&bytes[..message.message.n_path as usize]).into_owned();
        self.0.push((message.message, path));
    }
}

/// A connection and what was told of it.
pub(super) struct Host {
    connection: Connection,
    io: std::boxed::Box<Io>,
    told: Told,
}

impl Host {
    pub(super) fn new(role: u32) -> Self {
        let connection = Connection { id: 1, role, ..Connection::default() };
        Self { connection, io: std::boxed::Box::new(Io::empty()), told: Told::default() }
    }

    /// A call that moves these bytes, as the kernel side goes through it.
    pub(super) fn call(&mut self, direction: usize, bytes: &[u8]) {
        let Self { connection, io, told } = self;
        io.direction = direction as u64;
        io.n_bytes = bytes.len() as u64;
        io.time_ns += 1;
        io.begin(connection, told);
        let mut n_windows = 0;
        while io.wants_window(connection) {
            let to = io.open_window(connection) as usize;
            let n_done = bytes.len() - io.left as usize;
            let piece = &bytes[n_done..bytes.len().min(n_done + WINDOW_BYTES)];
            io.scan.window[to..to + piece.len()].copy_from_slice(piece);
            io.fill_window(piece.len() as u64);
            let mut n_turns = 0;
            while io.turn(connection, told) {
                n_turns += 1;
                assert!(n_turns < 2 * WINDOW_BYTES, "it goes on for ever");
            }
            io.close_window(connection, told);
            n_windows += 1;
            assert!(n_windows < 100, "windows for ever");
        }
        if io.is_chunked(connection) {
            let last = &bytes[bytes.len().saturating_sub(8)..];
            let tail = last.iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
            io.finish(connection, tail, told);
        }
    }

    fn close(&mut self) {
        for direction in [INCOMING, OUTGOING] {
            self.io.direction = direction as u64;
            self.io.close(&mut self.connection, &mut self.told);
        }
    }

    /// Everything that was told.
    pub(super) fn told(&self) -> impl Iterator<Item = &Message> {
        self.told.0.iter().map(|(message, _)| message)
    }

    /// What was told, one word for each: `GET /a`, `200`, `.12` where a message of 12 bytes ends.
    fn text(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut early = String::new();
        for (it, path) in &self.told.0 {
            if it.flags & MESSAGE_PATH != 0 {
                early = path.clone();
            }
            if it.flags & MESSAGE_HEAD != 0 {
                let path = if path.is_empty() { core::mem::take(&mut early) } else { path.clone() };
                let cut = if it.flags & MESSAGE_PATH_CUT != 0 { "..." } else { "" };
                all.push(if it.flags & MESSAGE_RESPONSE != 0 {
                    format!("{}", it.status)
                } else {
                    format!("{} {path}{cut}", METHODS[it.method as usize])
                });
            }
            if it.flags & MESSAGE_END != 0 {
                all.push(format!(".{}{}", it.n_bytes, if it.flags & MESSAGE_CUT != 0 { " cut" } else { "" }));
            }
            if it.flags & MESSAGE_FOREIGN != 0 {
                all.push(format!("foreign {}", it.status));
            }
        }
        all
    }
}

/// The same whatever the pieces are in which the bytes come; with them, how they were cut.
fn in_all_pieces(role: u32, calls: &[(usize, &[u8])], closes: bool, expected: &[&str]) {
    let sizes = [1, 2, 3, 7, 8, 16, 61, 1000, 100_000];
    for size in sizes {
        let mut host = Host::new(role);
        for (direction, bytes) in calls {
            bytes.chunks(size).for_each(|piece| host.call(*direction, piece));
        }
        if closes {
            host.close();
        }
        assert_eq!(host.text(), expected, "in pieces of {size}");
    }
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length: 5\r\n\r\nhello";

#[test]
fn a_request_and_its_answer_are_told_with_their_lengths() {
    let request = b"GET /a/b?secret=1 HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n";
    in_all_pieces(
        ROLE_SERVER,
        &[(INCOMING, request), (OUTGOING, ANSWER), (INCOMING, request), (OUTGOING, ANSWER)],
        false,
        &["GET /a/b", ".55", "200", ".54", "GET /a/b", ".55", "200", ".54"],
    );
}

#[test]
fn requests_in_one_piece_are_told_apart() {
    let requests = b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\r\nHEAD /3 HTTP/1.1\r\n\r\nGET /4 HTTP/1.1\nx: y\n\n";
    let answers = b"HTTP/1.1 204 No\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 C\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\nHTTP/1.0 304 N\r\n\r\n";
    let mut all = vec!["GET /1", ".19", "POST /2", ".42", "HEAD /3", ".20", "GET /4", ".22"];
    all.extend(["204", ".19", "201", ".37", "200", ".42", "304", ".18"]);
    in_all_pieces(ROLE_SERVER, &[(INCOMING, requests), (OUTGOING, answers)], false, &all);
}

#[test]
fn a_body_in_chunks_ends_with_the_last_of_them() {
    let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let request = b"GET / HTTP/1.1\r\n\r\n";
    in_all_pieces(
        ROLE_CLIENT,
        &[(OUTGOING, request), (INCOMING, answer), (OUTGOING, request), (INCOMING, answer)],
        false,
        &["GET ", ".18", "200", ".62", "GET ", ".18", "200", ".62"],
    );
}

#[test]
fn without_a_length_the_end_of_the_connection_is_the_end() {
    let (request, answer) = (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\nhello, and so on");
    in_all_pieces(
        ROLE_SERVER,
        &[(INCOMING, request), (OUTGOING, answer)],
        true,
        &["GET /", ".18", "200", ".35"],
    );
}

#[test]
fn what_closes_in_the_middle_is_cut() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello";
    in_all_pieces(ROLE_SERVER, &[(OUTGOING, answer)], true, &["200", ".44 cut"]);
}

#[test]
fn a_large_body_is_not_looked_at() {
    let mut host = Host::new(ROLE_SERVER);
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
    answer.extend(std::iter::repeat_n(b"GET / HTTP/1.1\r\n\r\n", 6000).flatten());
    host.call(OUTGOING, &answer[..30_000]);
    host.call(OUTGOING, &answer[30_000..100_043]);
    host.call(OUTGOING, ANSWER);
    assert_eq!(host.text(), ["200", ".100043", "200", ".54"]);
    let last = host.told.0.last().expect("told").0;
    assert_eq!((last.n_calls, last.n_small), (1, 1));
    assert_eq!(host.told.0[1].0.n_calls, 2);
}

#[test]
fn what_is_not_http_is_told_once_and_left_alone() {
    for (bytes, what) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..], 1),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 2),
        (b"{\"json\": true}", 3),
        (b"GET\r\n\r\n", 3),
        (b"HTTP/1.1 xyz\r\n\r\n", 3),
    ] {
        let mut host = Host::new(ROLE_SERVER);
        host.call(INCOMING, bytes);
        host.call(INCOMING, bytes);
        assert_eq!(host.text(), [format!("foreign {what}")], "{bytes:?}");
    }
}

#[test]
fn a_tunnel_is_no_http_any_more() {
    let mut host = Host::new(ROLE_SERVER);
    host.call(INCOMING, b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
    host.call(OUTGOING, b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x05hello");
    host.call(INCOMING, b"\x81\x05hello");
    assert_eq!(host.text(), ["GET /chat", ".42", "101", "foreign 4"]);
    let mut host = Host::new(ROLE_SERVER);
    host.call(INCOMING, b"CONNECT host:443 HTTP/1.1\r\n\r\n");
    host.call(OUTGOING, b"HTTP/1.1 200 OK\r\n\r\n");
    host.call(INCOMING, b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(host.text(), ["CONNECT host:443", ".29", "200", "foreign 4"]);
}

#[test]
fn the_side_is_learnt_from_the_first_head() {
    for (direction, bytes, role) in [
        (INCOMING, &b"GET / HTTP/1.1\r\n\r\n"[..], ROLE_SERVER),
        (OUTGOING, b"GET / HTTP/1.1\r\n\r\n", ROLE_CLIENT),
        (INCOMING, ANSWER, ROLE_CLIENT),
        (OUTGOING, ANSWER, ROLE_SERVER),
    ] {
        let mut host = Host::new(0);
        host.call(direction, bytes);
        assert_eq!(host.connection.role, role, "{bytes:?}");
    }
}

#[test]
fn long_paths_are_cut_and_their_hashes_are_not() {
    let hash = |path: &str| {
        let mut host = Host::new(ROLE_SERVER);
        host.call(INCOMING, format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes());
        let (message, text) = host.told.0[0].clone();
        assert_eq!(text, path[..path.len().min(128)]);
        assert_eq!(message.flags & MESSAGE_PATH_CUT != 0, path.len() > 128);
        message.path_hash
    };
    let long = format!("/{}", "a".repeat(4000));
    assert_ne!(hash(&long), hash(&format!("{long}b")));
    assert_ne!(hash("/a"), hash("/b"));
}

#[test]
fn the_content_is_classed() {
    for (header, class) in [
        ("Content-Type: text/html; charset=utf-8", 1),
        ("content-type:application/json", 1),
        ("CONTENT-TYPE:   Application/JavaScript", 1),
        ("Content-Type: image/svg+xml", 1),
        ("Content-Type: image/png", 2),
        ("Content-Type: application/octet-stream", 2),
        ("Content-Type: text/css\r\nContent-Encoding: gzip", 5),
        ("Content-Encoding: identity", 0),
        ("X-Content-Type: text/css", 0),
    ] {
        let mut host = Host::new(ROLE_SERVER);
        host.call(OUTGOING, format!("HTTP/1.1 200 OK\r\n{header}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        assert_eq!(host.told.0[0].0.content, class, "{header}");
    }
}

#[test]
fn no_bytes_panic_or_go_on_for_ever() {
    let mut state = 1_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: [&[u8]; 12] = [
        b"GET /",
        b" HTTP/1.1\r\n",
        b"\r\n",
        b"Content-Length: ",
        b"18446744073709551616",
        b"7",
        b"\n",
        b"Transfer-Encoding: chunked\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"\0\xff",
        b"HEAD /x?y HTTP/1.0\r\n",
    ];
    for _ in 0..3000 {
        let mut host = Host::new((random() % 3) as u32);
        for _ in 0..random() % 20 {
            let mut bytes = Vec::new();
            for _ in 0..random() % 40 {
                bytes.extend_from_slice(words[(random() % 12) as usize]);
            }
            host.call((random() % 2) as usize, &bytes);
        }
        host.close();
    }
}
