//! Where the messages on a connection begin and end, from the calls that read and write it.
//!
//! A call goes through [`Io::begin`], then, while [`Io::wants_window`], its bytes through windows ([`Io::open_window`] and
//! [`Io::turn`], over and over, then [`Io::close_window`]), and, if it [is chunked](Io::is_chunked), through [`Io::finish`]. What is behind the head is counted, not
//! looked at, but for the last bytes of a call within a body of chunks: they say whether it is over.

mod body;
mod frames;
mod tell;

use abi::{
    limits::SMALL_WRITE_BYTES,
    request::{
        Connection, FLOW_BODY, FLOW_CHUNKED, FLOW_FOREIGN, FLOW_FRAMES, FLOW_HEAD, FLOW_IDLE, FLOW_TO_CLOSE,
        FOREIGN_HTTP2, FOREIGN_OTHER, FOREIGN_UPGRADED, Flow, HEAD_RESPONSE, Head, MESSAGE_CUT, MESSAGE_END,
        MESSAGE_HEAD, MESSAGE_PATH, MessageWithPath, OUTGOING, ROLE_CLIENT, ROLE_SERVER, ROLE_UNKNOWN,
    },
};

use body::body;

use crate::head::{MODE_BEGIN, MODE_FRAMES, Scan, Step, foreign, is_settings};

/// What a body of chunks ends with, in [`Flow::tail`].
const LAST_CHUNK: u64 = 0x000d_0a30_0d0a_0d0a;
const LAST_CHUNK_MASK: u64 = 0x00ff_ffff_ffff_ffff;
/// So many of the last bytes of a call say whether a body of chunks is over.
pub const LAST_CHUNK_BYTES: u64 = 7;
/// The end of a head, in the same place.
const HEAD_END_TAIL: u64 = 0x0d0a;

/// Takes what becomes of messages.
pub trait Sink {
    /// Something has. Of the path, as many words count as [`abi::request::Message::n_path`] says.
    fn put(&mut self, message: &mut MessageWithPath);
}

/// A call that has read or written a connection.
#[repr(C)]
pub struct Io {
    /// 0 or 1: [`abi::request::INCOMING`] or [`abi::request::OUTGOING`].
    pub direction: u64,
    /// Bytes of the call.
    pub n_bytes: u64,
    /// Of them, those that are not accounted for yet.
    pub left: u64,
    /// When it ended.
    pub time_ns: u64,
    /// Up to this place of the window, the present message has its bytes.
    counted: u64,
    /// Whether the call counts for the message under way.
    is_counted: u64,
    /// Process and thread.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
    /// What is sent; here, as it is too large for the stack of a program.
    pub out: MessageWithPath,
    /// The window.
    pub scan: Scan,
}

/// The flow of a direction.
#[inline(always)]
fn flow_of(connection: &mut Connection, direction: u64) -> &mut Flow {
    if direction as usize == OUTGOING { &mut connection.flows[1] } else { &mut connection.flows[0] }
}

impl Io {
    /// None yet.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            direction: 0,
            n_bytes: 0,
            left: 0,
            time_ns: 0,
            counted: 0,
            is_counted: 0,
            tgid: 0,
            tid: 0,
            out: MessageWithPath::default(),
            scan: Scan::empty(),
        }
    }

    /// A call of `n_bytes` has ended: what of them belongs to a body whose length is known is accounted for.
    #[inline(always)]
    pub fn begin(&mut self, connection: &mut Connection, sink: &mut impl Sink) {
        self.left = self.n_bytes;
        self.is_counted = 0;
        let flow = flow_of(connection, self.direction);
        match flow.state {
            FLOW_FOREIGN => self.left = 0,
            FLOW_BODY => {
                self.take_body(flow);
                if flow.left == 0 {
                    self.end(connection, 0, sink);
                }
            }
            FLOW_TO_CLOSE => self.take(flow, self.left),
            FLOW_FRAMES => self.skip(flow),
            _ => {}
        }
    }

    /// Whether bytes of the call have to be looked at.
    #[inline(always)]
    #[must_use]
    pub fn wants_window(&self, connection: &mut Connection) -> bool {
        let state = flow_of(connection, self.direction).state;
        self.left > 0 && (state == FLOW_IDLE || state == FLOW_HEAD || state == FLOW_FRAMES)
    }

    /// Begins a window; gives where in it the next bytes of the call belong.
    #[inline(always)]
    pub fn open_window(&mut self, connection: &mut Connection) -> u64 {
        let flow = flow_of(connection, self.direction);
        let is_in_head = flow.state == FLOW_HEAD;
        let has_frames = flow.state == FLOW_FRAMES;
        if !is_in_head && !has_frames {
            flow.head = Head::default();
            flow.n_carry = 0;
        }
        let n_carry = u64::from(flow.n_carry);
        self.scan.restart(flow.head, &flow.carry, n_carry, is_in_head);
        if has_frames {
            self.scan.mode = MODE_FRAMES;
        }
        self.counted = n_carry;
        n_carry
    }

    /// So many bytes have been put into the window.
    #[inline(always)]
    pub fn fill_window(&mut self, n_bytes: u64) {
        self.scan.n += n_bytes;
    }

    /// Reads on in the window; gives whether there is more to read in it.
    #[inline(always)]
    pub fn turn(&mut self, connection: &mut Connection, sink: &mut impl Sink) -> bool {
        if self.scan.mode == MODE_FRAMES {
            return self.frame(connection, sink);
        }
        match self.scan.step() {
            Step::More => true,
            Step::Short => false,
            Step::Foreign => {
                let word = self.scan.word(self.scan.line);
                let status = foreign(word);
                let is_preface = status == FOREIGN_HTTP2;
                if is_preface || self.scan.n >= self.scan.line + 8 && is_settings(word) {
                    return self.becomes_frames(connection, is_preface, sink);
                }
                self.becomes_foreign(connection, status, sink);
                false
            }
            Step::Head => self.head(connection, sink),
        }
    }

    /// The window has been read: what has not ended in it is kept.
    #[inline(always)]
    pub fn close_window(&mut self, connection: &mut Connection, sink: &mut impl Sink) {
        let flow = flow_of(connection, self.direction);
        if self.scan.mode == MODE_FRAMES {
            self.close_frames(flow);
            return;
        }
        if flow.state != FLOW_IDLE && flow.state != FLOW_HEAD {
            return;
        }
        if self.scan.mode == MODE_BEGIN {
            // Nothing has begun.
            self.left = self.left.saturating_sub(self.scan.n.saturating_sub(self.counted));
            return;
        }
        self.start(flow);
        let n = self.scan.n.saturating_sub(self.counted);
        self.take(flow, n);
        flow.state = FLOW_HEAD;
        flow.n_carry = self.scan.carry(&mut flow.carry) as u32;
        flow.head = self.scan.head;
        if self.scan.n_path > 0 && connection.role != ROLE_CLIENT {
            self.put_message(connection, MESSAGE_PATH, sink);
        }
    }

    /// Whether what is left of the call is the body of a message that comes in chunks.
    #[inline(always)]
    #[must_use]
    pub fn is_chunked(&self, connection: &mut Connection) -> bool {
        self.left > 0 && flow_of(connection, self.direction).state == FLOW_CHUNKED
    }

    /// Takes it; `tail` are the last bytes of the call, [`LAST_CHUNK_BYTES`] or as many as it has, the latest lowest.
    #[inline(always)]
    pub fn finish(&mut self, connection: &mut Connection, tail: u64, sink: &mut impl Sink) {
        let n_left = self.left;
        let flow = flow_of(connection, self.direction);
        self.take(flow, n_left);
        flow.tail = if n_left >= 8 {
            tail
        } else {
            let shift = 8 * n_left as u32;
            flow.tail << shift | tail & ((1 << shift) - 1)
        };
        if flow.tail & LAST_CHUNK_MASK == LAST_CHUNK {
            self.end(connection, 0, sink);
        }
    }

    /// Nothing more will come in this direction.
    #[inline(always)]
    pub fn close(&mut self, connection: &mut Connection, sink: &mut impl Sink) {
        let flow = flow_of(connection, self.direction);
        let flags = match flow.state {
            FLOW_TO_CLOSE => 0,
            FLOW_BODY | FLOW_CHUNKED => MESSAGE_CUT,
            _ => return,
        };
        self.end(connection, flags, sink);
    }

    /// What was to be looked at cannot be read.
    #[inline(always)]
    pub fn give_up(&mut self, connection: &mut Connection, sink: &mut impl Sink) {
        self.becomes_foreign(connection, FOREIGN_OTHER, sink);
    }

    /// Something that is of no message: the connection is opened, or over.
    #[inline(always)]
    pub fn tell(&mut self, connection: &Connection, flags: u32, sink: &mut impl Sink) {
        self.fill_out(connection, flags, &Head::default());
        self.out.message.n_bytes = 0;
        self.out.message.n_calls = 0;
        self.out.message.n_small = 0;
        sink.put(&mut self.out);
    }

    /// A message begins, if none is under way.
    #[inline(always)]
    fn start(&mut self, flow: &mut Flow) {
        if flow.state == FLOW_IDLE {
            flow.n_bytes = 0;
            flow.n_calls = 0;
            flow.n_small = 0;
            self.is_counted = 0;
            // Empty lines between messages belong to none.
            let n_empty = self.scan.start.saturating_sub(self.counted);
            self.left = self.left.saturating_sub(n_empty);
            self.counted += n_empty;
        }
    }

    /// Bytes of the call are the present message's.
    #[inline(always)]
    fn take(&mut self, flow: &mut Flow, n_bytes: u64) {
        if self.is_counted == 0 {
            self.is_counted = 1;
            flow.n_calls += 1;
            let is_small = self.direction as usize == OUTGOING && self.n_bytes < SMALL_WRITE_BYTES;
            flow.n_small += u32::from(is_small);
        }
        flow.n_bytes += n_bytes;
        flow.last_ns = self.time_ns;
        self.left = self.left.saturating_sub(n_bytes);
    }

    #[inline(always)]
    fn take_body(&mut self, flow: &mut Flow) {
        let n = if flow.left < self.left { flow.left } else { self.left };
        flow.left -= n;
        self.take(flow, n);
    }

    /// A head is over; gives whether there is more to read in the window.
    #[inline(always)]
    fn head(&mut self, connection: &mut Connection, sink: &mut impl Sink) -> bool {
        let head = self.scan.head;
        let is_response = head.flags & HEAD_RESPONSE != 0;
        let is_outgoing = self.direction as usize == OUTGOING;
        if connection.role == ROLE_UNKNOWN {
            connection.role = if is_outgoing == is_response { ROLE_SERVER } else { ROLE_CLIENT };
        }
        if (connection.role == ROLE_SERVER) != (is_outgoing == is_response) {
            self.becomes_foreign(connection, FOREIGN_OTHER, sink);
            return false;
        }
        let at = self.scan.at;
        let state = body(connection, &head);
        let flow = flow_of(connection, self.direction);
        self.start(flow);
        let n_head = at.wrapping_sub(self.counted);
        self.counted = at;
        self.take(flow, n_head);
        flow.n_carry = 0;
        flow.head = head;
        let is_interim = is_response && head.status >= 100 && head.status < 200 && head.status != 101;
        if is_interim {
            flow.state = FLOW_IDLE;
            self.scan.next_message(at);
            return self.left > 0;
        }
        flow.state = state;
        flow.tail = HEAD_END_TAIL;
        flow.left = if state == FLOW_BODY { head.length } else { 0 };
        let mut flags = MESSAGE_HEAD;
        if state == FLOW_BODY {
            let before = self.left;
            self.take_body(flow);
            if flow.left == 0 {
                flow.state = FLOW_IDLE;
            }
            // The window may end before the body does.
            let next = at + before.wrapping_sub(self.left);
            self.counted = next;
            self.scan.at = next;
        } else if state == FLOW_TO_CLOSE {
            let n_left = self.left;
            self.take(flow, n_left);
        }
        if flow.state == FLOW_IDLE {
            flags |= MESSAGE_END;
        }
        let is_idle = flow.state == FLOW_IDLE;
        self.put_message(connection, flags, sink);
        if state == FLOW_FOREIGN {
            self.becomes_foreign(connection, FOREIGN_UPGRADED, sink);
            return false;
        }
        let next = self.scan.at;
        self.scan.next_message(next);
        is_idle && self.left > 0 && next < self.scan.n
    }
}

#[cfg(test)]
mod tests;
