//! What the first bytes on a connection say.

use abi::request::{FOREIGN_HTTP2, FOREIGN_OTHER, FOREIGN_TLS};

use crate::swar::{find, first, position, text};

/// What the first bytes on a connection are, `n` of them known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// A request, or too few bytes to tell.
    Request,
    /// A response.
    Response,
    /// Neither.
    Foreign,
}

/// Told from the first bytes of a message.
#[inline(always)]
#[must_use]
pub fn begin(word: u64, n: u64) -> Begin {
    const RESPONSE: u64 = text(b"HTTP/1.");
    let known = if n < 7 { n } else { 7 };
    let is_response = first(word, known) == first(RESPONSE, known);
    if is_response && n >= 7 {
        return Begin::Response;
    }
    // Capital letters up to the first space.
    let space = position(find(word, b' '));
    let end = if space < n { space } else { n };
    let name = first(word, if end < 8 { end } else { 8 });
    let letters = first(0x4040_4040_4040_4040, if end < 8 { end } else { 8 });
    let is_name = name & first(0xe0e0_e0e0_e0e0_e0e0, end) == letters && end > 0;
    let is_preface = n >= 8 && word == text(b"PRI * HT");
    if (is_name || is_response) && !is_preface { Begin::Request } else { Begin::Foreign }
}

/// What it is that is not HTTP/1, by its first bytes.
#[inline(always)]
#[must_use]
pub fn foreign(word: u64) -> u16 {
    if word & 0xffff == 0x0316 {
        FOREIGN_TLS
    } else if word == text(b"PRI * HT") {
        FOREIGN_HTTP2
    } else {
        FOREIGN_OTHER
    }
}

/// Whether it is the first that a server says in HTTP/2, which need not wait for the client: a frame of settings, less than 256
/// bytes long.
#[inline(always)]
#[must_use]
pub fn is_settings(word: u64) -> bool {
    word & !0x00ff_0000 == 0x0400_0000
}

/// Whether a descriptor that nobody has seen opened is a connection, by what is read or written on it first. 1: a request,
/// 2: a response, 3: the preface of HTTP/2, 0: none of them.
#[inline(always)]
#[must_use]
pub fn is_known_beginning(word: u64) -> u64 {
    let four = u64::from(word as u32);
    let is_request = four == text(b"GET ")
        || four == text(b"POST")
        || four == text(b"HEAD")
        || four == text(b"PUT ")
        || four == text(b"DELE")
        || four == text(b"OPTI")
        || four == text(b"PATC");
    if is_request {
        1
    } else if first(word, 7) == text(b"HTTP/1.") {
        2
    } else if word == text(b"PRI * HT") {
        3
    } else {
        0
    }
}
