//! Connections that speak HTTP/2, in pieces of every size.

extern crate std;

use std::{format, string::String, vec, vec::Vec};

use abi::request::{
    INCOMING, MESSAGE_CUT, MESSAGE_END, MESSAGE_FRAMES, MESSAGE_HEAD, MESSAGE_RESPONSE, OUTGOING,
    ROLE_CLIENT, ROLE_SERVER, ROLE_UNKNOWN,
};

use super::super::tests::Host;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u8, n_bytes: usize) -> Vec<u8> {
    let length = (n_bytes as u32).to_be_bytes();
    let mut all = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, stream];
    // As if there were frames in it.
    all.extend((0..n_bytes).map(|i| [0, 0, 0, 1, 5, 0, 0, 0, 9][i % 9]));
    all
}

/// `1>` where a stream is opened, `1<` where it is answered, `.` where that ends, `!` where it is reset.
fn said(host: &Host) -> Vec<String> {
    let frames = host.told().filter(|it| it.flags & MESSAGE_FRAMES != 0);
    frames
        .map(|it| {
            let way = if it.flags & MESSAGE_RESPONSE != 0 { '<' } else { '>' };
            let head = if it.flags & MESSAGE_HEAD != 0 { "+" } else { "" };
            let end = if it.flags & MESSAGE_END != 0 { "." } else { "" };
            let cut = if it.flags & MESSAGE_CUT != 0 { "!" } else { "" };
            format!("{}{way}{head}{end}{cut} {}", it.path_hash, it.n_calls)
        })
        .collect()
}

fn in_pieces(role: u32, calls: &[(usize, Vec<u8>)], whole: usize, expected: &[&str]) {
    for size in [1, 2, 5, 8, 9, 10, 24, 100, 4096, 5000, 100_000] {
        let mut host = Host::new(role);
        for (i, (direction, bytes)) in calls.iter().enumerate() {
            let size = if i < whole { bytes.len() } else { size };
            bytes.chunks(size).for_each(|piece| host.call(*direction, piece));
        }
        assert_eq!(said(&host), expected, "in pieces of {size}");
    }
}

#[test]
fn streams_are_opened_and_ended_by_their_frames() {
    let mut asks = PREFACE.to_vec();
    asks.extend(frame(SETTINGS, 0, 0, 18));
    asks.extend(frame(1, 5, 1, 40));
    asks.extend(frame(1, 4, 3, 4090));
    asks.extend(frame(0, 0, 3, 16_384));
    asks.extend(frame(0, 1, 3, 0));
    asks.extend(frame(3, 0, 3, 4));
    let mut answers = frame(SETTINGS, 0, 0, 18);
    answers.extend(frame(SETTINGS, 1, 0, 0));
    answers.extend(frame(1, 4, 1, 30));
    answers.extend(frame(0, 0, 1, 9000));
    answers.extend(frame(0, 1, 1, 77));
    let expected = ["1>+. 2", "3>+ 3", "3>. 5", "3>.! 6", "1<+ 3", "1<. 5"];
    let (one, other) = ((INCOMING, asks.clone()), (OUTGOING, answers.clone()));
    in_pieces(ROLE_SERVER, &[one.clone(), other.clone()], 0, &expected);
    in_pieces(ROLE_UNKNOWN, &[one, other], 0, &expected);
    in_pieces(ROLE_CLIENT, &[(OUTGOING, asks), (INCOMING, answers)], 0, &expected);
}

#[test]
fn a_server_may_speak_first() {
    let asks = [PREFACE, &frame(1, 5, 1, 40)].concat();
    let calls = [(OUTGOING, frame(SETTINGS, 0, 0, 18)), (INCOMING, asks), (OUTGOING, frame(1, 5, 1, 3))];
    in_pieces(ROLE_SERVER, &calls, 1, &["1>+. 1", "1<+. 2"]);
}
