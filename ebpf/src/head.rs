//! The head of a message of HTTP/1, read line by line through a window: what is needed to find the end of the message, to
//! name its route and to class its content. Nothing else of it is kept.

mod begin;

use abi::{
    limits::WINDOW_BYTES,
    request::{
        CARRY_BYTES, CARRY_WORDS, CONTENT_COMPRESSED, CONTENT_COMPRESSIBLE, CONTENT_INCOMPRESSIBLE,
        HEAD_CHUNKED, HEAD_CUT, HEAD_LENGTH, HEAD_RESPONSE, HEAD_STARTED, Head, METHOD_CONNECT, METHOD_HEAD,
        PATH_WORDS,
    },
};

pub use begin::{Begin, begin, foreign, is_known_beginning, is_settings};

use crate::swar::{digits, find, first, position, power_of_ten, small, text};

/// As many as a step reads at most: most of a head is lines that say nothing, and a step for each word of them would be most of
/// the cost.
const WORDS_OF_STEP: u32 = 8;

/// Any place in the window; the room behind it is for what is read past its end.
const AT_MASK: u64 = 2 * WINDOW_BYTES as u64 - 1;
const ROOM_BYTES: usize = 2 * WINDOW_BYTES + 64;

/// Looks for the beginning of a message.
pub const MODE_BEGIN: u64 = 0;
/// Looks for the end of a line.
pub const MODE_LINE: u64 = 1;
/// Is in the path.
pub const MODE_PATH: u64 = 2;
/// Is in frames, of HTTP/2.
pub const MODE_FRAMES: u64 = 3;

/// Multiplier of a hash, odd and with bits everywhere.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Bytes of a head that are there, and how far they have been read.
#[repr(C)]
pub struct Scan {
    /// Bytes that are there, from the first of the window on.
    pub n: u64,
    /// The next that is looked at.
    pub at: u64,
    /// Where the present line begins.
    pub line: u64,
    /// Where the present message begins.
    pub start: u64,
    /// `MODE_*`.
    pub mode: u64,
    /// Bytes of the path, whole words of it in [`Self::path`].
    pub n_path: u64,
    /// The end of the line that the path is in.
    path_line_end: u64,
    /// What has been found.
    pub head: Head,
    /// The beginning of the path.
    pub path: [u64; PATH_WORDS],
    /// The bytes.
    pub window: [u8; ROOM_BYTES],
}

/// What a step has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is more to read.
    More,
    /// The head is over; [`Scan::at`] is the first byte behind it.
    Head,
    /// What is there is not enough.
    Short,
    /// This is not HTTP/1: see [`foreign`].
    Foreign,
}

impl Scan {
    /// Nothing is there.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            n: 0,
            at: 0,
            line: 0,
            start: 0,
            mode: MODE_BEGIN,
            n_path: 0,
            path_line_end: 0,
            head: Head::default(),
            path: [0; PATH_WORDS],
            window: [0; ROOM_BYTES],
        }
    }

    /// Begins a new window with what was carried over.
    #[inline(always)]
    pub fn restart(&mut self, head: Head, carry: &[u64; CARRY_WORDS], n_carry: u64, is_in_head: bool) {
        self.n = n_carry;
        self.at = 0;
        self.line = 0;
        self.n_path = 0;
        self.head = head;
        self.mode = if is_in_head && head.flags & HEAD_STARTED != 0 { MODE_LINE } else { MODE_BEGIN };
        if n_carry > 0 {
            for (i, word) in carry.iter().enumerate() {
                self.window[i * 8..][..8].copy_from_slice(&word.to_ne_bytes());
            }
        }
    }

    /// What is to be carried over to the next window: the beginning of the line that has not ended.
    #[inline(always)]
    pub fn carry(&mut self, carry: &mut [u64; CARRY_WORDS]) -> u64 {
        let n = self.n.wrapping_sub(self.line);
        for (i, word) in carry.iter_mut().enumerate() {
            *word = self.word(self.line + 8 * i as u64);
        }
        if n > CARRY_BYTES as u64 {
            if self.head.flags & HEAD_STARTED == 0 {
                self.head.flags |= HEAD_CUT;
            }
            return CARRY_BYTES as u64;
        }
        n
    }

    /// Begins with another message at a place of the window.
    #[inline(always)]
    pub fn next_message(&mut self, at: u64) {
        self.at = at;
        self.line = at;
        self.mode = MODE_BEGIN;
        self.n_path = 0;
        self.head = Head::default();
    }

    /// Eight bytes of the window, or less and whatever was there before.
    #[inline(always)]
    #[must_use]
    pub fn word(&self, at: u64) -> u64 {
        #[cfg(target_arch = "bpf")]
        {
            let word: u64;
            // One load, bounded where the verifier sees it. The compiler would load byte by byte.
            // SAFETY: the place is in the window, and behind it is room for eight bytes.
            unsafe {
                core::arch::asm!(
                    "{at} &= {mask}",
                    "{at} += {base}",
                    "{word} = *(u64 *)({at} + 0)",
                    at = inout(reg) at => _,
                    base = in(reg) self.window.as_ptr(),
                    word = lateout(reg) word,
                    mask = const AT_MASK,
                );
            }
            word
        }
        #[cfg(not(target_arch = "bpf"))]
        {
            let at = (at & AT_MASK) as usize;
            self.window
                .get(at..)
                .and_then(|bytes| bytes.first_chunk())
                .map_or(0, |it| u64::from_le_bytes(*it))
        }
    }

    /// Reads on, by a few words at most.
    #[inline(always)]
    pub fn step(&mut self) -> Step {
        if self.at >= self.n {
            return Step::Short;
        }
        if self.mode == MODE_PATH {
            return self.read_path();
        }
        let word = self.word(self.at);
        if self.mode == MODE_BEGIN {
            return self.begin(word);
        }
        self.read_lines(word)
    }

    /// Reads to the end of a line that says something, or for a few words.
    #[inline(always)]
    fn read_lines(&mut self, mut word: u64) -> Step {
        for _ in 0..WORDS_OF_STEP {
            let found = find(word, b'\n');
            if found == 0 {
                self.at += 8;
            } else {
                let end = self.at + position(found);
                if end >= self.n {
                    return Step::Short;
                }
                let line = self.line;
                self.at = end + 1;
                self.line = end + 1;
                if self.head.flags & HEAD_STARTED == 0 || is_wanted(self.word(line) as u8) {
                    return self.read_line(line, end);
                }
            }
            word = self.word(self.at);
        }
        Step::More
    }

    #[inline(always)]
    fn begin(&mut self, word: u64) -> Step {
        // Empty lines before a message are no part of it.
        if word as u8 == b'\r' || word as u8 == b'\n' {
            self.at += 1;
            self.line = self.at;
            return Step::More;
        }
        match begin(word, self.n - self.at) {
            Begin::Foreign => Step::Foreign,
            Begin::Request | Begin::Response => {
                self.start = self.at;
                self.mode = MODE_LINE;
                Step::More
            }
        }
    }

    /// A line has ended.
    #[inline(always)]
    fn read_line(&mut self, line: u64, end: u64) -> Step {
        let word = self.word(line);
        if self.head.flags & HEAD_STARTED == 0 {
            return self.read_first(word, line, end);
        }
        if end == line || end == line + 1 && word as u8 == b'\r' {
            return Step::Head;
        }
        self.read_header(small(word), line);
        Step::More
    }

    #[inline(always)]
    fn read_first(&mut self, word: u64, line: u64, end: u64) -> Step {
        self.head.flags |= HEAD_STARTED;
        if begin(word, 8) == Begin::Response {
            let (n, status) = digits(first(self.word(line + 9), 3));
            if n != 3 {
                return Step::Foreign;
            }
            self.head.status = status as u16;
            self.head.flags |= HEAD_RESPONSE;
            return Step::More;
        }
        let mut n_method = position(find(word, b' '));
        if n_method == 8 {
            n_method += position(find(self.word(line + 8), b' '));
        }
        if n_method == 0 || n_method >= 16 || line + n_method >= end {
            return Step::Foreign;
        }
        self.head.method = method(first(word, n_method));
        self.at = line + n_method + 1;
        self.path_line_end = end;
        self.mode = MODE_PATH;
        Step::More
    }

    #[inline(always)]
    fn read_path(&mut self) -> Step {
        let word = self.word(self.at);
        let ends = find(word, b' ') | find(word, b'?') | find(word, b'#');
        let mut n = position(ends);
        let n_line = self.path_line_end.wrapping_sub(self.at);
        if n > n_line {
            n = n_line;
        }
        let word = first(word, n);
        if n > 0 {
            let place = self.n_path >> 3;
            if place < PATH_WORDS as u64 {
                self.put_path(place, word);
            }
            self.n_path += n;
            let mixed = (self.head.path_hash ^ word).wrapping_mul(MIX);
            self.head.path_hash = mixed ^ mixed >> 29;
        }
        if n == 8 {
            self.at += 8;
            return Step::More;
        }
        self.mode = MODE_LINE;
        self.at = self.path_line_end + 1;
        Step::More
    }

    #[inline(always)]
    fn put_path(&mut self, place: u64, word: u64) {
        // The compiler knows that it is in range; the verifier does not.
        let place = core::hint::black_box(place) as usize & (PATH_WORDS - 1);
        self.path[place] = word;
    }

    #[inline(always)]
    fn read_header(&mut self, start: u64, line: u64) {
        const CONTENT: u64 = text(b"content-");
        const TRANSFER: u64 = text(b"transfer");
        if start == CONTENT {
            let name = small(self.word(line + 8));
            if first(name, 7) == text(b"length:") {
                self.read_length(line + 15);
            } else if first(name, 5) == text(b"type:") {
                self.read_type(line + 13);
            } else if name == text(b"encoding") {
                let value = self.word_after_spaces(line + 17);
                if small(value) != text(b"identity") {
                    self.head.content |= CONTENT_COMPRESSED;
                }
            }
        } else if start == TRANSFER && small(self.word(line + 8)) == text(b"-encodin") {
            let value = self.word_after_spaces(line + 18);
            if small(value) != text(b"identity") {
                self.head.flags |= HEAD_CHUNKED;
            }
        }
    }

    /// Past spaces, up to seven of them.
    #[inline(always)]
    fn after_spaces(&self, at: u64) -> u64 {
        let others = self.word(at) ^ text(b"        ");
        at + if others == 0 { 0 } else { u64::from(others.trailing_zeros() >> 3) }
    }

    #[inline(always)]
    fn word_after_spaces(&self, at: u64) -> u64 {
        self.word(self.after_spaces(at))
    }

    #[inline(always)]
    fn read_length(&mut self, at: u64) {
        let at = self.after_spaces(at);
        let (n, high) = digits(self.word(at));
        let (n_low, low) = if n == 8 { digits(self.word(at + 8)) } else { (0, 0) };
        if n == 0 {
            return;
        }
        self.head.length = high.wrapping_mul(power_of_ten(n_low)).wrapping_add(low);
        self.head.flags |= HEAD_LENGTH;
    }

    #[inline(always)]
    fn read_type(&mut self, at: u64) {
        let at = self.after_spaces(at);
        let kind = small(self.word(at));
        let is_text = if first(kind, 5) == text(b"text/") || kind == text(b"image/sv") {
            true
        } else if kind == text(b"applicat") {
            let name = u64::from(small(self.word(at + 12)) as u32);
            name == text(b"json")
                || name == text(b"java")
                || name == text(b"x-ja")
                || name == text(b"xhtm")
                || name == text(b"wasm")
                || name == text(b"rss+")
                || name == text(b"atom")
                || name == text(b"ld+j")
                || name == text(b"mani")
                || first(name, 3) == text(b"xml")
        } else {
            false
        };
        self.head.content |= if is_text { CONTENT_COMPRESSIBLE } else { CONTENT_INCOMPRESSIBLE };
    }
}

/// Whether a line that begins so may be one that is read: content, transfer, or the end of the head.
#[inline(always)]
fn is_wanted(byte: u8) -> bool {
    matches!(byte, b'c' | b'C' | b't' | b'T' | b'\r' | b'\n')
}

/// The number of a method, see [`abi::request::METHODS`].
#[inline(always)]
fn method(name: u64) -> u8 {
    const GET: u64 = text(b"GET");
    const HEAD: u64 = text(b"HEAD");
    const POST: u64 = text(b"POST");
    const PUT: u64 = text(b"PUT");
    const DELETE: u64 = text(b"DELETE");
    const OPTIONS: u64 = text(b"OPTIONS");
    const PATCH: u64 = text(b"PATCH");
    const CONNECT: u64 = text(b"CONNECT");
    const TRACE: u64 = text(b"TRACE");
    match name {
        GET => 1,
        HEAD => METHOD_HEAD,
        POST => 3,
        PUT => 4,
        DELETE => 5,
        OPTIONS => 6,
        PATCH => 7,
        CONNECT => METHOD_CONNECT,
        TRACE => 9,
        _ => 0,
    }
}
