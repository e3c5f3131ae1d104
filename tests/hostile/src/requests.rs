//! Any bytes as calls on connections: through what the kernel side reads of messages, and through what the agent makes of that.
//! Whatever comes, every request is in one place: answered, lost in a way that has a name, or under way.

use abi::{
    limits::WINDOW_BYTES,
    request::{
        Connection, MESSAGE_CLOSED, MESSAGE_FOREIGN, MESSAGE_FRAMES, MESSAGE_HEAD, MESSAGE_OPENED,
        MESSAGE_RESPONSE, MESSAGE_UPSTREAM, MessageWithPath, ROLE_CLIENT, ROLE_SERVER, ROLE_UNKNOWN,
    },
};
use agent::{
    decode::MessageEvent,
    requests::{Requests, route},
};
use ebpf::flow::{Io, Sink};

/// Connections at once.
const N_CONNECTIONS: usize = 4;
/// Turns of a window, at most.
const MAX_TURNS: usize = 2 * WINDOW_BYTES;

/// Bits of the byte that precedes each call: the connection.
const CONNECTION: u8 = 3;
/// The bytes go out.
const OUT: u8 = 4;
/// The connection is closed afterwards.
const CLOSES: u8 = 8;

#[derive(Default)]
struct Told {
    requests: Requests,
    n_asked: u64,
}

impl Sink for Told {
    fn put(&mut self, out: &mut MessageWithPath) {
        let path: Vec<u8> = out.path.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let path = path.get(..out.message.n_path as usize).expect("no more than there is room for").to_vec();
        let flags = out.message.flags;
        let is_request = flags & MESSAGE_HEAD != 0 && flags & (MESSAGE_RESPONSE | MESSAGE_UPSTREAM) == 0;
        self.n_asked +=
            u64::from(is_request && flags & (MESSAGE_CLOSED | MESSAGE_FOREIGN | MESSAGE_FRAMES) == 0);
        let folded = route(&path, false);
        assert!(!folded.chars().any(char::is_control), "{folded:?}");
        self.requests.apply(&MessageEvent { message: out.message, path });
    }
}

pub(crate) fn body(bytes: &[u8]) {
    let Some((&how, mut bytes)) = bytes.split_first() else { return };
    let mut told = Told::default();
    let mut io = Box::new(Io::empty());
    let mut connections = [Connection::default(); N_CONNECTIONS];
    for (i, connection) in connections.iter_mut().enumerate() {
        let role = how >> (2 * i) & 3;
        *connection =
            opened(i as u64, [ROLE_UNKNOWN, ROLE_SERVER, ROLE_CLIENT, ROLE_SERVER][usize::from(role)]);
        io.tell(connection, MESSAGE_OPENED, &mut told);
    }
    let mut n_calls = 0_u64;
    while let [call, n, rest @ ..] = bytes {
        let (piece, rest) = rest.split_at(usize::from(*n).min(rest.len()));
        bytes = rest;
        n_calls += 1;
        io.time_ns = n_calls;
        let Some(connection) = connections.get_mut(usize::from(call & CONNECTION)) else { continue };
        moved(&mut io, connection, u64::from(call & OUT != 0), piece, &mut told);
        if call & CLOSES != 0 {
            for direction in [0, 1] {
                io.direction = direction;
                io.close(connection, &mut told);
            }
            io.tell(connection, MESSAGE_CLOSED, &mut told);
            *connection = opened(connection.id + N_CONNECTIONS as u64, connection.role);
        }
    }
    let report = told.requests.report(1_000_000_000);
    let losses = report.losses;
    let sum = report.requests
        + losses.unanswered
        + losses.unfinished
        + losses.ends_missing
        + losses.requests_full
        + losses.connections_full;
    assert_eq!(sum, told.n_asked, "{report:#?}");
    assert_eq!(report.rows.iter().map(|row| row.count).sum::<u64>(), report.requests, "{report:#?}");
}

fn opened(id: u64, role: u32) -> Connection {
    Connection { id, role, ..Connection::default() }
}

/// A call, as the kernel side goes through it.
fn moved(io: &mut Io, connection: &mut Connection, direction: u64, bytes: &[u8], told: &mut Told) {
    io.direction = direction;
    io.n_bytes = bytes.len() as u64;
    io.begin(connection, told);
    while io.wants_window(connection) {
        let left = io.left;
        let to = io.open_window(connection) as usize;
        let n_done = bytes.len() - left as usize;
        let piece = bytes.get(n_done..bytes.len().min(n_done + WINDOW_BYTES)).expect("inside the call");
        io.scan.window.get_mut(to..to + piece.len()).expect("inside the window").copy_from_slice(piece);
        io.fill_window(piece.len() as u64);
        let n_turns = (0..MAX_TURNS).take_while(|_| io.turn(connection, told)).count();
        assert!(n_turns < MAX_TURNS, "a window without end");
        io.close_window(connection, told);
        assert!(io.left < left, "a window that took nothing of {left} bytes");
    }
    if io.is_chunked(connection) {
        let last = bytes.get(bytes.len().saturating_sub(8)..).unwrap_or(bytes);
        io.finish(connection, last.iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte)), told);
    }
}

/// Conversations to start from.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let talks: [(&str, &[(u8, &str)]); 13] = [
        (
            "plain",
            &[
                (0, "GET /a/1?q HTTP/1.1\r\nHost: x\r\n\r\n"),
                (4, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            ],
        ),
        (
            "pipelined",
            &[
                (
                    0,
                    "GET /a HTTP/1.1\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcHEAD /c HTTP/1.1\r\n\r\n",
                ),
                (
                    4,
                    "HTTP/1.1 204 N\r\n\r\nHTTP/1.1 304 N\r\n\r\nHTTP/1.1 200 O\r\nContent-Length: 9\r\n\r\n",
                ),
            ],
        ),
        (
            "chunks",
            &[
                (0, "GET / HTTP/1.1\r\n\r\n"),
                (4, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
                (4, "0\r\n"),
                (4, "\r\n"),
            ],
        ),
        ("to_close", &[(0, "GET / HTTP/1.0\r\n\r\n"), (4, "HTTP/1.0 200 OK\r\n\r\nall"), (12, " of it")]),
        ("cut", &[(0, "POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\nx"), (8, "y")]),
        (
            "pieces",
            &[
                (0, "GE"),
                (0, "T /lo"),
                (0, "ng HTTP/1.1\r"),
                (0, "\n\r"),
                (0, "\n"),
                (4, "HTTP/1.1 2"),
                (4, "00 OK\r\nContent-Len"),
                (4, "gth: 0\r\n\r\n"),
            ],
        ),
        ("tls", &[(0, "\x16\x03\x01\x02\0\x01\0\x01")]),
        ("http2", &[(0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]),
        (
            "http2_streams",
            &[
                (4, "\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"),
                (0, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
                (0, "\0\0\x01\x01\x04\0\0\0\x01a\0\0\x03\0"),
                (0, "\0\0\0\0\x01abc\0\0\0\0\x01\0\0\0\x01"),
                (4, "\0\0\x01\x01\x05\0\0\0\x01a"),
                (8, "\0\0\x04\x03\0\0\0\0\x01abcd"),
            ],
        ),
        (
            "tunnel",
            &[
                (0, "CONNECT h:1 HTTP/1.1\r\n\r\n"),
                (4, "HTTP/1.1 200 OK\r\n\r\n"),
                (0, "GET / HTTP/1.1\r\n\r\n"),
            ],
        ),
        (
            "proxied",
            &[
                (0, "GET /p HTTP/1.1\r\n\r\n"),
                (5, "GET /p HTTP/1.1\r\n\r\n"),
                (1, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
                (4, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
            ],
        ),
        (
            "interim",
            &[
                (0, "PUT /u HTTP/1.1\r\nContent-Length: 1\r\n\r\n"),
                (4, "HTTP/1.1 100 Continue\r\n\r\n"),
                (0, "x"),
                (4, "HTTP/1.1 201 C\r\nContent-Length: 0\r\n\r\n"),
            ],
        ),
        ("long_length", &[(0, "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"), (0, "x")]),
    ];
    let bytes = |how: u8, talk: &[(u8, &str)]| {
        let mut all = vec![how];
        for (call, text) in talk {
            all.extend([*call, text.len() as u8]);
            all.extend_from_slice(text.as_bytes());
        }
        all
    };
    talks.iter().map(|(name, talk)| ((*name).to_owned(), bytes(0b00_00_10_01, talk))).collect()
}
